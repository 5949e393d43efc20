"""Users of the portal and their roles: the verbs. Each is one transaction with its event."""

from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.db.models import F

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal.models import Membership, User
from portal.roles import Role
from tokens.models import Enterprise


@transaction.atomic
def create_user(
    username: str, *, password: str | None = None, first_name: str = "", last_name: str = "", actor: Actor
) -> User:
    """Somebody who can sign in once they hold a role, and have set up how (`portal.set_up`) unless `password` is given.

    Raises ValidationError for a bad name or a weak password.
    """
    user = User(username=username, first_name=first_name, last_name=last_name)
    if password is not None:
        validate_password(password, user)
    user.set_password(password)  # None: an unusable one
    user.full_clean()
    user.save(force_insert=True)
    _record(Action.USER_CREATED, user, actor)
    return user


@transaction.atomic
def grant(user: User, role: Role, *, enterprise: Enterprise | None, actor: Actor) -> Membership:
    """Give a role in one enterprise, or in all of them (None), and end the person's sessions. Idempotent.

    Without a second person: that is for `portal.role_grants`, and for the first users of an installation.
    """
    membership, is_new = Membership.objects.get_or_create(user=user, role=role, enterprise=enterprise)
    if is_new:
        end_sessions(user)
        _record(Action.ROLE_GRANTED, user, actor, role=role, enterprise=enterprise)
    return membership


@transaction.atomic
def revoke(user: User, role: Role, *, enterprise: Enterprise | None, actor: Actor) -> None:
    """Take a role away and end the person's sessions, from the next page on. Idempotent."""
    deleted, _ = Membership.objects.filter(user=user, role=role, enterprise=enterprise).delete()
    if deleted:
        end_sessions(user)
        _record(Action.ROLE_REVOKED, user, actor, role=role, enterprise=enterprise)


@transaction.atomic
def switch_off(user: User, *, actor: Actor) -> None:
    """End every session of a person, who can't sign in any more. Idempotent."""
    if User.objects.filter(pk=user.pk, is_active=True).update(is_active=False):
        end_sessions(user)
        _record(Action.USER_SWITCHED_OFF, user, actor)


@transaction.atomic
def switch_on(user: User, *, actor: Actor) -> None:
    """Let a person sign in again, with the roles and the password that they had. Idempotent."""
    if User.objects.filter(pk=user.pk, is_active=False).update(is_active=True):
        _record(Action.USER_SWITCHED_ON, user, actor)


def end_sessions(user: User) -> None:
    """Whoever is signed in as `user` must sign in again: what they may do is not what it was."""
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)


def _record(
    action: Action,
    user: User,
    actor: Actor,
    *,
    role: Role | None = None,
    enterprise: Enterprise | None = None,
) -> None:
    details = (
        {"role": role.value, "enterprise": enterprise.name if enterprise else "every enterprise"}
        if role
        else {}
    )
    trail.record(
        action,
        actor=actor,
        enterprise_id=enterprise.pk if enterprise else None,
        target=Target("user", f"user:{user.pk}", user.get_username()),
        details=details,
    )
