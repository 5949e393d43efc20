"""Masks for display: enough to recognise a value that one knows, too little to learn one that one does not.

Masks are made on the server and have a fixed width where they hide something, so that they do not tell a
length. They take any text at all, also values that were refused, and give printable characters only.
"""

from __future__ import annotations

import unicodedata

from tokens.formats.kinds import Kind

DOTS = "•••"
_PHONE_DOTS = "•••••"

# A hundred thousand numbers fit behind five hidden digits, and at most six are shown.
_HIDDEN_DIGITS = 5
_SHOWN_DIGITS = 6
_SHOWN_LAST = 2

_LONGEST_TOP_LEVEL = 8


def mask(kind: Kind, text: str) -> str:
    """The mask of a clear value, normalised or as somebody wrote it, valid or not."""
    return mask_email(text) if kind == Kind.EMAIL else mask_mobile(text)


def mask_email(text: str) -> str:
    """`jane@example.com` becomes `j•••@e•••.com`; what has no @ shows its first letter at most."""
    local, at, domain = text.strip().rpartition("@")
    if not at:
        return _first_letter(domain) + DOTS
    host, dot, top = domain.rpartition(".")
    if not dot:
        return f"{_first_letter(local)}{DOTS}@{_first_letter(top)}{DOTS}"
    # An address that was refused can have anything behind its last dot, even a whole name or number.
    is_name = domain.replace(".", "").replace("-", "").isalnum() and top[:1].isalpha()
    shown_top = top if is_name and len(top) <= _LONGEST_TOP_LEVEL else DOTS
    return f"{_first_letter(local)}{DOTS}@{_first_letter(host)}{DOTS}.{shown_top}"


def mask_mobile(text: str) -> str:
    """`13175550111` becomes `1317•••••11`; at least five digits are hidden, of short numbers too."""
    digits = "".join(str(digit) for char in text if (digit := unicodedata.decimal(char, None)) is not None)
    shown = max(0, min(_SHOWN_DIGITS, len(digits) - _HIDDEN_DIGITS))
    last = min(_SHOWN_LAST, shown)
    return digits[: shown - last] + _PHONE_DOTS + (digits[-last:] if last else "")


def mask_attribute(text: str) -> str:
    """Personalisation attributes are hidden whole: a first name is often rare enough to name its bearer."""
    return DOTS if text else ""


def _first_letter(text: str) -> str:
    # A single character is not shown: it would be the whole of what the mask hides.
    first = text[:1]
    return first if len(text) > 1 and first.isprintable() and not unicodedata.combining(first) else ""
