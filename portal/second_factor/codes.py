"""Codes: the six digits of an authenticator app (RFC 6238), and recovery codes. No code works twice."""

import hmac
import json
import secrets
import time
from typing import Final

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.utils import timezone

from portal.second_factor import sealing
from portal.second_factor.errors import UsedCode, WrongCode

PERIOD_SECONDS: Final = 30
# Clocks of devices are off by some seconds: the code before and the one after are taken too.
STEPS_EITHER_SIDE: Final = 1
# The newest step that was used. It stands in the database, since a cache that forgets would take a code again.
LAST_STEP: Final = "last_step"

RECOVERY_CODES: Final = 10
ALPHABET: Final = (
    "23456789abcdefghjkmnpqrstuvwxyz"  # 31 letters that nobody confuses; ten of them are 49 bits
)


def step_of(secret: str, code: str) -> int | None:
    """The step of time whose code this is, or None."""
    now = int(time.time()) // PERIOD_SECONDS
    for step in range(now - STEPS_EITHER_SIDE, now + STEPS_EITHER_SIDE + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            return step
    return None


def code_at(secret: str, step: int) -> str:
    """The six digits of a step of time."""
    return str(format_hotp_value(hotp_value(secret, step)))


def use_app(factor: Authenticator, code: str) -> None:
    """Take a code of an app; the caller has locked the row. Raises WrongCode, UsedCode."""
    step = step_of(sealing.secret_of(factor), code)
    if step is None:
        raise WrongCode
    if step <= factor.data.get(LAST_STEP, 0):
        raise UsedCode
    factor.data[LAST_STEP] = step
    _save(factor)


def use_recovery_code(factor: Authenticator, code: str) -> int:
    """Take a recovery code, which is struck off; how many are left. The caller has locked the row. Raises WrongCode."""
    codes = unused(factor)
    right = [one for one in codes if hmac.compare_digest(one.encode(), code.lower().encode())]
    if not right:
        raise WrongCode
    left = [one for one in codes if one not in right]
    sealing.keep(factor, json.dumps(left))
    _save(factor)
    return len(left)


def unused(factor: Authenticator) -> list[str]:
    """The recovery codes that are left. Raises CryptoError."""
    found: list[str] = json.loads(sealing.secret_of(factor))
    return found


def new_recovery_codes() -> list[str]:
    """A fresh set, without the dash that people see."""
    return ["".join(secrets.choice(ALPHABET) for _ in range(10)) for _ in range(RECOVERY_CODES)]


def _save(factor: Authenticator) -> None:
    factor.last_used_at = timezone.now()
    factor.save(update_fields=["data", "last_used_at"])
