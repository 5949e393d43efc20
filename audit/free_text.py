"""What people type into evidence: it stays for ever, so it may hold no address and no number of a person.

Reasons, comments, case numbers, labels: where they are typed the form refuses them, and where they are written the verb
does. Names can't be told from other words; addresses and numbers can, with a little care for dates and case numbers.
"""

import re
import unicodedata
from typing import Final

from django.core.exceptions import ValidationError

REFUSED: Final = (
    "Leave addresses and numbers of people out, tokens too: this stays in the evidence for ever. "
    "Name the case instead."
)

_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
# What people write that has many digits and is no number of a person.
_HARMLESS: Final = re.compile(
    rf"""
      \b\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]\d{{2}}:\d{{2}}(?::\d{{2}})?Z?)?\b      # a date: 2026-11-22
    | \b\d{{1,2}}[./]\d{{1,2}}[./]\d{{2}}(?:\d{{2}})?\b                       # 22.11.2026
    | \b{_OCTET}(?:\.{_OCTET}){{3}}(?:/\d{{1,2}})?(?![\d.])                   # a network
    | \b[0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{12}}\b
    | \b[A-Z]{{2,8}}[-\#]?(?:\d{{4}}-\d{{1,6}}|\d{{1,8}})\b                   # a case: CS-2026-0815, INC0012345
    """,
    re.VERBOSE,
)
# Seven digits are as few as the shortest numbers of people have.
_NUMBER: Final = re.compile(r"\d(?:[ ()./-]{0,2}\d){6,}")


class ClearValueInText(ValueError):
    """The text holds what looks like an address or a number of a person. It was not kept."""

    def __init__(self) -> None:
        super().__init__(REFUSED)


def names_a_person(text: str) -> bool:
    """Whether `text` holds what looks like an e-mail address or a phone number, in whatever width it is typed."""
    plain = unicodedata.normalize("NFKC", text).replace("%40", "@")
    return "@" in plain or bool(_NUMBER.search(_HARMLESS.sub(" - ", plain)))


def refuse_clear_values(*texts: str) -> None:
    """For verbs: raises ClearValueInText."""
    if any(map(names_a_person, texts)):
        raise ClearValueInText


def no_clear_values(text: str) -> None:
    """For forms: raises ValidationError."""
    if names_a_person(text):
        raise ValidationError(REFUSED)
