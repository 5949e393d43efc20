"""Why a month is not dropped, one tree; the docstring is the message. None holds a clear value."""


class RetentionError(Exception):
    """Nothing was dropped."""

    def __init__(self, detail: str = "") -> None:
        message = " ".join((self.__doc__ or "").split())
        super().__init__(f"{message} ({detail})" if detail else message)


class NotDue(RetentionError):
    """The policy still keeps this month: nothing was dropped."""


class NotApproved(RetentionError):
    """Nobody approved dropping this month, or the approval is older than a day: ask, and let a second person decide."""


class NotSealed(RetentionError):
    """Rows of the month wait for their seal or for a checkpoint: nothing was dropped. Look why sealing stopped."""


class NotAsSealed(RetentionError):
    """The month is not what was sealed, and dropping it would hide that: run manage.py verify_audit first."""


class NothingToDrop(RetentionError):
    """Every row of the month is kept, for legal holds or because verifying needs it: there is nothing to drop."""


class Busy(RetentionError):
    """The log was in use for too long, or a hold was placed meanwhile: nothing was dropped, try again later."""
