"""Telling tokens, clear values and harmless keys apart by their looks alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import phonenumbers

from tokens.formats.kinds import Kind
from tokens.formats.normalise import InvalidValue, normalise
from tokens.formats.token_mobile import is_valid_number

_TOKEN = re.compile(r"[!-~]{1,254}")
_TOKENS = re.compile(r"[!-~]{1,254}+(?:\n[!-~]{1,254}+)*+")
_ADDRESS = re.compile(r"[^\s@]@[^\s@]*[^\s@.]\.[^\s@.]")
_NUMBER = re.compile(r"\+?[0-9\-. ()/\[\]]*[0-9][0-9\-. ()/\[\]]*")
_NOT_A_DIGIT = re.compile(r"[^0-9]+")
# Fewer digits than these in common are no evidence that a key is a part of a number.
_TELLING_DIGITS = 7
_LONGEST_KEY = 254


def canonical_token(text: str) -> str | None:
    """The form in which tokens are stored: blanks around it dropped, lower case; None if no token looks so.

    Tokens are printable ASCII of at most 254 characters; anything else is None rather than a text that a
    database might refuse (NUL, half a surrogate pair) or that folds onto a token (the Kelvin sign is a k in
    lower case).
    """
    token = text.strip()
    return token.lower() if _TOKEN.fullmatch(token) else None


def canonical_tokens(texts: Sequence[str]) -> list[str | None]:
    """`canonical_token` of each; a batch that came as it was stored is judged at once."""
    joined = "\n".join(texts)
    if joined.isascii() and _TOKENS.fullmatch(joined) and joined.count("\n") == len(texts) - 1:
        return [*joined.lower().split("\n")]
    return list(map(canonical_token, texts))


def looks_like_identifier(text: str, *, default_region: str = "") -> Kind | None:
    """The kind of clear value that a subscriber key is or holds; None for a key that seems to name nobody.

    Marketing Cloud keeps the subscriber key beside the token, so a key that is itself an address or a number
    defeats tokenization. An address counts wherever it stands in the key. A number counts if it is the whole
    key: after a plus if it is possible, otherwise only if it is valid, since plain customer numbers are
    common. Even so one in eleven random keys of ten digits and one in five of eleven is a valid number
    somewhere (few among short or sequential ones), so a refusal needs a way out. `default_region` adds the
    numbers of one country as they are dialled there. Ask `is_own_value` as well where the row's own values
    are at hand: it has no such doubt.
    """
    key = unicodedata.normalize("NFKC", text[:_LONGEST_KEY]).strip()
    if _ADDRESS.search(key.replace("%40", "@")):
        return Kind.EMAIL
    if not _NUMBER.fullmatch(key):
        return None
    if key.startswith("+"):
        return Kind.MOBILE if _is_possible(key) else None
    digits = _NOT_A_DIGIT.sub("", key)
    if is_valid_number(digits.removeprefix("00")) or (
        default_region and _is_valid_in(default_region, digits)
    ):
        return Kind.MOBILE
    return None


def is_own_value(key: str, kind: Kind, normalised: str) -> bool:
    """Whether a subscriber key is the row's own value in some spelling, also without the country code."""
    try:
        if normalise(kind, key) == normalised:
            return True
    except InvalidValue:
        pass
    if kind != Kind.MOBILE or any(map(str.isalpha, key)):
        return False
    digits = _NOT_A_DIGIT.sub("", unicodedata.normalize("NFKC", key)).lstrip("0")
    return len(digits) >= _TELLING_DIGITS and normalised.endswith(digits)


def _is_possible(number: str) -> bool:
    try:
        normalise(Kind.MOBILE, number)
    except InvalidValue:
        return False
    return True


def _is_valid_in(region: str, digits: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region))
    except phonenumbers.NumberParseException:
        return False
