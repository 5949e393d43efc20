"""Somebody arrives from a provider: who they are here, and which roles their claims give. The verbs.

Nobody is recognised by name or address, which a provider may let people choose: only by the provider's subject. Roles
are those that the claims give at this sign-in, no more and no less, and a claim that is not mapped gives none.
"""

from collections.abc import Iterable
from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal import people
from portal.models import User
from portal.provider_settings import EVERYWHERE, Provider
from portal.roles import Role
from tokens.models import Enterprise


class NotAdmittedError(Exception):
    """You are known to the provider, but not admitted here."""

    def __init__(self) -> None:
        super().__init__(" ".join(str(self.__doc__).split()))


class NoRole(NotAdmittedError):
    """You are signed in at the provider, and none of what it says of you gives a role in this portal. Ask an
    administrator which group you need."""


class NoUsableName(NotAdmittedError):
    """The provider gives no name that can be used here: it has to send preferred_username or email."""


class NameTaken(NotAdmittedError):
    """There is a user of your name already, who signs in by password. Ask an administrator of the portal: one of the
    two has to go."""


@transaction.atomic
def arrive(provider: Provider, subject: str, claims: dict[str, Any], *, address: str | None) -> User:
    """The user behind a provider's subject, made when they come first, with the roles of `claims`.

    Raises NotAdmittedError, and then nothing is changed.
    """
    _one_at_a_time(provider, subject)
    actor = Actor(f"provider:{provider.id}", provider.name, address)
    wanted = roles_of(provider, claims)
    account = SocialAccount.objects.select_for_update().filter(provider=provider.id, uid=subject).first()
    if account is None:
        if not wanted:
            raise NoRole
        user = _new_user(claims, actor)
        SocialAccount.objects.create(user=user, provider=provider.id, uid=subject)
    else:
        user = account.user
    _set_roles(user, wanted, actor)
    return User.objects.get(pk=user.pk)


def _one_at_a_time(provider: Provider, subject: str) -> None:
    """Two browsers of one person may arrive together for the first time: the second finds what the first made."""
    with connection.cursor() as cursor:
        key = f"arrival of {provider.id} {subject}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


def roles_of(provider: Provider, claims: dict[str, Any]) -> set[tuple[Role, Enterprise | None]]:
    """What the mapped claims give; an EID that is not here gives nothing."""
    said = set(_values(claims, provider.roles_claim))
    lines = [line for line in provider.roles if line.claim in said]
    enterprises = {one.eid: one for one in Enterprise.objects.filter(eid__in=[line.eid for line in lines])}
    found: set[tuple[Role, Enterprise | None]] = set()
    for line in lines:
        if line.eid == EVERYWHERE:
            found.add((Role(line.role), None))
        elif line.eid in enterprises:
            found.add((Role(line.role), enterprises[line.eid]))
    return found


def _values(claims: dict[str, Any], path: str) -> Iterable[str]:
    """The texts at a path with dots; a list, one text, or texts separated by semicolons as Salesforce sends them."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, str):
        return [one.strip() for one in value.split(";")]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _new_user(claims: dict[str, Any], actor: Actor) -> User:
    name = claims.get("preferred_username") or claims.get("email")
    user = User(username=name if isinstance(name, str) else "")
    user.first_name = str(claims.get("given_name") or "")[:150]
    user.last_name = str(claims.get("family_name") or "")[:150]
    user.set_unusable_password()
    if User.objects.filter(username__iexact=user.username).exists():
        raise NameTaken
    try:
        user.full_clean()
    except ValidationError:
        raise NoUsableName from None
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:  # somebody of that name came at the same moment
        raise NameTaken from None
    target = Target("user", f"user:{user.pk}", user.get_username())
    trail.record(Action.USER_CREATED, actor=actor, enterprise_id=None, target=target)
    return user


def _set_roles(user: User, wanted: set[tuple[Role, Enterprise | None]], actor: Actor) -> None:
    held = {(Role(one.role), one.enterprise) for one in user.memberships.select_related("enterprise")}
    for role, enterprise in sorted(wanted - held, key=str):
        people.grant(user, role, enterprise=enterprise, actor=actor)
    for role, enterprise in sorted(held - wanted, key=str):
        people.revoke(user, role, enterprise=enterprise, actor=actor)
