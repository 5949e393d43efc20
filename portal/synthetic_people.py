"""Synthetic people for samples, journeys and benchmarks: the same seed always gives the same people.

Nobody real can be met. Addresses end in `.example` or `example.net`; numbers come from ranges kept for fiction, or
from leading digits that no range has. A person is a pure function of seed and index, so nothing is kept in memory,
and any part of a file can be made again on its own, also as the oracle of what a conversion must give.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from portal.synthetic_names import CULTURES, Name
from portal.synthetic_numbers import place_of

COLUMNS = ("SubscriberKey", "EmailAddress", "MobileNumber", "FirstName", "LastName", "City")

UNICODE_LOCAL_PARTS = 0.03
IDNA_DOMAINS = 0.03

_DOMAINS = (
    "mail.example", "post.example", "correo.example", "inbox.example", "families.example", "work.example",
    "web.example", "mail.example.net", "home.example.net", "news.example.net", "m.example", "co.example",
)  # fmt: skip
_IDNA_DOMAINS = (
    ("bücher.example", "xn--bcher-kva.example"),
    ("straße.example", "xn--strae-oqa.example"),
    ("παράδειγμα.example", "xn--hxajbheg2az3al.example"),
    ("почта.example", "xn--80a1acny.example"),
    ("例え.example", "xn--r8jz45g.example"),
    ("مثال.example", "xn--mgbh0fb.example"),
    ("דואר.example", "xn--4dbfg1f.example"),
    ("भारत.example", "xn--h2brj9c.example"),
    ("메일.example", "xn--h32bq4v.example"),
    ("ñandú.example", "xn--and-6ma2c.example"),
)
_UNICODE_DOMAIN = {ascii_form: shown for shown, ascii_form in _IDNA_DOMAINS}


class Person(NamedTuple):
    """Somebody synthetic. `email` and `mobile` are normalised by construction, not by the normaliser."""

    ordinal: int
    subscriber_key: str
    email: str
    mobile: str
    first_name: str
    last_name: str
    city: str


class Row(NamedTuple):
    """A line of a file: what its cells hold, in the order of COLUMNS, and the truth about it.

    A `repeated` row shows a person again, spelled otherwise and in another city. `bad_column` names the one cell
    that must be rejected, for `reason` (a code of tokens.formats.reasons); both are empty in a good row.
    """

    cells: tuple[str, ...]
    person: Person
    repeated: bool
    bad_column: str
    reason: str


class Expected(NamedTuple):
    """What a conversion must know afterwards: a value, and how the first line that had it spelled it."""

    kind: str  # Email or MobileNumber
    normalised: str
    first_spelling: str
    subscriber_key: str
    line: int  # the header is line 1


class Written(NamedTuple):
    """What `write_csv` wrote: lines under the header, and of these the first of each person, repeated and bad."""

    rows: int
    people: int
    repeated: int
    bad: int


def person(index: int, *, seed: int = 1) -> Person:
    """The person with this index; no two of one seed share a key, an address or a number."""
    dice = _dice(seed, index)
    country, rank = place_of(index)
    culture = CULTURES[country.culture]
    first = culture.first[(dice >> 8) % len(culture.first)]
    last = culture.last[(dice >> 16) % len(culture.last)]
    return Person(
        index,
        f"SUB-{index + 1:07d}",
        f"{_local_part(first, last, index, dice)}@{_domain(dice >> 40)}",
        country.number(rank),
        first.shown,
        last.shown,
        culture.cities[(dice >> 24) % len(culture.cities)],
    )


def people(count: int, *, seed: int = 1) -> Iterator[Person]:
    """The first `count` people of a seed."""
    return (person(index, seed=seed) for index in range(count))


def rows(count: int, *, seed: int = 1, duplicates: float = 0.10, bad: float = 0.01) -> Iterator[Row]:
    """`count` lines, of which these shares repeat an earlier person, or are a new one with one bad cell."""
    newcomers = 0
    # Bad people are drawn among the newcomers alone, and must still be that share of all lines.
    bad_newcomers = bad / (1 - duplicates) if duplicates < 1 else 0.0
    for line in range(count):
        dice = _dice(seed + _LINES, line)
        again = _an_earlier_good_person(newcomers, dice >> 20, seed, bad_newcomers)
        if again is not None and _happens(dice, duplicates):
            yield _repeated(person(again, seed=seed), dice >> 20)
            continue
        newcomer = person(newcomers, seed=seed)
        yield (
            _broken(newcomer, dice >> 20)
            if _is_bad(newcomers, seed, bad_newcomers)
            else _first(newcomer, dice)
        )
        newcomers += 1


def expected(count: int, *, seed: int = 1, duplicates: float = 0.10, bad: float = 0.01) -> Iterator[Expected]:
    """The oracle of `rows` with the same arguments: every good value once, in the order of first appearance."""
    for line, row in enumerate(rows(count, seed=seed, duplicates=duplicates, bad=bad), start=2):
        yield from expected_of(row, line)


def expected_of(row: Row, line: int) -> Iterator[Expected]:
    """What one row adds to the oracle."""
    if row.repeated:
        return
    known = row.person
    if row.bad_column != "EmailAddress":
        yield Expected("Email", known.email, row.cells[1], known.subscriber_key, line)
    if row.bad_column != "MobileNumber":
        yield Expected("MobileNumber", known.mobile, row.cells[2], known.subscriber_key, line)


def write_csv(
    path: Path,
    count: int,
    *,
    seed: int = 1,
    duplicates: float = 0.10,
    bad: float = 0.01,
    oracle: Path | None = None,
) -> Written:
    """Writes `count` rows under a header as UTF-8 CSV, and into `oracle`, if given, what to expect of them."""
    repeated = broken = 0
    with ExitStack() as files:
        cells = csv.writer(files.enter_context(path.open("w", encoding="utf-8", newline="")))
        cells.writerow(COLUMNS)
        truth = None
        if oracle:
            truth = csv.writer(files.enter_context(oracle.open("w", encoding="utf-8", newline="")))
            truth.writerow(Expected._fields)
        for line, row in enumerate(rows(count, seed=seed, duplicates=duplicates, bad=bad), start=2):
            cells.writerow(row.cells)
            repeated += row.repeated
            broken += bool(row.bad_column)
            if truth:
                truth.writerows(expected_of(row, line))
    return Written(count, count - repeated, repeated, broken)


# Dice: 64 well mixed bits for each seed and index, of which every choice takes its own.

_MASK = (1 << 64) - 1
_LINES = 1 << 32  # apart from the seeds of people


def _dice(seed: int, index: int) -> int:
    """The finaliser of SplitMix64."""
    x = (seed * 0x9E3779B97F4A7C15 + index * 0xD1B54A32D192ED03) & _MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


def _happens(dice: int, share: float) -> bool:
    """True for this share of dice, by their lowest 20 bits."""
    return (dice & 0xFFFFF) < share * 0x100000


# People


def _local_part(first: Name, last: Name, index: int, dice: int) -> str:
    if _happens(dice >> 32, UNICODE_LOCAL_PARTS):
        return f"{first.unicode}.{last.unicode}{index}"
    style = dice & 7
    if style < 4:
        return f"{first.ascii}.{last.ascii}{index}"
    if style < 6:
        return f"{first.ascii[0]}{last.ascii}{index}"
    return f"{last.ascii}_{first.ascii}{index}" if style == 6 else f"{first.ascii}+{last.ascii}{index}"


def _domain(dice: int) -> str:
    if _happens(dice, IDNA_DOMAINS):
        return _IDNA_DOMAINS[(dice >> 20) % len(_IDNA_DOMAINS)][1]
    return _DOMAINS[(dice >> 20) % len(_DOMAINS)]


def _is_bad(index: int, seed: int, share: float) -> bool:
    return _happens(_dice(seed + 2 * _LINES, index), share)


def _an_earlier_good_person(newcomers: int, dice: int, seed: int, bad: float) -> int | None:
    """Some index below `newcomers` whose row was good, or None."""
    index = dice % newcomers if newcomers else -1
    while index >= 0 and _is_bad(index, seed, bad):
        index -= 1
    return index if index >= 0 else None


# Rows


def _first(known: Person, dice: int) -> Row:
    # Numbers come as Marketing Cloud has them, addresses in any case, nothing with blanks around it: what is kept
    # and sent is the first spelling.
    return Row(_cells(known, _spelt_email(known.email, dice), known.mobile), known, False, "", "")


def _repeated(known: Person, dice: int) -> Row:
    email, mobile = _spelt_email(known.email, dice), _spelt_mobile(known, dice >> 8)
    blanks = _BLANKS[(dice >> 16) % len(_BLANKS)]
    moved = known._replace(city=_NEW_CITIES[(dice >> 24) % len(_NEW_CITIES)])
    return Row(_cells(moved, blanks.format(email), blanks.format(mobile)), known, True, "", "")


def _broken(known: Person, dice: int) -> Row:
    if dice & 1:
        template, reason = _BAD_EMAILS[(dice >> 1) % len(_BAD_EMAILS)]
        local, _, domain = known.email.partition("@")
        cells = _cells(known, template.format(local=local, domain=domain), known.mobile)
        return Row(cells, known, False, "EmailAddress", reason)
    template, reason = _BAD_MOBILES[(dice >> 1) % len(_BAD_MOBILES)]
    national = known.mobile.removeprefix(place_of(known.ordinal)[0].code)
    cells = _cells(known, known.email, template.format(number=known.mobile, national=national))
    return Row(cells, known, False, "MobileNumber", reason)


def _cells(known: Person, email: str, mobile: str) -> tuple[str, ...]:
    return (known.subscriber_key, email, mobile, known.first_name, known.last_name, known.city)


def _spelt_email(form: str, dice: int) -> str:
    """One of the ways to write an address, most often the normalised one."""
    local, _, domain = form.partition("@")
    style = dice & 15
    if domain in _UNICODE_DOMAIN and style & 1:
        domain = _UNICODE_DOMAIN[domain]
        if style & 2:
            domain = unicodedata.normalize("NFD", domain)
    elif style in (10, 12):
        domain = domain.upper()
    if not local.isascii():
        # Upper case would lose a final sigma or a sharp s; taking letters apart loses nothing.
        local = unicodedata.normalize("NFD", local) if style > 8 else local
    elif style in (11, 13):
        local = local.title()
    elif style in (12, 14):
        local = local.upper()
    return f"{local}@{domain}"


def _spelt_mobile(known: Person, dice: int) -> str:
    """One of the ways in which people write a number."""
    code = place_of(known.ordinal)[0].code
    national = known.mobile.removeprefix(code)
    grouped = [national[i : i + 3] for i in range(0, len(national), 3)]
    style = dice & 7
    if style < 3:
        return (known.mobile, f"+{known.mobile}", f"00{known.mobile}")[style]
    if style < 6:
        return f"+{code} " + (" ", "-", ".")[style - 3].join(grouped)
    if style == 6:
        return f"(+{code}) {'/'.join(grouped)}"
    return known.mobile.translate(_FULL_WIDTH)


_FULL_WIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}
_BLANKS = ("{}", "{}", " {}", "{} ", "\t{}", "\u00a0{}", "  {}  ", "{}")
_NEW_CITIES = (
    "Springfield",
    "Neustadt",
    "Villanueva",
    "Newtown",
    "Νέα Πόλη",
    "新町",
    "Новгородка",
    "المدينة",
)

# For conversions without a default region: with one, a number without a country is good.
_BAD_EMAILS = (
    ("{local}.{domain}", "email_syntax"),
    ("{local}@@{domain}", "email_syntax"),
    ("{local}.@{domain}", "email_syntax"),
    ("{local} x@{domain}", "email_syntax"),
    ("<{local}@{domain}>", "email_syntax"),
    ("{local}@localhost", "email_domain"),
    ("{local}@{domain}.", "email_domain"),
    ("{local}@-{domain}", "email_domain"),
    ("{local}@[192.0.2.1]", "email_domain"),
    ("{local}\x07@{domain}", "control_characters"),
    ("{local:x<255}@{domain}", "too_long"),
)
_BAD_MOBILES = (
    ("0{national}", "phone_country_missing"),
    ("999{national}", "phone_country_unknown"),
    ("{number} ext. 12", "phone_extension"),
    ("{number}O", "phone_letters"),
    ("n/a", "phone_letters"),
    ("++{number}", "phone_syntax"),
    ("{number}_", "phone_syntax"),
    ("{number}000000", "phone_not_possible"),
    ("1{national:.4}", "phone_not_possible"),
    ("{number}\x07", "control_characters"),
)
