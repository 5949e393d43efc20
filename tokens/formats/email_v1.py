"""Normalisation of e-mail addresses, version 1. Frozen: see `normalise.py` before changing a line.

The form is: trimmed, NFC, lower case, NFC again, and the domain as IDNA ASCII (UTS #46, non-transitional).
Two spellings with the same form are one address. Local parts are compared without case although RFC 5321
allows a server to tell them apart, because none of note does and people do not.

Addresses are judged by syntax alone; nothing is looked up. Domains under `.test` pass: RFC 6761 keeps them
out of public DNS, so an address there reaches nobody, and a rehearsal needs them. `.example` passes for the
same reason.
"""

from __future__ import annotations

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

from tokens.formats.reasons import InvalidValue, Reason

MAX_BYTES = 254
"""Longest address in UTF-8 bytes (RFC 5321, erratum 1690)."""

# Blanks around an address are forgiven, but not without end: what follows costs time by the character.
_MAX_RAW = 1_000

# What email-validator accepts without looking further than ASCII. Possessive (++), so that no input
# backtracks.
_ORDINARY = re.compile(
    r"[a-z0-9_!#$%&'*+\-/=?^`{|}~]++(?:\.[a-z0-9_!#$%&'*+\-/=?^`{|}~]++)*+"
    r"@(?:(?!-)[a-z0-9-]{1,63}+(?<!-)\.)++(?!-)[a-z0-9-]{1,63}+(?<=[a-z])"
)
# Names that email-validator refuses (its SPECIAL_USE_DOMAIN_NAMES), and labels with "--" such as Punycode.
_NOT_ORDINARY = re.compile(r"@.*--|[@.](?:arpa|invalid|local|localhost|onion)\Z")

# Part of the spelling of some words; to remove them would make another domain.
_JOINERS = "\u200c\u200d"


def normalise_email(raw: str) -> str:
    """The address that all spellings of `raw` share, at most 254 bytes of UTF-8.

    Raises InvalidValue. Costs about a microsecond for an ordinary ASCII address and thirty for any other.
    """
    if raw.isascii() and len(raw) <= MAX_BYTES:
        text = raw.strip().lower()
        if _ORDINARY.fullmatch(text) and not _NOT_ORDINARY.search(text):
            return text
    return normalise_any_email(raw)


def normalise_any_email(raw: str) -> str:
    """The same result by email-validator alone: what `normalise_email` must agree with on every input."""
    if len(raw) > _MAX_RAW:
        raise InvalidValue(Reason.TOO_LONG)
    trimmed = raw.strip()
    if not trimmed:
        raise InvalidValue(Reason.EMPTY)
    _refuse_unsafe_characters(trimmed)
    nfc = unicodedata.normalize
    text = nfc("NFC", nfc("NFC", trimmed).lower())
    if len(text.encode()) > MAX_BYTES:
        raise InvalidValue(Reason.TOO_LONG)
    form = _validated(text)
    if form is None:
        raise InvalidValue(_why_not(text))
    return form


def _refuse_unsafe_characters(text: str) -> None:
    categories = set(map(unicodedata.category, text))
    if "Cs" in categories:
        raise InvalidValue(Reason.LONE_SURROGATE)
    if "Cc" in categories:
        raise InvalidValue(Reason.CONTROL_CHARACTERS)


def _validated(text: str) -> str | None:
    try:
        # test_environment lets `.test` pass; it has no other effect while deliverability is not checked.
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        # Its text quotes the address, so it must not become the context of our error.
        return None
    if "." not in found.ascii_domain:
        return None
    return f"{found.local_part}@{found.ascii_domain}"


def _why_not(text: str) -> Reason:
    if any(unicodedata.category(char) == "Cf" and char not in _JOINERS for char in text):
        # Zero-width blanks, byte order marks: the address looks right, so say what cannot be seen.
        return Reason.CONTROL_CHARACTERS
    local, at, domain = text.rpartition("@")
    # The shortest domain there is, so that a long local part is not blamed for its length here.
    if not at or _validated(f"{local}@a.b") is None:
        return Reason.EMAIL_SYNTAX
    if _validated(f"x@{domain}") is None:
        return Reason.EMAIL_DOMAIN
    # Each half is right, so together they must have grown past the limit, as IDNA makes a domain longer.
    return Reason.TOO_LONG
