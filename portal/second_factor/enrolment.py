"""Adding and removing second factors: the verbs. Each is one transaction with its event."""

import json
from typing import Any, Final

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import generate_totp_secret
from allauth.mfa.webauthn.internal import auth as webauthn
from django.core.exceptions import ValidationError
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal.access import grants
from portal.models import User
from portal.people import end_sessions
from portal.second_factor import codes, sealing, state
from portal.second_factor.checking import unlock
from portal.second_factor.errors import AlreadyThere, LastFactor, WrongCode, WrongPasskey

NAME_LENGTH: Final = 60


def new_app_secret() -> str:
    """A secret for an authenticator app: 160 random bits in base32."""
    secret: str = generate_totp_secret()
    return secret


@sensitive_variables("secret", "code")
@transaction.atomic
def add_app(user: User, secret: str, code: str, *, actor: Actor) -> Authenticator:
    """An authenticator app, proven by its first code. Raises WrongCode, AlreadyThere."""
    _lock(user)
    step = codes.step_of(secret, "".join(code.split()))
    if step is None:
        raise WrongCode
    if Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists():
        raise AlreadyThere
    factor = Authenticator(user=user, type=Authenticator.Type.TOTP, data={codes.LAST_STEP: step})
    sealing.keep(factor, secret)
    factor.save()
    _record(Action.FACTOR_ADDED, user, actor, kind=factor.type)
    return factor


@transaction.atomic
def add_passkey(user: User, name: str, credential: Any, *, actor: Actor) -> Authenticator:
    """A passkey that answered the challenge in the session. Raises WrongPasskey."""
    try:
        webauthn.parse_registration_response(credential)
        webauthn.complete_registration(credential)
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
        raise WrongPasskey from None
    factor: Authenticator = webauthn.WebAuthn.add(user, name[:NAME_LENGTH] or "Passkey", credential).instance
    _record(Action.FACTOR_ADDED, user, actor, kind=factor.type, name=name[:NAME_LENGTH])
    return factor


@transaction.atomic
def renew_recovery_codes(user: User, *, actor: Actor) -> list[str]:
    """Ten new recovery codes, which are shown once; those before stop working."""
    _lock(user)
    Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).delete()
    made = codes.new_recovery_codes()
    factor = Authenticator(user=user, type=Authenticator.Type.RECOVERY_CODES, data={})
    sealing.keep(factor, json.dumps(made))
    factor.save()
    _record(Action.RECOVERY_CODES_MADE, user, actor, count=len(made))
    return made


@transaction.atomic
def remove(user: User, factor_id: int, *, actor: Actor) -> None:
    """Take a factor away, and with the last one the recovery codes. Raises LastFactor where roles need one."""
    _lock(user)
    held = state.factors(user)
    [factor] = [one for one in held if one.pk == factor_id] or [None]
    if factor is None:
        return
    if len(held) == 1 and state.is_required(grants(user)):
        raise LastFactor
    factor.delete()
    if len(held) == 1:
        Authenticator.objects.filter(user=user).delete()
    _record(Action.FACTOR_REMOVED, user, actor, kind=factor.type)


@transaction.atomic
def reset(user: User, *, actor: Actor) -> int:
    """For a lost device: take every factor away, so that the next sign-in sets one up; how many there were."""
    _lock(user)
    held = len(state.factors(user))
    Authenticator.objects.filter(user=user).delete()
    # Whoever found the device may sit in a session that it opened.
    end_sessions(user)
    _record(Action.FACTOR_RESET, user, actor, removed=held)
    transaction.on_commit(lambda: unlock(user))
    return held


def _lock(user: User) -> None:
    User.objects.select_for_update().get(pk=user.pk)


def _record(action: Action, user: User, actor: Actor, **details: Any) -> None:
    target = Target("user", f"user:{user.pk}", user.get_username())
    trail.record(action, actor=actor, enterprise_id=None, target=target, details=details)
