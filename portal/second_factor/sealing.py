"""Secrets of second factors, sealed: a stolen dump signs nobody in.

They belong to people, not to an enterprise, so no data key fits: they are wrapped by the root keys themselves, each
bound to its person and its use. A row that is moved to another person does not open. `reseal` follows a rotation
of the root keys; until it has run, the old root key must stay in FIELD_ENCRYPTION_KEY.
"""

import base64
import binascii
from typing import Final, NoReturn

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction

from tokens.crypto import envelope, root_keys
from tokens.crypto.errors import CannotOpen

APP: Final = "totp"
PENDING_APP: Final = "pending-totp"
RECOVERY_CODES: Final = "recovery-codes"
# Where an Authenticator of allauth keeps its secret.
SECRET: Final = "sealed"  # noqa: S105


def seal(text: str, *, user_id: int, use: str) -> str:
    """`text` under the primary root key, as it is stored; it opens for this person and use only."""
    return base64.b64encode(root_keys.provider().wrap(text.encode(), _place(user_id, use))).decode()


def unseal(sealed: str, *, user_id: int, use: str) -> str:
    """The text again. Raises CryptoError when it was altered or moved, or when its root key is gone."""
    try:
        wrapped = base64.b64decode(sealed, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise CannotOpen from None
    return root_keys.provider().unwrap(wrapped, _place(user_id, use)).decode()


def secret_of(factor: Authenticator) -> str:
    """What an app or a set of recovery codes keeps. Raises CryptoError."""
    return unseal(factor.data.get(SECRET, ""), user_id=factor.user_id, use=_use(factor))


def keep(factor: Authenticator, text: str) -> None:
    """Put the secret of a factor in its place, sealed; the caller saves the row."""
    factor.data[SECRET] = seal(text, user_id=factor.user_id, use=_use(factor))


@transaction.atomic
def reseal() -> int:
    """Seal every secret again under the primary root key, after a rotation; how many there are."""
    held = Authenticator.objects.select_for_update().filter(data__has_key=SECRET)
    for factor in held:
        keep(factor, secret_of(factor))
        factor.save(update_fields=["data"])
    return len(held)


def _use(factor: Authenticator) -> str:
    return APP if factor.type == Authenticator.Type.TOTP else RECOVERY_CODES


def _place(user_id: int, use: str) -> bytes:
    return envelope.place("mfa.Authenticator", use, None, user_id)


class MfaAdapter(DefaultMFAAdapter):
    """allauth's adapter. It is not told whose secret it seals, so it may seal none."""

    def encrypt(self, text: str) -> NoReturn:
        raise NotImplementedError("secrets of second factors are kept by portal.second_factor.sealing")

    def decrypt(self, encrypted_text: str) -> NoReturn:
        raise NotImplementedError("secrets of second factors are opened by portal.second_factor.sealing")

    def get_totp_issuer(self) -> str:
        """What the app shows above the code."""
        return f"Token Governance Portal ({settings.ENVIRONMENT})"

    def _get_site_name(self) -> str:
        return "Token Governance Portal"
