"""Why a bulk job rejects a cell: the codes of `tokens.formats.reasons`, and those that only a whole row can have."""

from enum import StrEnum
from typing import Final

from tokens.formats.reasons import Reason


class RowReason(StrEnum):
    """Codes are never renamed, only added to: rejects files and plots know them."""

    KEY_IS_IDENTIFIER = "subscriber_key_is_identifier"
    KEY_MALFORMED = "subscriber_key_malformed"
    KEY_ERASED = "subscriber_key_erased"
    ROW_WITHOUT_KEY = "row_without_key"
    VALUE_ERASED = "value_erased"
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105

    @property
    def hint(self) -> str:
        """One sentence that says how to mend the cell."""
        return _HINTS[self]


_HINTS = {
    RowReason.KEY_IS_IDENTIFIER: (
        "Use a key that names nobody: Marketing Cloud stores it in the clear. --derive-keys makes one instead."
    ),
    RowReason.KEY_MALFORMED: "Use a key of 1 to 254 printable characters.",
    RowReason.KEY_ERASED: "Leave the row out: this contact was erased.",
    RowReason.ROW_WITHOUT_KEY: "Mend the row's subscriber key: its cells were not converted either.",
    RowReason.VALUE_ERASED: "Leave the value out: its person was erased, and needs new consent to come back.",
    RowReason.UNKNOWN_TOKEN: "Put the clear value here: this looks like a token, but was never given out.",
}


_ALL_HINTS: Final[dict[str, str]] = {reason.value: reason.hint for reason in (*Reason, *RowReason)}


def hint_of(code: str) -> str:
    """The hint of any code that a reject can have."""
    return _ALL_HINTS.get(code, "")
