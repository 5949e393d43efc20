"""Telephone numbers that are nobody's: as many as wanted, in forty countries."""

from __future__ import annotations

from typing import NamedTuple


class Country(NamedTuple):
    """Numbers of one country. `fiction` are ranges that its regulator keeps for drama, used up first.

    `spare` are leading digits that no range of the country has under libphonenumber 9.0.43: all numbers behind them
    have the right length and are invalid.
    """

    weight: int
    culture: str
    code: str
    digits: int  # after the calling code
    spare: str
    fiction: tuple[tuple[int, int], ...] = ()  # first number and how many

    def number(self, rank: int) -> str:
        """The E.164 digits of the number with this rank; every rank has another one. ValueError past the last."""
        for first, count in self.fiction:
            if rank < count:
                return f"{self.code}{first + rank}"
            rank -= count
        width = self.digits - len(self.spare)
        if rank >= 10**width:
            raise ValueError(f"+{self.code} has only {10**width} spare numbers: make fewer people")
        # Odd and no multiple of five, so that every rank meets another number, and neighbours look unrelated.
        return f"{self.code}{self.spare}{(rank + 1) * 7_654_321 % 10**width:0{width}d}"


_US_AREAS = (
    201,
    202,
    206,
    212,
    213,
    214,
    303,
    305,
    312,
    313,
    317,
    404,
    415,
    503,
    512,
    602,
    617,
    702,
    713,
    808,
)
_CANADIAN_AREAS = (204, 403, 416, 506, 514, 604, 613, 780, 902)


def _555(areas: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """555-0100 to 555-0199 of each area code: kept for fiction throughout North America."""
    return tuple((area * 10_000_000 + 5_550_100, 100) for area in areas)


COUNTRIES = (
    Country(12, "english", "1", 10, "29", _555(_US_AREAS)),
    Country(3, "english", "1", 10, "59", _555(_CANADIAN_AREAS)),
    Country(6, "english", "44", 10, "761", ((7_700_900_000, 1_000),)),  # Ofcom
    Country(5, "german", "49", 11, "10"),
    Country(5, "french", "33", 9, "72", ((639_980_000, 10_000),)),  # ARCEP
    Country(3, "italian", "39", 10, "30"),
    Country(4, "spanish", "34", 9, "100"),
    Country(2, "portuguese", "351", 9, "90"),
    Country(3, "dutch", "31", 9, "60"),
    Country(2, "dutch", "32", 9, "40"),
    Country(2, "german", "41", 9, "70"),
    Country(2, "german", "43", 9, "60"),
    Country(2, "nordic", "46", 9, "71", ((701_740_605, 95),)),  # PTS
    Country(1, "nordic", "47", 8, "42"),
    Country(1, "nordic", "45", 8, "37"),
    Country(1, "nordic", "358", 9, "49"),
    Country(1, "english", "353", 9, "80", ((209_100_000, 100_000),)),  # ComReg
    Country(3, "polish", "48", 9, "100"),
    Country(1, "czech", "420", 9, "61"),
    Country(1, "hungarian", "36", 9, "22"),
    Country(1, "romanian", "40", 9, "714"),
    Country(1, "greek", "30", 10, "60"),
    Country(2, "turkish", "90", 10, "511"),
    Country(2, "ukrainian", "380", 9, "58"),
    Country(1, "kazakh", "7", 10, "73"),
    Country(1, "hebrew", "972", 9, "57"),
    Country(1, "arabic", "971", 9, "51"),
    Country(1, "arabic", "966", 9, "52"),
    Country(1, "arabic", "20", 10, "13"),
    Country(1, "african", "27", 9, "190"),
    Country(1, "african", "234", 10, "82"),
    Country(1, "african", "254", 9, "109"),
    Country(3, "indian", "91", 10, "100"),
    Country(1, "malay", "62", 9, "84"),
    Country(1, "malay", "60", 9, "11"),
    Country(1, "malay", "63", 10, "900"),
    Country(1, "chinese", "65", 8, "10"),
    Country(1, "chinese", "852", 8, "50"),
    Country(1, "chinese", "886", 9, "100"),
    Country(2, "chinese", "86", 11, "10"),
    Country(1, "thai", "66", 9, "100"),
    Country(1, "vietnamese", "84", 9, "992"),
    Country(2, "japanese", "81", 10, "91"),
    Country(1, "korean", "82", 10, "13"),
    Country(2, "english", "61", 9, "441", ((491_570_156, 4),)),  # ACMA
    Country(1, "english", "64", 9, "23"),
    Country(3, "portuguese", "55", 11, "10"),
    Country(2, "spanish", "52", 10, "21"),
    Country(1, "spanish", "57", 10, "34"),
    Country(1, "spanish", "56", 9, "20"),
    Country(1, "spanish", "51", 9, "100"),
    Country(1, "spanish", "54", 11, "90"),
)


def _cycle() -> tuple[tuple[Country, int], ...]:
    """Each country as often as it weighs, well mixed, with its rank within the cycle."""
    slots = [(country, rank) for country in COUNTRIES for rank in range(country.weight)]
    # A stride that shares no factor with the length visits every slot once.
    return tuple(slots[i * 37 % len(slots)] for i in range(len(slots)))


_CYCLE = _cycle()


def place_of(index: int) -> tuple[Country, int]:
    """The country of the person with this index, and the rank of their number there."""
    turn, slot = divmod(index, len(_CYCLE))
    country, rank = _CYCLE[slot]
    return country, turn * country.weight + rank
