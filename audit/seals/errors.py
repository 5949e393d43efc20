"""What sealing refuses, one tree; the docstring is the message."""


class SealError(Exception):
    """The seals cannot go on."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or (type(self).__doc__ or "").strip())


class SigningKeyMissing(SealError):
    """There is no signing key."""


class SigningKeyMalformed(SealError):
    """The signing key is malformed."""


class NoteMalformed(SealError):
    """A checkpoint is not a signed note as docs/evidence.md describes it."""


class SignatureWrong(SealError):
    """A checkpoint does not bear a signature of this key."""


class HeadMoved(SealError):
    """The head outside the database is not the one that was read: somebody else advanced it."""


class HeadUnreadable(SealError):
    """The head outside the database cannot be read or written."""


class SealingStopped(SealError):
    """The database does not hold what was sealed: nothing is sealed until that is declared."""


class NothingToDeclare(SealError):
    """The database holds everything that was sealed: there is no restore to declare."""
