"""Tokens are random, look like what they stand for, and are nobody's address or number."""

import random
from collections import Counter

import phonenumbers
import pytest
from email_validator import validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokens.formats.strategies import CALLING_CODES
from tokens.formats.kinds import Kind
from tokens.formats.lookalikes import canonical_token
from tokens.formats.normalise import normalise
from tokens.formats.phone_v1 import plan_of
from tokens.formats.token_email import draw_email_tokens, looks_like_email_token
from tokens.formats.token_mobile import (
    TokenSpaceExhausted,
    check_lengths,
    draw_mobile_tokens,
    is_valid_number,
)

DOMAIN = "tok.example.net"
EVERY_CODE = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
JANE = "13175550101"


def library_calls_valid(digits: str) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse(f"+{digits}"))


def read_back(digits: str) -> str:
    number = phonenumbers.parse(f"+{digits}")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


def number_of(code: int) -> str:
    """Some number of this calling code; drawing looks at the code alone."""
    return f"{code}5550101"


# E-mail tokens


def test_an_email_token_has_26_base32_characters_before_the_token_domain() -> None:
    for token in draw_email_tokens(100, DOMAIN):
        local, _, domain = token.partition("@")
        assert len(local) == 26
        assert set(local) <= set("abcdefghijklmnopqrstuvwxyz234567")
        assert domain == DOMAIN


def test_an_email_token_is_a_valid_address_that_normalising_leaves_alone() -> None:
    for token in draw_email_tokens(100, DOMAIN):
        assert validate_email(token, check_deliverability=False).normalized == token
        assert normalise(Kind.EMAIL, token) == token
        assert canonical_token(f" {token.upper()}\n") == token


def test_email_tokens_use_every_character_equally_and_never_repeat() -> None:
    tokens = draw_email_tokens(20_000, DOMAIN)
    assert len(set(tokens)) == 20_000
    # 16,250 of each are expected, 125 is one standard deviation: eight of them are never seen by chance.
    counts = Counter(char for token in tokens for char in token.partition("@")[0])
    assert len(counts) == 32
    assert all(abs(count - 16_250) < 1_000 for count in counts.values())


def test_no_email_tokens_can_be_drawn_too() -> None:
    assert draw_email_tokens(0, DOMAIN) == []
    assert draw_mobile_tokens([]) == []


def test_a_token_is_recognised_in_any_case_and_with_blanks_around_it() -> None:
    [token] = draw_email_tokens(1, DOMAIN)
    assert looks_like_email_token(token, DOMAIN)
    assert looks_like_email_token(f"  {token.upper()}\r\n", DOMAIN.upper())
    assert not looks_like_email_token(token, "other.example.net")
    assert not looks_like_email_token("x" + token, DOMAIN)
    assert not looks_like_email_token(token.replace("@", "1@"), DOMAIN)
    assert not looks_like_email_token(f"ana.silva@{DOMAIN}", DOMAIN)


# Mobile tokens


@pytest.mark.parametrize("code", EVERY_CODE)
def test_mobile_tokens_of_every_calling_code_are_invalid_numbers_of_15_digits(code: int) -> None:
    for token in draw_mobile_tokens([number_of(code)] * 40):
        assert len(token) == 15
        assert token.startswith(str(code))
        assert not library_calls_valid(token)
        # A trunk prefix among the digits would be cut off by whoever parses the token.
        assert read_back(token) == token


@pytest.mark.parametrize("length", range(8, 16))
def test_mobile_tokens_of_every_length_are_invalid_or_refused(length: int) -> None:
    for code in EVERY_CODE:
        try:
            tokens = draw_mobile_tokens([number_of(code)] * 3, lengths={str(code): length})
        except TokenSpaceExhausted:
            # The United Nations' relief network has 14 digits and no rule for them.
            assert code == 888
            assert length == 14
            continue
        for token in tokens:
            assert len(token) == length
            assert not library_calls_valid(token)
            assert read_back(token) == token


def test_plain_random_digits_would_be_valid_numbers_in_germany() -> None:
    """The known-bad twin: why candidates are drawn again."""
    dice = random.Random(1)
    plain = [f"49{dice.randrange(10**12, 10**13)}" for _ in range(500)]
    assert sum(map(library_calls_valid, plain)) > 300


def test_a_space_in_which_every_number_is_valid_ends_with_an_error_that_says_what_to_do() -> None:
    with pytest.raises(TokenSpaceExhausted, match=r"14 digits .* \+888 .* set a longer mobile token"):
        draw_mobile_tokens(["88812345678901"], lengths={"888": 14})


@settings(max_examples=1_000)
@given(CALLING_CODES, st.text("0123456789", min_size=4, max_size=14))
def test_our_answer_on_validity_is_never_laxer_than_the_library(code: str, rest: str) -> None:
    digits = code + rest
    if len(digits) > 15:
        assert not is_valid_number(digits)
    elif read_back_or_none(digits) == digits:
        ours, theirs = is_valid_number(digits), library_calls_valid(digits)
        assert ours or not theirs
        if len(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]) == 1:
            assert ours == theirs


def read_back_or_none(digits: str) -> str | None:
    try:
        return read_back(digits)
    except phonenumbers.NumberParseException:
        return None


@pytest.mark.parametrize("code", EVERY_CODE)
def test_example_numbers_of_every_country_are_valid_for_us_too(code: int) -> None:
    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]:
        example = (
            phonenumbers.example_number_for_non_geo_entity(code)
            if region == "001"
            else phonenumbers.example_number(region)
        )
        assert example is not None
        assert is_valid_number(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:])


def test_tokens_come_in_the_order_of_their_numbers_and_are_all_different() -> None:
    numbers = [JANE, "447700900123", "4915112345678"] * 500
    tokens = draw_mobile_tokens(numbers)
    assert len(set(tokens)) == len(tokens)
    for number, token in zip(numbers, tokens, strict=True):
        country, drawn = plan_of(number), plan_of(token)
        assert country is not None
        assert country is drawn


def test_a_small_space_is_drawn_without_repetition() -> None:
    tokens = draw_mobile_tokens(["6834002"] * 3_000, lengths={"683": 8})
    assert len(set(tokens)) == 3_000


class OddNumbersAreTaken:
    def __contains__(self, token: object) -> bool:
        return int(str(token)) % 2 == 1


def test_a_known_identifier_is_never_drawn() -> None:
    assert all(int(token) % 2 == 0 for token in draw_mobile_tokens([JANE] * 200, taken=OddNumbersAreTaken()))


class AllTaken:
    def __contains__(self, token: object) -> bool:
        return True


def test_drawing_ends_when_everything_is_taken() -> None:
    with pytest.raises(TokenSpaceExhausted) as caught:
        draw_mobile_tokens([JANE], taken=AllTaken())
    assert (caught.value.calling_code, caught.value.length) == ("1", 15)
    assert JANE not in str(caught.value)


def test_the_longest_entry_that_fits_decides_the_length() -> None:
    lengths = {"1": 12, "1876": 11, "49": 13}
    numbers = [JANE, "18762101234", "4915112345678", "447700900123"]
    assert [len(token) for token in draw_mobile_tokens(numbers, lengths=lengths)] == [12, 11, 13, 15]


@pytest.mark.parametrize(
    ("lengths", "complaint"),
    [
        ({"49": 16}, "tokens for .49 have 8 to 15 digits"),
        ({"49": 7}, "tokens for .49 have 8 to 15 digits"),
        ({"DE": 13}, "'DE' does not begin with a country calling code"),
        ({"999": 13}, "'999' does not begin with a country calling code"),
        ({"+49": 13}, "does not begin with a country calling code"),
        ({"": 13}, "'' does not begin with a country calling code"),
        ({"2": 13}, "'2' does not begin with a country calling code"),
    ],
)
def test_lengths_that_cannot_be_are_named(lengths: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_lengths(lengths)


def test_lengths_that_can_be_are_accepted() -> None:
    check_lengths({"49": 13, "1876": 12, "7": 8, "883": 15})
    check_lengths({})


def test_a_length_that_was_never_checked_is_not_drawn_with() -> None:
    with pytest.raises(ValueError, match="have 8 to 15 digits"):
        draw_mobile_tokens([JANE], lengths={"1": 20})


def test_a_number_of_no_country_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="country calling code") as caught:
        draw_mobile_tokens(["999555010199"])
    assert "999555010199" not in str(caught.value)
