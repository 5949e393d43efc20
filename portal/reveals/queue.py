"""What can be revealed of the No Token Queue: number and text of a message, and a line that could not be read."""

from collections.abc import Callable
from typing import Final

from audit.trail import Target
from portal.reveals.errors import DoesNotOpen, NothingToReveal
from portal.reveals.subjects import Subject
from tokens.crypto.errors import CannotOpen, KeyDestroyed
from tokens.crypto.fields import Sealed
from tokens.formats.mask import DOTS, mask_mobile
from tokens.models import QueueBadLine, QueueMessage
from tokens.no_token_queue.deciding import target_of
from tokens.no_token_queue.wording import masked_text

PARTS: Final = ("number", "text")


def part_of(message: QueueMessage, part: str) -> Subject | None:
    """The number or the text of a message; None once it was erased, and of anything else."""
    sealed = {"number": message.number, "text": message.text}.get(part)
    if sealed is None:
        return None
    shown = masked_number(message) if part == "number" else masked_message(message)
    title = "number in the No Token Queue" if part == "number" else "text in the No Token Queue"
    return Subject(message.enterprise_id, target_of(message), part, title, shown, lambda: _open(sealed))


def line_of(line: QueueBadLine) -> Subject | None:
    """A line that could not be read, as it was written."""
    sealed: Sealed | None = line.content
    if sealed is None:
        return None
    target = Target("queue-line", str(line.pk), f"line {line.line}")
    return Subject(line.enterprise_id, target, "line", f"line {line.line}", DOTS, lambda: _open(sealed))


def masked_number(message: QueueMessage) -> str:
    """The mask of a message's number, or the word for why there is none."""
    return _masked(message.number, mask_mobile)


def masked_message(message: QueueMessage) -> str:
    """The text of a message with every word hidden that could name somebody."""
    return _masked(message.text, masked_text) or "no text"


def _masked(sealed: Sealed | None, mask: Callable[[str], str]) -> str:
    if sealed is None:
        return "erased"
    try:
        return mask(sealed.open())
    except KeyDestroyed:
        return "erased"
    except CannotOpen:
        return "does not open"


def _open(sealed: Sealed) -> str:
    try:
        return sealed.open()
    except KeyDestroyed:
        raise NothingToReveal from None
    except CannotOpen:
        raise DoesNotOpen from None
