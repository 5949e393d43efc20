"""Synthetic people are the same for everybody, are nobody, and come with a true oracle."""

import csv
import unicodedata
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from portal.synthetic_numbers import COUNTRIES, Country, place_of
from portal.synthetic_people import COLUMNS, Expected, expected, people, person, rows, write_csv
from tokens.formats.kinds import Kind
from tokens.formats.lookalikes import looks_like_identifier
from tokens.formats.normalise import InvalidValue, normalise
from tokens.formats.token_mobile import is_valid_number

SOME = 20_000


def normalised_or_reason(kind: Kind, cell: str) -> str:
    try:
        return normalise(kind, cell)
    except InvalidValue as refused:
        return refused.code.value


def test_every_good_cell_normalises_to_its_person_and_every_bad_one_is_refused_as_said() -> None:
    for row in rows(SOME, seed=3, duplicates=0.3, bad=0.1):
        email, mobile = row.person.email, row.person.mobile
        if row.bad_column == "EmailAddress":
            email = row.reason
        elif row.bad_column == "MobileNumber":
            mobile = row.reason
        assert normalised_or_reason(Kind.EMAIL, row.cells[1]) == email
        assert normalised_or_reason(Kind.MOBILE, row.cells[2]) == mobile


def test_no_two_people_share_a_key_an_address_or_a_number() -> None:
    for field in ("subscriber_key", "email", "mobile"):
        assert len({getattr(one, field) for one in people(SOME)}) == SOME


def test_nobody_real_can_be_met() -> None:
    for one in people(SOME):
        assert one.email.endswith((".example", ".example.net"))
        country, rank = place_of(one.ordinal)
        is_fiction = rank < sum(count for _, count in country.fiction)
        assert is_fiction or not is_valid_number(one.mobile)


@pytest.mark.parametrize("country", COUNTRIES, ids=lambda country: f"{country.code} {country.spare}")
def test_spare_numbers_of_every_country_are_possible_and_invalid(country: Country) -> None:
    spare = sum(count for _, count in country.fiction)
    for rank in range(spare, spare + 10 ** (country.digits - len(country.spare)), 9_973):
        number = country.number(rank)
        assert normalise(Kind.MOBILE, number) == number
        assert not is_valid_number(number)


def test_a_country_that_is_used_up_says_so() -> None:
    smallest = min(COUNTRIES, key=lambda country: 10 ** (country.digits - len(country.spare)))
    with pytest.raises(ValueError, match="make fewer people"):
        smallest.number(10**9)


def test_ten_million_people_have_numbers_of_their_own() -> None:
    for index in range(9_999_000, 10_000_000):
        assert normalise(Kind.MOBILE, person(index).mobile) == person(index).mobile


def test_people_come_from_thirty_countries_and_write_in_many_scripts() -> None:
    some = list(people(2_000))
    assert len({place_of(one.ordinal)[0].code for one in some}) >= 30
    scripts = {unicodedata.name(one.first_name[0]).split()[0] for one in some}
    assert scripts >= {
        "LATIN",
        "GREEK",
        "CYRILLIC",
        "HEBREW",
        "ARABIC",
        "DEVANAGARI",
        "THAI",
        "HANGUL",
        "CJK",
    }


def test_a_few_addresses_have_unicode_local_parts_and_a_few_idna_domains() -> None:
    emails = [one.email for one in people(SOME)]
    unicode_names = [
        one for one in people(SOME) if not one.first_name.isascii() or not one.last_name.isascii()
    ]
    assert 0.015 < sum(not email.isascii() for email in emails) / len(unicode_names) < 0.05
    assert 0.02 < sum("@xn--" in email for email in emails) / SOME < 0.04


def test_a_seed_always_gives_the_same_people_and_another_seed_others() -> None:
    assert person(0).subscriber_key == "SUB-0000001"
    assert list(people(50)) == list(people(50))
    assert person(49) == list(people(50))[49]
    assert [one.email for one in people(50)] != [one.email for one in people(50, seed=2)]
    assert list(rows(500)) == list(islice(rows(100_000), 500))


def test_the_first_people_never_change() -> None:
    """Journeys and screenshots name them."""
    assert [(one.email, one.mobile) for one in people(2)] == [
        ("liam+walker0@correo.example", "12015550100"),
        ("diego.garcia1@correo.example", "34100617284"),
    ]


def test_shares_of_repeated_and_bad_rows_are_as_asked() -> None:
    made = list(rows(SOME, duplicates=0.10, bad=0.01))
    assert 0.09 < sum(row.repeated for row in made) / SOME < 0.11
    assert 0.007 < sum(bool(row.bad_column) for row in made) / SOME < 0.013
    assert not any(row.repeated or row.bad_column for row in rows(1_000, duplicates=0, bad=0))
    assert {row.bad_column for row in made} == {"", "EmailAddress", "MobileNumber"}


def test_a_repeated_row_follows_its_person_and_is_mostly_spelt_otherwise() -> None:
    first: dict[str, tuple[str, ...]] = {}
    otherwise = repeated = 0
    for row in rows(SOME, duplicates=0.3):
        key = row.person.subscriber_key
        if row.repeated:
            repeated += 1
            otherwise += row.cells[1:3] != first[key][1:3]
            assert row.cells[5] != first[key][5]
        else:
            assert key not in first
            first[key] = row.cells
    assert otherwise > 0.8 * repeated


def test_everybody_repeated_can_be_asked_for() -> None:
    made = list(rows(200, duplicates=1, bad=0))
    assert [row.repeated for row in made] == [False] + [True] * 199


def test_subscriber_keys_give_nobody_away() -> None:
    assert all(looks_like_identifier(one.subscriber_key) is None for one in people(1_000))


def test_a_file_and_its_oracle_agree(tmp_path: Path) -> None:
    file, oracle = tmp_path / "people.csv", tmp_path / "expected.csv"
    written = write_csv(file, 3_000, seed=5, duplicates=0.2, bad=0.05, oracle=oracle)

    with file.open(encoding="utf-8", newline="") as lines:
        header, *cells = csv.reader(lines)
    assert tuple(header) == COLUMNS
    assert len(cells) == written.rows == 3_000
    assert written.people + written.repeated == written.rows

    first_spelling: dict[tuple[str, str], tuple[str, str]] = {}
    refused: Counter[str] = Counter()
    for line, (key, email, mobile, *_) in enumerate(cells, start=2):
        for kind, cell in ((Kind.EMAIL, email), (Kind.MOBILE, mobile)):
            try:
                form = normalise(kind, cell)
            except InvalidValue as reason:
                refused[reason.code] += 1
            else:
                first_spelling.setdefault((kind.wire_name, form), (cell, f"{key} {line}"))
    assert refused.total() == written.bad

    with oracle.open(encoding="utf-8", newline="") as lines:
        truth = [
            Expected(kind, form, cell, key, int(line))
            for kind, form, cell, key, line in list(csv.reader(lines))[1:]
        ]
    assert truth == list(expected(3_000, seed=5, duplicates=0.2, bad=0.05))
    assert first_spelling == {
        (one.kind, one.normalised): (one.first_spelling, f"{one.subscriber_key} {one.line}") for one in truth
    }
