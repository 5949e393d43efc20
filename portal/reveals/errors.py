"""What a reveal can be refused for; the docstring is the message."""


class RevealError(Exception):
    """It was not revealed."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or " ".join(str(self.__doc__).split()))


class OverHardCap(RevealError):
    """You have revealed as much as one person may in 24 hours.

    Ask a colleague. If it can't wait, break the glass below: it is revealed at once, an alarm is raised, and somebody
    else reviews it within a day.
    """


class NothingToReveal(RevealError):
    """There is nothing left to reveal: it was erased, or its key has ended."""


class DoesNotOpen(RevealError):
    """The stored value does not open: it was altered, moved or planted. An alarm was raised."""


class OwnReveal(RevealError):
    """Somebody else has to review what you revealed."""


class LooksLikeOwn(RevealError):
    """This could be you, or somebody of your own surname. If it is, let a colleague look. If it is not, or has to be
    you, tick the box below: that you went on stands in the ledger."""


class GrantEnded(RevealError):
    """This was opened already, or its four hours are over: ask anew."""


class NotWhatWasApproved(RevealError):
    """What would be opened is not what was approved: something was erased or changed meanwhile. Ask anew."""


class ReviewedAlready(RevealError):
    """This was reviewed already."""
