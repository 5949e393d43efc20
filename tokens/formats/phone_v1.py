"""Normalisation of telephone numbers, version 1. Frozen: see `normalise.py` before changing a line.

The form is E.164 digits without the plus. Two readings come before it:
* what Marketing Cloud sends: digits with the country calling code and no plus (`13175550101`);
* what people write: a plus or 00, blanks, dashes, dots, slashes, brackets, a trunk prefix such as the (0) of
  `+44 (0)7700 900123`, digits of any script; with `default_region` also numbers without a country.

A number passes when it is *possible*: a country has the code, and its numbers can have that many digits. It
need not be *valid* (in a range that is known to be assigned): ranges are opened every week, and a refused
number is a STOP that nobody honours, whereas a number that leads nowhere costs one undelivered message. It
also lets the ranges reserved for fiction pass, which rehearsals use.

Whether a number passes, and how a trunk prefix is cut off, decides which mapping a person has. That knowledge
is therefore part of this version: `numbering_plans_v1.json` holds what the `phonenumbers` library knew when
the version was frozen, and a newer library changes nothing here. A test proves that both agree while the
library is the one that the file was made from.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import phonenumbers

from tokens.formats.reasons import InvalidValue, Reason

MAX_DIGITS = 15
"""Longest number in digits, country calling code included (E.164)."""

_MAX_RAW = 100
# A trunk prefix is cut off until nothing changes, so that the form of a form is itself. Two passes are usual.
_MAX_PASSES = 5

_DROP_PUNCTUATION = str.maketrans("", "", " -.()/")
_PLAIN = re.compile(r"\+?[0-9]++")
# Dashes, dots, slashes and brackets, ASCII, typographic and full width.
_PUNCTUATION = frozenset(
    "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u30fc\uff0d"
    "./()[]\u00b7\uff0e\uff0f\uff08\uff09\uff3b\uff3d"
)
# Marks that contact lists put around a copied number: text direction, zero width, soft hyphen, byte order
# mark.
_INVISIBLE = frozenset(
    "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_EXTENSION = re.compile(r"[0-9](?:x|ext|extn|extension|anexo|доб|#|,+|;|;ext=)[0-9]+#?\Z")


@dataclass(frozen=True, slots=True)
class NumberingPlan:
    """What version 1 knows of a country calling code; lengths and patterns are of the part after it."""

    code: str
    lengths: frozenset[int]
    longest: int
    viable: re.Pattern[str]
    trunk: re.Pattern[str] | None
    trunk_rule: str | None

    def is_possible(self, national: str) -> bool:
        return len(national) in self.lengths and len(self.code) + len(national) <= MAX_DIGITS

    def without_trunk_prefix(self, national: str) -> str:
        """`national` less its trunk prefix, by the rules of libphonenumber's parser, once."""
        found = self.trunk.match(national) if self.trunk else None
        if found is None:
            return national
        if self.trunk_rule is None or found[found.re.groups] is None:
            rest = national[found.end() :]
        else:
            rest = found.expand(self.trunk_rule) + national[found.end() :]
        if self.viable.fullmatch(national) and not self.viable.fullmatch(rest):
            return national
        # A result of no possible length means that the prefix was part of the number, unless it is still too
        # long.
        return rest if len(rest) in self.lengths or len(rest) > self.longest else national


class _Plans(dict[str, NumberingPlan | None]):
    """The plan for the first three digits of a number, compiled when first asked for: there are 215."""

    def __init__(self) -> None:
        text = Path(__file__).with_name("numbering_plans_v1.json").read_text(encoding="ascii")
        self._by_code: dict[str, dict[str, Any]] = json.loads(text)["plans"]

    def __missing__(self, start: str) -> NumberingPlan | None:
        plan: NumberingPlan | None
        if start in self._by_code:
            plan = _compiled(start, self._by_code[start])
        else:
            # No calling code is the beginning of another, so the order of the attempts does not matter.
            code = next((start[:n] for n in (1, 2) if start[:n] in self._by_code), None)
            plan = self[code] if code else None
        self[start] = plan
        return plan


def _compiled(code: str, facts: dict[str, Any]) -> NumberingPlan:
    return NumberingPlan(
        code=code,
        lengths=frozenset(facts["lengths"]),
        longest=max(facts["lengths"]),
        viable=re.compile(facts["viable"]),
        trunk=re.compile(facts["trunk"]) if "trunk" in facts else None,
        trunk_rule=facts.get("trunk_rule"),
    )


_PLANS = _Plans()


def normalise_phone(raw: str, default_region: str = "") -> str:
    """E.164 digits without the plus, 6 to 15 of them.

    `default_region` (ISO 3166, two letters) says where a number without plus or 00 was written; without it
    such a number is read as beginning with its country calling code, which is how Marketing Cloud sends it.
    Raises InvalidValue for a bad number and ValueError for an unknown region. Costs about a microsecond for
    bare digits.
    """
    if not default_region and raw.isascii() and raw.isdigit() and raw[0] != "0" and len(raw) <= _MAX_RAW:
        return _e164(raw)
    return _e164(_international(raw, default_region))


def plan_of(digits: str) -> NumberingPlan | None:
    """The numbering plan that E.164 digits (without plus) belong to; None if no country has the code."""
    return _PLANS[digits[:3]]


def _e164(digits: str) -> str:
    """The form of digits that begin with a country calling code."""
    plan = _PLANS[digits[:3]]
    if plan is None:
        raise InvalidValue(Reason.PHONE_COUNTRY_UNKNOWN)
    national = digits[len(plan.code) :]
    for _ in range(_MAX_PASSES):
        rest = plan.without_trunk_prefix(national)
        if rest == national:
            break
        national = rest
    else:
        raise InvalidValue(Reason.PHONE_NOT_POSSIBLE)
    if not plan.is_possible(national):
        raise InvalidValue(Reason.PHONE_NOT_POSSIBLE)
    return plan.code + national


def _international(raw: str, region: str) -> str:
    """The digits of a number as people write it, beginning with the country calling code."""
    if region and region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"unknown region {region!r}: give a country as two capital letters, for instance US")
    text = _plain(raw)
    if text[0] == "+":
        return _with_country(text[1:])
    if region:
        return _read_in(region, text)
    if text.startswith("00"):
        return _with_country(text[2:])
    return _with_country(text)


def _with_country(digits: str) -> str:
    if not digits:
        raise InvalidValue(Reason.PHONE_SYNTAX)
    if digits[0] == "0":
        raise InvalidValue(Reason.PHONE_COUNTRY_MISSING)
    return digits


def _read_in(region: str, digits: str) -> str:
    """International digits of a number as dialled in `region`. The library reads; the form comes after."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    own_prefix = metadata.international_prefix if metadata else None
    if digits.startswith("00") and not (own_prefix and re.match(own_prefix, digits)):
        # 00 is written everywhere, also where another prefix is dialled.
        return _with_country(digits[2:])
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        number = None
    if number is None:
        raise InvalidValue(Reason.PHONE_NOT_POSSIBLE)
    return f"{number.country_code}{phonenumbers.national_significant_number(number)}"


def _plain(raw: str) -> str:
    """ASCII digits, after a plus if there was one: punctuation dropped, digits of any script read."""
    if len(raw) > _MAX_RAW:
        raise InvalidValue(Reason.TOO_LONG)
    text = raw.strip()
    if text.isascii() and _PLAIN.fullmatch(plain := text.translate(_DROP_PUNCTUATION)):
        return plain
    plain = "".join(map(_ascii, text))
    if _PLAIN.fullmatch(plain):
        return plain
    raise InvalidValue(_why_not(text, plain))


def _ascii(char: str) -> str:
    """The ASCII digit or plus that a character stands for, nothing for punctuation, else itself."""
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    if char in "+\uff0b":
        return "+"
    if char in _PUNCTUATION or char in _INVISIBLE or unicodedata.category(char) == "Zs":
        return ""
    return char


def _why_not(text: str, plain: str) -> Reason:
    categories = set(map(unicodedata.category, text))
    if not text:
        return Reason.EMPTY
    if "Cs" in categories:
        return Reason.LONE_SURROGATE
    if "Cc" in categories:
        return Reason.CONTROL_CHARACTERS
    if _EXTENSION.search(plain.lower()):
        return Reason.PHONE_EXTENSION
    if any(category[0] == "L" for category in categories):
        return Reason.PHONE_LETTERS
    return Reason.PHONE_SYNTAX
