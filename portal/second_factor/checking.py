"""Checking what somebody shows: counted first, then looked at, and recorded either way."""

from typing import Any, Final

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth as webauthn
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from redis.exceptions import RedisError

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal import attempts
from portal.models import User
from portal.second_factor import codes
from portal.second_factor.errors import (
    CannotCount,
    CannotRead,
    FactorError,
    TooManyAttempts,
    TooManyToday,
    WrongCode,
    WrongPasskey,
)
from tokens.crypto.errors import CryptoError

# By person, whatever the address: who guesses here knows the password already.
FAILURES: Final = 5
WINDOW_SECONDS: Final = 300
FAILURES_OF_A_DAY: Final = 30
DAY_SECONDS: Final = 86_400


@sensitive_variables("code")
def check_code(user: User, code: str, *, actor: Actor, purpose: str) -> Authenticator:
    """The factor whose code this is: the app, or the recovery codes. Raises FactorError.

    `purpose` says in the trail what it was shown for: `sign-in` or `confirm`.
    """
    _count(user)
    code = "".join(code.split()).replace("-", "")
    is_app = code.isdigit() and len(code) == 6
    kind = Authenticator.Type.TOTP if is_app else Authenticator.Type.RECOVERY_CODES
    try:
        with transaction.atomic():
            factor = Authenticator.objects.select_for_update().filter(user=user, type=kind).first()
            if factor is None:
                raise WrongCode
            if is_app:
                codes.use_app(factor, code)
            else:
                left = codes.use_recovery_code(factor, code)
                _record(Action.RECOVERY_CODE_USED, user, actor, {"for": purpose, "left": left})
            _passed(user, factor, actor, purpose)
            return factor
    except FactorError as error:
        _failed(user, actor, kind, purpose, error)
        raise
    except CryptoError:
        _failed(user, actor, kind, purpose, CannotRead())
        raise CannotRead from None


def check_passkey(user: User, credential: Any, *, actor: Actor, purpose: str) -> Authenticator:
    """The passkey that answered the challenge in the session. Raises FactorError."""
    _count(user)
    kind = Authenticator.Type.WEBAUTHN
    try:
        webauthn.parse_authentication_response(credential)
        factor: Authenticator = webauthn.complete_authentication(user, credential)
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
        # Whatever a browser sends in place of an answer is no answer.
        _failed(user, actor, kind, purpose, WrongPasskey())
        raise WrongPasskey from None
    with transaction.atomic():
        Authenticator.objects.filter(pk=factor.pk).update(last_used_at=timezone.now())
        _passed(user, factor, actor, purpose)
    return factor


def unlock(user: User) -> None:
    """Forget the failures of a person whose factors were reset."""
    for what in _counters(user):
        attempts.forget(what)


def _count(user: User) -> None:
    short, day = _counters(user)
    try:
        if not attempts.take(short, limit=FAILURES, seconds=WINDOW_SECONDS):
            raise TooManyAttempts
        if not attempts.take(day, limit=FAILURES_OF_A_DAY, seconds=DAY_SECONDS):
            raise TooManyToday
    except RedisError:
        raise CannotCount from None


def _counters(user: User) -> tuple[str, str]:
    return f"second-factor:{user.pk}", f"second-factor-day:{user.pk}"


def _passed(user: User, factor: Authenticator, actor: Actor, purpose: str) -> None:
    short, day = _counters(user)
    attempts.forget(short)
    attempts.give_back(day)
    if purpose == "confirm":  # a sign-in records by itself with what it was made
        _record(Action.FACTOR_CONFIRMED, user, actor, {"by": factor.type})


def _failed(user: User, actor: Actor, kind: str, purpose: str, error: FactorError) -> None:
    _record(Action.FACTOR_FAILED, user, actor, {"by": kind, "for": purpose, "why": type(error).__name__})


def _record(action: Action, user: User, actor: Actor, details: dict[str, Any]) -> None:
    target = Target("user", f"user:{user.pk}", user.get_username())
    trail.record(action, actor=actor, enterprise_id=None, target=target, details=details)
