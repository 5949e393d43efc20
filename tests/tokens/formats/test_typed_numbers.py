"""What a person means who types a number. All of them are kept for fiction, or for examples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens.formats.kinds import Kind
from tokens.formats.normalise import normalise
from tokens.formats.reasons import InvalidValue
from tokens.formats.typed_numbers import readings


@pytest.mark.parametrize(
    ("typed", "home", "meant"),
    [
        ("+49 151 23456789", "DE", "4915123456789"),
        ("0151 23456789", "DE", "4915123456789"),
        ("0049 151 23456789", "DE", "4915123456789"),
        # As Marketing Cloud and this portal write it: read at home it would be +49 49151….
        ("4915123456789", "DE", "4915123456789"),
        ("13175550101", "DE", "13175550101"),
        ("4366412345678", "DE", "4366412345678"),
        ("(317) 555-0101", "US", "13175550101"),
        ("3175550101", "US", "13175550101"),
        ("1 317 555 0101", "US", "13175550101"),
        ("07700 900123", "GB", "447700900123"),
        ("447700900123", "GB", "447700900123"),
        ("447700900123", "", "447700900123"),
    ],
)
def test_there_is_one_reading_whatever_the_habit(typed: str, home: str, meant: str) -> None:
    assert readings(typed, home) == [meant]


def test_where_nobody_can_tell_there_are_two() -> None:
    """A number of Alabama as it is dialled there, which is one of Singapore with its country calling code."""
    assert readings("6595550123", "US") == ["6595550123", "16595550123"]


@pytest.mark.parametrize(
    ("typed", "home"), [("0151 23456789", ""), ("no number", "DE"), ("", "DE"), ("12", "US")]
)
def test_what_is_no_number_anywhere_is_refused(typed: str, home: str) -> None:
    with pytest.raises(InvalidValue):
        readings(typed, home)


@given(
    st.from_regex(r"\+?[0-9]{4,15}", fullmatch=True),
    st.sampled_from(["", "DE", "US", "DK", "GB", "AT", "IT"]),
)
def test_readings_are_those_of_the_normaliser_and_no_others(typed: str, home: str) -> None:
    possible = set()
    for country in {"", home}:
        try:
            possible.add(normalise(Kind.MOBILE, typed, default_region=country))
        except InvalidValue:
            continue
    found = readings(typed, home) if possible else []
    assert set(found) <= possible
    assert bool(found) == bool(possible)
    if not home or typed.startswith("+"):
        assert len(found) <= 1
