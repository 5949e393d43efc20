"""What a session and a person have to show: asked by every page, answered from the session where it can be."""

import time
from typing import Final

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest

from portal.access import Grants
from portal.models import User
from portal.roles import Permission

# Clear values, and what nobody does alone: whoever may do one of these anywhere needs a factor for everything.
NEEDS_FACTOR: Final = frozenset({Permission.REVEAL, Permission.DECIDE_APPROVALS})
OPENS_THE_DOOR: Final = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def is_required(held: Grants) -> bool:
    """Whether what a person may do asks for a second factor."""
    return any(held.may(permission) for permission in NEEDS_FACTOR)


def factors(user: User) -> list[Authenticator]:
    """The apps and passkeys of a person, the oldest first; recovery codes are none of their own."""
    return list(Authenticator.objects.filter(user=user, type__in=OPENS_THE_DOOR).order_by("pk"))


def has_one(user: User) -> bool:
    """Whether a person has an authenticator app or a passkey."""
    return bool(Authenticator.objects.filter(user=user, type__in=OPENS_THE_DOOR).exists())


def is_passed(request: HttpRequest) -> bool:
    """Whether this session has ever shown a second factor of its person."""
    return _last_shown(request) is not None


def is_fresh(request: HttpRequest) -> bool:
    """Whether it did so within SECOND_FACTOR_FRESH_SECONDS.

    Only a factor of this portal counts: whoever signs in by a provider, or by a password, has shown none.
    """
    shown = _last_shown(request)
    return shown is not None and 0 <= time.time() - shown < settings.SECOND_FACTOR_FRESH_SECONDS


def note_passed(request: HttpRequest, factor: Authenticator, *, again: bool = False) -> None:
    """Write into the session that `factor` was shown; `again` in a session that had begun."""
    record_authentication(request, factor.user, "mfa", id=factor.pk, type=factor.type, reauthenticated=again)


def _last_shown(request: HttpRequest) -> float | None:
    if not isinstance(request.user, User):
        return None
    records = get_authentication_records(request, request.user)
    return max((float(one["at"]) for one in records if one.get("method") == "mfa"), default=None)
