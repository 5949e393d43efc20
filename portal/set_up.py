"""Set-up links: how a new person gets in without anybody else ever knowing their password. The verbs.

Whoever makes a user, or resets one, is given a code that is shown once. The person it is for sets a password and a
second factor with it. It works once, for two days, and not in a session of whoever made it; of it only a hash is kept.
The code stands behind the `#` of the link, which no browser sends: it is in no log, no history of a proxy, no referrer.
"""

import datetime
import hashlib
import secrets
from typing import Final

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal.models import SetUpLink, User
from portal.people import end_sessions
from portal.second_factor import enrolment, state
from portal.second_factor.checking import check_code

LIFE: Final = datetime.timedelta(hours=48)


class SetUpError(Exception):
    """Nothing was set up."""

    def __init__(self) -> None:
        super().__init__(" ".join(str(self.__doc__).split()))


class LinkEnded(SetUpError):
    """This code is not valid: it was used, replaced by a newer one, or is older than two days. Ask for a new one; and
    if it was used and not by you, say so, since somebody else holds your account then."""


class OwnLink(SetUpError):
    """You made this link yourself: it is for the person whose account it is, and this attempt is recorded."""


class SignedIn(SetUpError):
    """You are signed in. Sign out first: a link sets up the account of one person, and this may be another's."""


class HasBeenSetUp(SetUpError):
    """They have set up their sign-in already, or sign in by a provider. Who lost a device or a password asks whoever
    runs the server: manage.py reset_second_factor."""


@transaction.atomic
def make_link(user: User, *, actor: Actor) -> str:
    """A code for somebody who never signed in yet; earlier ones end. Raises HasBeenSetUp."""
    _lock(user)
    if not is_waiting(user):
        raise HasBeenSetUp
    return _new_code(user, actor, "new user")


@transaction.atomic
def reset(user: User, *, actor: Actor) -> str | None:
    """Take factors and password away; the code to set up new ones, None for who signs in by a provider.

    For the command line: in the portal one person alone could take over the account of another with it.
    """
    enrolment.reset(user, actor=actor)
    if SocialAccount.objects.filter(user=user).exists():
        return None
    user.set_unusable_password()
    user.save(update_fields=["password"])
    return _new_code(user, actor, "reset")


def is_waiting(user: User) -> bool:
    """Whether a person has nothing yet that would let them in."""
    return not (
        user.has_usable_password() or state.has_one(user) or SocialAccount.objects.filter(user=user).exists()
    )


def newest(user: User) -> SetUpLink | None:
    """The one link of a person that counts."""
    return SetUpLink.objects.filter(user=user).order_by("-pk").first()


@sensitive_variables("code")
def opened(code: str, *, viewer: Actor | None, remote_address: str | None) -> SetUpLink:
    """The link of a code. `viewer` is who is signed in where it is opened. Raises SetUpError.

    That a link was tried which had ended is recorded: perhaps somebody else used it first.
    """
    link = SetUpLink.objects.select_related("user").filter(digest=_digest(code.strip())).first()
    if link is None:
        raise LinkEnded
    try:
        check(link, viewer=viewer)
    except LinkEnded:
        _record(Action.SET_UP_REFUSED, link.user, Actor("", "not signed in", remote_address), why="ended")
        raise
    return link


def check(link: SetUpLink, *, viewer: Actor | None) -> None:
    """Raises SetUpError where the link is not to be used; that its maker tried is recorded."""
    if viewer is not None and viewer.id == link.made_by_id:
        _record(Action.SET_UP_REFUSED, link.user, viewer)
        raise OwnLink
    if viewer is not None:
        raise SignedIn
    if (
        link.used_at
        or link.expires_at <= timezone.now()
        or link != newest(link.user)
        or not link.user.is_active
    ):
        raise LinkEnded


@sensitive_variables("password", "app_secret", "app_code")
def finish(
    link: SetUpLink, *, password: str, app_secret: str, app_code: str, remote_address: str | None
) -> list[str]:
    """Set password and authenticator app, and end the link; recovery codes, to be shown once.

    Who has an app already (in a trial, `manage.py sample_code` is one) shows a code of that. Raises LinkEnded,
    FactorError, ValidationError for a weak password; then nothing is changed.
    """
    check(link, viewer=None)
    validate_password(password, link.user)
    actor = Actor(f"user:{link.user_id}", link.user.get_username(), remote_address)
    has_app = state.has_one(link.user)
    if has_app:
        check_code(link.user, app_code, actor=actor, purpose="set-up")
    with transaction.atomic():
        user = _lock(link.user)
        link = SetUpLink.objects.select_related("user").get(pk=link.pk)
        check(link, viewer=None)
        user.set_password(password)
        user.save(update_fields=["password"])
        if not has_app:
            enrolment.add_app(user, app_secret, app_code, actor=actor)
        codes = enrolment.renew_recovery_codes(user, actor=actor)
        end_sessions(user)
        link.used_at, link.used_from = timezone.now(), remote_address
        link.save(update_fields=["used_at", "used_from"])
        _record(Action.SET_UP, user, actor, link_by=link.made_by_name)
    return codes


def _new_code(user: User, actor: Actor, purpose: str) -> str:
    code = secrets.token_urlsafe(32)
    SetUpLink.objects.create(
        user=user,
        digest=_digest(code),
        made_by_id=actor.id,
        made_by_name=actor.name,
        expires_at=timezone.now() + LIFE,
    )
    _record(Action.SET_UP_LINK_MADE, user, actor, purpose=purpose)
    return code


def _digest(code: str) -> bytes:
    # 256 random bits: a slow hash would gain nothing.
    return hashlib.sha256(code.encode()).digest()


def _lock(user: User) -> User:
    found: User = User.objects.select_for_update().get(pk=user.pk)
    return found


def _record(action: Action, user: User, actor: Actor, **details: str) -> None:
    target = Target("user", f"user:{user.pk}", user.get_username())
    trail.record(action, actor=actor, enterprise_id=None, target=target, details=details)
