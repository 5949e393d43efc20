"""What can go wrong with a logged payload. The docstring is the message; none holds a byte of a body."""


class PayloadError(Exception):
    """Something about a payload can't be read."""

    def __init__(self, detail: str = "") -> None:
        message = (self.__doc__ or "").strip()
        super().__init__(f"{message} ({detail})" if detail else message)


class DamagedPayload(PayloadError):
    """What the payload log stored is damaged, or was written by a newer version of this program."""


class UnreadableBody(PayloadError):
    """The body is not JSON in UTF-8, or is nested beyond what a decoder can follow."""
