"""Why a value is refused: the closed list of codes, and the one error that carries them."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A stable code for logs, rejects files and plots. Codes are never renamed, only added to."""

    EMPTY = "empty"
    TOO_LONG = "too_long"
    LONE_SURROGATE = "lone_surrogate"
    CONTROL_CHARACTERS = "control_characters"
    EMAIL_SYNTAX = "email_syntax"
    EMAIL_DOMAIN = "email_domain"
    PHONE_SYNTAX = "phone_syntax"
    PHONE_LETTERS = "phone_letters"
    PHONE_EXTENSION = "phone_extension"
    PHONE_COUNTRY_MISSING = "phone_country_missing"
    PHONE_COUNTRY_UNKNOWN = "phone_country_unknown"
    PHONE_NOT_POSSIBLE = "phone_not_possible"

    @property
    def hint(self) -> str:
        """One sentence that says how to mend the value."""
        return _HINTS[self]


_HINTS = {
    Reason.EMPTY: "Give a value, or leave the item out.",
    Reason.TOO_LONG: "Shorten it: an e-mail address has at most 254 bytes, a number at most 15 digits.",
    Reason.LONE_SURROGATE: "Export the text again as UTF-8: it holds half of a character.",
    Reason.CONTROL_CHARACTERS: (
        "Remove control and invisible characters from inside the value: NUL, tabs, line breaks, "
        "zero-width blanks, byte order marks."
    ),
    Reason.EMAIL_SYNTAX: (
        "Write a bare address such as name@domain: one @, no display name, no quotes, no blanks, "
        "no leading, trailing or doubled dot before the @."
    ),
    Reason.EMAIL_DOMAIN: (
        "Correct the part after the @: a public domain name with a dot, valid under IDNA 2008, "
        "not a bracketed address and not a reserved name such as localhost."
    ),
    Reason.PHONE_SYNTAX: (
        "Write digits only, or one leading plus and digits with blanks, dashes, dots, slashes and brackets."
    ),
    Reason.PHONE_LETTERS: "Replace letters by the digits they stand for: vanity spellings are not accepted.",
    Reason.PHONE_EXTENSION: "Remove the extension: a text message cannot reach one.",
    Reason.PHONE_COUNTRY_MISSING: "Put the country calling code in front, or name the country of the file.",
    Reason.PHONE_COUNTRY_UNKNOWN: "Correct the country calling code: no country has it.",
    Reason.PHONE_NOT_POSSIBLE: "Count the digits: no number of this country has that many.",
}


class InvalidValue(ValueError):
    """This value cannot be normalised; `code` says why and `hint` how to mend it.

    Neither holds any part of the value, so that the error may be logged.
    """

    def __init__(self, code: Reason) -> None:
        super().__init__(f"{code.value}: {code.hint}")
        self.code = code

    @property
    def hint(self) -> str:
        return self.code.hint

    def __reduce__(self) -> tuple[type[InvalidValue], tuple[Reason]]:
        # The default would rebuild the error from its text, and workers pass errors between processes.
        return (type(self), (self.code,))
