"""What can be wrong with a line of an extract: a closed list of codes, each with words that say how to mend it."""

from enum import StrEnum
from typing import Final

from tokens.formats.reasons import Reason


class Fault(StrEnum):
    """Codes are stored and never renamed. Faults of numbers have the codes of `tokens.formats`."""

    QUOTING = "quoting"
    FIELDS = "fields"
    NOT_TEXT = "not_text"
    NUL = "nul"
    NUMBER_MISSING = "number_missing"
    NUMBER_ROUNDED = "number_rounded"
    DATE_MISSING = "date_missing"
    DATE_UNREADABLE = "date_unreadable"
    DATE_IN_FUTURE = "date_in_future"


_HINTS: Final = {
    Fault.QUOTING: "A quote is not closed, or text follows a closing quote.",
    Fault.FIELDS: "It has more or fewer fields than the first line.",
    Fault.NOT_TEXT: "It holds bytes that are no text in this encoding.",
    Fault.NUL: "It holds NUL characters.",
    Fault.NUMBER_MISSING: "There is no number in it.",
    Fault.NUMBER_ROUNDED: "A spreadsheet rounded the number (4.9E+12): export it as text.",
    Fault.DATE_MISSING: "There is no date in it.",
    Fault.DATE_UNREADABLE: "The date is not written as the recipe says, or is before the year 2000.",
    Fault.DATE_IN_FUTURE: "The date is in the future: is the time zone of the recipe right?",
}
OF_DATES: Final = frozenset({Fault.DATE_MISSING, Fault.DATE_UNREADABLE, Fault.DATE_IN_FUTURE})


def hint_of(code: str) -> str:
    """What a code means, and what mends it."""
    if code in set(Fault):
        return _HINTS[Fault(code)]
    return Reason(code).hint if code in set(Reason) else code
