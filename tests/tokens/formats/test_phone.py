"""Telephone numbers come into E.164 digits, as libphonenumber reads them."""

import phonenumbers
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.tokens.formats.strategies import ANYTHING, CALLING_CODES, DIGITS, NUMBERS
from tests.tokens.formats.test_pins import KNOWN_OTHERWISE
from tokens.formats.phone_v1 import normalise_phone
from tokens.formats.reasons import InvalidValue

REGIONS = st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS))


def outcome(raw: str, region: str = "") -> str:
    try:
        return normalise_phone(raw, region)
    except InvalidValue as refused:
        return f"refused: {refused.code}"


def by_the_library(digits: str) -> str | None:
    """E.164 by phonenumbers, read again until nothing changes; None if it is not possible there.

    The library keeps a doubled trunk prefix for the next reading; version 1 cuts it off at once, up to four
    of them.
    """
    for _ in range(5):
        try:
            number = phonenumbers.parse(f"+{digits}")
        except phonenumbers.NumberParseException:
            return None
        form = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
        if form == digits:
            reason = phonenumbers.is_possible_number_with_reason(number)
            return form if reason == phonenumbers.ValidationResult.IS_POSSIBLE and len(form) <= 15 else None
        digits = form
    return None


@settings(max_examples=1_000)
@given(DIGITS.filter(lambda digits: not digits.startswith("0")))
@example("4407700900123")
# What reads as a trunk prefix is part of these: less it, they would belong to no range.
@example("375820960631")
@example("5590615416508")
@example("5401115234567")
@example("2614123456")
@example("49" + "1" * 13)
@example("49" + "1" * 14)
def test_version_1_agrees_with_the_library_on_international_digits(digits: str) -> None:
    assume(not digits.startswith(tuple(KNOWN_OTHERWISE)))
    form = outcome(digits)
    assert (None if form.startswith("refused") else form) == by_the_library(digits)


@settings(max_examples=1_000)
@given(CALLING_CODES, st.text("0123456789", min_size=1, max_size=15))
def test_version_1_agrees_with_the_library_for_every_calling_code(code: str, rest: str) -> None:
    assume(code not in KNOWN_OTHERWISE)
    form = outcome(code + rest)
    assert (None if form.startswith("refused") else form) == by_the_library(code + rest)


@given(DIGITS)
def test_bare_digits_and_written_numbers_take_different_paths_to_one_form(digits: str) -> None:
    written = " ".join(digits)
    assert outcome(written) == outcome(digits)
    assert outcome("\u202a" + "\u2011".join(digits)) == outcome(digits)
    if not digits.startswith("0"):
        assert outcome(f"+{digits}") == outcome(f"00 {written}") == outcome(f"(+{digits})") == outcome(digits)


@given(st.one_of(NUMBERS, ANYTHING), st.just("") | REGIONS)
def test_the_form_of_a_form_is_itself(raw: str, region: str) -> None:
    form = outcome(raw, region)
    if not form.startswith("refused"):
        assert normalise_phone(form) == form
        assert set(form) <= set("0123456789")
        assert 5 <= len(form) <= 15


@given(REGIONS, st.text("0123456789", min_size=3, max_size=13))
def test_a_number_of_a_country_is_read_as_the_library_reads_it(region: str, digits: str) -> None:
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return
    if not digits.startswith("00"):
        expected = f"{number.country_code}{phonenumbers.national_significant_number(number)}"
        assert outcome(digits, region) == outcome(expected)


def mobile_examples() -> list[tuple[str, phonenumbers.PhoneNumber]]:
    mobile = phonenumbers.PhoneNumberType.MOBILE
    regions = sorted(phonenumbers.SUPPORTED_REGIONS)
    return [(region, n) for region in regions if (n := phonenumbers.example_number_for_type(region, mobile))]


@pytest.mark.parametrize(("region", "number"), mobile_examples(), ids=lambda value: str(value)[:2])
def test_the_mobile_numbers_of_every_country_pass_in_every_spelling(
    region: str, number: phonenumbers.PhoneNumber
) -> None:
    form = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
    spellings = phonenumbers.PhoneNumberFormat
    assert normalise_phone(form) == form
    assert normalise_phone(phonenumbers.format_number(number, spellings.INTERNATIONAL)) == form
    assert normalise_phone(phonenumbers.format_number(number, spellings.NATIONAL), region) == form


def test_an_unknown_region_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="unknown region 'XX'"):
        normalise_phone("07700 900123", "XX")


@given(NUMBERS)
def test_a_refusal_holds_nothing_of_the_number(raw: str) -> None:
    for region in ("", "GB"):
        with pytest.raises(InvalidValue) as caught:
            normalise_phone("secret 7700900123" + raw, region)
        assert "7700900123" not in str(caught.value)
        assert caught.value.__context__ is None


def test_a_hostile_length_costs_nothing() -> None:
    for raw in ("1" * 10**7, " " * 10**7, "+" * 10**7, "1x" * 10**6, "\u0661" * 10**6):
        with pytest.raises(InvalidValue):
            normalise_phone(raw)
