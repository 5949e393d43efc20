"""What can go wrong with keys and sealed values. The docstring is the message; no message holds a value."""


class CryptoError(Exception):
    """A key or a sealed value can't be used."""

    def __init__(self, detail: str = "") -> None:
        message = (self.__doc__ or "").strip()
        super().__init__(f"{message} ({detail})" if detail else message)


class CannotOpen(CryptoError):
    """A sealed value does not open: it was altered, moved to another row, or planted."""


class KeyDestroyed(CannotOpen):
    """The key of a sealed value was destroyed, so the value is gone for good."""


class NoSuchKey(CryptoError):
    """There is no key to seal or compare with: restore the keyset of this enterprise."""


class RootKeyMissing(CryptoError):
    """The stored keyset was wrapped by a root key that FIELD_ENCRYPTION_KEY does not hold."""


class RootKeyMalformed(CryptoError):
    """A root key must be 32 bytes in URL-safe base64."""


class NotSealed(CryptoError, TypeError):
    """A sealed column takes a Clear value or a Sealed one, never text or an SQL expression."""
