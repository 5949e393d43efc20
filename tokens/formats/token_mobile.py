"""Mobile tokens: a real country calling code and random digits that no number of that country can be.

The claim is *invalid under the pinned metadata*: libphonenumber, in the version that requirements.txt pins,
reads the token back digit by digit and calls it invalid. It is not *never a real number*: countries open new
ranges, and the next metadata may call an old token valid. At 15 digits, the default, this can only happen in
the countries that have numbers of 15 digits at all (Germany, Austria, Japan and some twenty more); elsewhere
the length alone is proof.

A token must also survive being parsed. A leading digit that reads as a trunk prefix (`+44 0…`) would be cut
off by the first system that normalises it, so such candidates are drawn again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import phonenumbers

from tokens.formats.phone_v1 import plan_of

DEFAULT_LENGTH = 15
SHORTEST = 8
LONGEST = 15
"""Digits in all; Marketing Cloud's SMS API takes 8 to 15, its tokens at most 15 characters."""

# Where nearly all numbers of a length are valid, as 11 digits are in some countries, an end must come. With
# one candidate in a hundred free, 2,000 draws fail once in 500 million tokens.
MAX_DRAWS = 2_000

_NO_LENGTHS: Mapping[str, int] = MappingProxyType({})


class TokenSpaceExhausted(RuntimeError):
    """No free mobile token was found; give this country longer tokens."""

    def __init__(self, calling_code: str, length: int) -> None:
        super().__init__(
            f"no unused, invalid number of {length} digits was found for calling code +{calling_code} "
            f"in {MAX_DRAWS} draws: set a longer mobile token for this country (at most {LONGEST} digits)"
        )
        self.calling_code = calling_code
        self.length = length


def draw_mobile_tokens(
    numbers: Sequence[str],
    *,
    lengths: Mapping[str, int] = _NO_LENGTHS,
    taken: Container[str] = frozenset(),
) -> list[str]:
    """A new token for each of `numbers` (E.164 digits without plus), in their order and all different.

    `lengths` maps the leading digits of numbers to the digits that their tokens have in all: `{"49": 13}` for
    Germany, `{"1876": 12}` for Jamaica alone; the longest entry that fits decides, and without one it is 15.
    `taken` holds identifiers that a token must not equal, at least the clear numbers that are known: any
    object with `in`. Raises TokenSpaceExhausted, and ValueError for a number that no country has.
    """
    chosen: set[str] = set()
    tokens = []
    for number in numbers:
        token = _draw(_space_for(number, lengths), taken, chosen)
        chosen.add(token)
        tokens.append(token)
    return tokens


def check_lengths(lengths: Mapping[str, int]) -> None:
    """Raises ValueError, with the entry at fault, unless `lengths` can be given to `draw_mobile_tokens`."""
    for start, length in lengths.items():
        if not (start.isascii() and start.isdigit()) or (plan := plan_of(start)) is None:
            raise ValueError(f"{start!r} does not begin with a country calling code: write digits such as 49")
        if not start.startswith(plan.code):
            raise ValueError(f"{start!r} is shorter than its country calling code +{plan.code}")
        if type(length) is not int or not SHORTEST <= length <= LONGEST:
            raise ValueError(
                f"tokens for +{start} have {SHORTEST} to {LONGEST} digits: give a number of these"
            )


def is_valid_number(digits: str) -> bool:
    """Whether libphonenumber calls these E.164 digits valid: its answer, ten times faster.

    Where several countries share a calling code, a number counts as valid if any of them has it, whereas the
    library asks only the first one that claims the leading digits. So this can be stricter on tokens, and
    never laxer.
    """
    plan = plan_of(digits)
    if plan is None or not len(plan.code) < len(digits) <= LONGEST:
        return False
    return _space(plan.code, len(digits)).has(digits[len(plan.code) :])


@dataclass(frozen=True, slots=True)
class _Space:
    """The candidates of one calling code and length, and what the library says of them."""

    code: str
    length: int
    valid: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]
    trunk: re.Pattern[str] | None

    def has(self, national: str) -> bool:
        """Whether this part after the calling code makes a valid number."""
        return any(general.fullmatch(national) and kind.fullmatch(national) for general, kind in self.valid)

    def survives_parsing(self, national: str) -> bool:
        found = self.trunk.match(national) if self.trunk else None
        return found is None or found.end() == 0


def _draw(space: _Space, taken: Container[str], chosen: set[str]) -> str:
    digits = space.length - len(space.code)
    candidates = 10**digits
    for _ in range(MAX_DRAWS):
        # 128 random bits over at most 10^14 candidates: none is likelier than another by more than 10^-24.
        national = str(int.from_bytes(os.urandom(16)) % candidates).zfill(digits)
        if not space.survives_parsing(national) or space.has(national):
            continue
        token = space.code + national
        if token not in chosen and token not in taken:
            return token
    raise TokenSpaceExhausted(space.code, space.length)


def _space_for(number: str, lengths: Mapping[str, int]) -> _Space:
    plan = plan_of(number)
    if plan is None:
        raise ValueError("a mobile token needs a number that begins with a country calling code")
    return _space(plan.code, _length_for(number, lengths) if lengths else DEFAULT_LENGTH)


def _length_for(number: str, lengths: Mapping[str, int]) -> int:
    fitting = (number[:n] for n in range(len(number), 0, -1) if number[:n] in lengths)
    start = next(fitting, None)
    if start is None:
        return DEFAULT_LENGTH
    check_lengths({start: lengths[start]})
    return lengths[start]


@cache
def _space(code: str, length: int) -> _Space:
    of_region = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]
    metadata = [found for region in regions if (found := of_region(int(code), region))]
    # The parser asks only the main region, the first one, for its trunk prefix.
    trunk = metadata[0].national_prefix_for_parsing
    valid = [pair for one in metadata for pair in _valid_patterns(one, length - len(code))]
    return _Space(code, length, tuple(valid), re.compile(trunk) if trunk else None)


_NUMBER_TYPES = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager",
    "uan", "voicemail",
)  # fmt: skip


def _valid_patterns(
    metadata: phonenumbers.PhoneMetadata, national_length: int
) -> list[tuple[re.Pattern[str], re.Pattern[str]]]:
    """Pairs of patterns, the country's and one type's: a valid number of this length matches both."""
    general = _pattern(metadata.general_desc, national_length)
    kinds = (_pattern(getattr(metadata, name), national_length) for name in _NUMBER_TYPES)
    return [(general, kind) for kind in kinds if kind] if general else []


def _pattern(
    description: phonenumbers.PhoneNumberDesc | None, national_length: int
) -> re.Pattern[str] | None:
    if description is None or not description.national_number_pattern:
        return None
    if description.possible_length and national_length not in description.possible_length:
        return None
    return re.compile(description.national_number_pattern)
