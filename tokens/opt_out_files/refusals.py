"""Why a line gives no opt-out: a closed list of codes, each with words that say how to mend it."""

from enum import StrEnum
from typing import Final

from tokens.errors import AmbiguousNumber, BadOptOut, SourceIdReused, UnknownToken
from tokens.formats.reasons import InvalidValue
from tokens.no_token_queue import faults


class Refusal(StrEnum):
    """Codes are stored and never renamed. Faults of a line and of its date have those of the No Token Queue."""

    PERSON_MISSING = "person_missing"
    ID_MISSING = "id_missing"
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105
    ID_REUSED = "id_reused"
    NOT_READABLE = "not_readable"


_HINTS: Final = {
    Refusal.PERSON_MISSING: "There is no address, number or token in it.",
    Refusal.ID_MISSING: "There is no id in it, and the file has no dates: write one of them.",
    Refusal.UNKNOWN_TOKEN: "It is an address on the token domain, and no token of yours reads so: look for a slip.",
    Refusal.ID_REUSED: "Its id stands for another person, channel or code already: are the ids of another system?",
    Refusal.NOT_READABLE: "What it says can't be recorded: look at the line.",
}
_CODES: Final[dict[type[BadOptOut], str]] = {
    SourceIdReused: Refusal.ID_REUSED.value,
    UnknownToken: Refusal.UNKNOWN_TOKEN.value,
    AmbiguousNumber: "phone_country_missing",
}


def code_of(refusal: BadOptOut | InvalidValue) -> str:
    """The code of what the verb refused."""
    if isinstance(refusal, InvalidValue):
        return refusal.code.value
    return _CODES.get(type(refusal), Refusal.NOT_READABLE.value)


def hint_of(code: str) -> str:
    """What a code means, and what mends it."""
    return _HINTS[Refusal(code)] if code in set(Refusal) else faults.hint_of(code)
