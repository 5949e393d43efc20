"""Root keys: they wrap the data keys and nothing else. A provider has two verbs, so a KMS fits behind it."""

import base64
import binascii
import hashlib
from functools import lru_cache
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from tokens.crypto import envelope
from tokens.crypto.errors import RootKeyMalformed, RootKeyMissing

KEY_BYTES = 32
URL_SAFE = str.maketrans("-_", "+/")


class RootKeyProvider(Protocol):
    """Wraps and unwraps data keys. `context` is authenticated: a wrapped key opens only where it was made for."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key`, wrapped under the primary root key."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key of `wrapped`. Raises RootKeyMissing or CannotOpen."""
        ...


class LocalRootKeys:
    """Root keys held in memory, from FIELD_ENCRYPTION_KEY or a file: the first wraps, every one unwraps."""

    def __init__(self, keys: list[str]) -> None:
        decoded = [self._decode(key) for key in keys]
        if not decoded:
            raise RootKeyMissing("FIELD_ENCRYPTION_KEY is empty")
        self._ciphers = {self.fingerprint(key): AESGCM(key) for key in decoded}
        self._primary = self.fingerprint(decoded[0])

    @staticmethod
    def _decode(text: str) -> bytes:
        try:
            # A name before a colon is for people; both alphabets of base64 are read.
            key = base64.b64decode(text.strip().rpartition(":")[2].translate(URL_SAFE), validate=True)
        except (ValueError, binascii.Error):
            raise RootKeyMalformed from None
        if len(key) != KEY_BYTES:
            raise RootKeyMalformed(f"it has {len(key)} bytes")
        return key

    @staticmethod
    def fingerprint(key: bytes) -> int:
        """A public 32-bit name of a root key, which stands in the envelopes that it wraps."""
        return int.from_bytes(hashlib.sha256(b"token-portal root key" + key).digest()[:4], "big")

    def wrap(self, key: bytes, context: bytes) -> bytes:
        return envelope.sealer(self._ciphers[self._primary], self._primary)(key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        cipher = self._ciphers.get(envelope.key_id_of(wrapped))
        if cipher is None:
            raise RootKeyMissing
        return envelope.unseal(cipher, wrapped, context)


@lru_cache(maxsize=1)
def provider() -> RootKeyProvider:
    """The provider that settings.ROOT_KEYS names."""
    return LocalRootKeys(settings.ROOT_KEYS)
