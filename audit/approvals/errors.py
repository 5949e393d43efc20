"""Why a request for approval can't be made or decided. The docstring is the message; none holds a clear value."""


class ApprovalError(Exception):
    """Nothing was decided and nothing was done."""

    def __init__(self, detail: str = "") -> None:
        message = " ".join((self.__doc__ or "").split())
        super().__init__(f"{message} ({detail})" if detail else message)


class CannotBeDone(ApprovalError):
    """The act can't be carried out as it was asked."""


class HasChanged(CannotBeDone):
    """What would be done is no longer what was asked: look at it again, and ask anew."""


class RequesterMayNot(CannotBeDone):
    """Who asked for this no longer may: somebody who does must ask anew."""


class NotDecidable(ApprovalError):
    """The request is closed: look at what became of it."""


class TooEarly(ApprovalError):
    """Nobody else works here, so the request must first wait for a day: come back when that time has passed."""


class OwnRequest(ApprovalError):
    """Nobody decides their own request: ask a second person."""


class NotTheRequester(ApprovalError):
    """Only who asked may withdraw a request: reject it instead."""


class MayNot(ApprovalError):
    """That is for people with another role: ask somebody who holds it."""


class ReasonMissing(ApprovalError):
    """A second person decides by the reason: write one, of at most 2,000 characters."""

    plan: object = None  # what would be asked, for the page that asks for the reason


class AskAgain(ApprovalError):
    """Somebody asked for the same at this moment, and it was decided at once: look at what became of it."""


class ClearValueInReason(ReasonMissing):
    """Leave addresses and numbers of people out of it, tokens too: it stays in the evidence for ever. Name the case."""


class ClearValueInComment(ApprovalError):
    """Leave addresses and numbers of people out of the comment, tokens too: it stays in the evidence for ever."""


class AboutYourself(ApprovalError):
    """Nobody approves what is about themselves: ask another person."""
