"""Masks let a person recognise a value, and learn none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tokens.formats.strategies import ADDRESSES, ANYTHING, NUMBERS
from tokens.formats.kinds import Kind
from tokens.formats.mask import DOTS, mask, mask_attribute, mask_email, mask_mobile
from tokens.formats.normalise import InvalidValue, normalise


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("jane@example.com", "j•••@e•••.com"),
        ("j.smith+news@mail.example.com", "j•••@m•••.com"),
        ("  Jane@Example.COM ", "J•••@E•••.COM"),
        ("a@b.example", "•••@•••.example"),
        ("josé@bücher.example", "j•••@b•••.example"),
        ("用户@例え.example", "用•••@例•••.example"),
        ("ana@mail.xn--p1ai", "a•••@m•••.xn--p1ai"),
        ("ana@mail.photography", "a•••@m•••.•••"),
        ("ana@localhost", "a•••@l•••"),
        ("13175550101@sms", "1•••@s•••"),
        ("ana bo", "a•••"),
        ("@", "•••@•••"),
        ("", "•••"),
        ("\ud800\x00@\x1b[0m.com", "•••@•••.•••"),
        ("ana@mail.example ana.silva", "a•••@m•••.•••"),
    ],
)
def test_an_address_shows_its_first_letters_and_its_top_level(text: str, masked: str) -> None:
    assert mask_email(text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("13175550111", "1317•••••11"),
        ("+1 (317) 555-0111", "1317•••••11"),
        ("491511234567890", "4915•••••90"),
        ("1317555011", "131•••••11"),
        ("45201234", "4•••••34"),
        ("6834002", "•••••02"),
        ("683400", "•••••0"),
        ("12345", "•••••"),
        ("", "•••••"),
        ("1-800-FLOWERS", "•••••"),
        ("١٣١٧٥٥٥٠١١١", "1317•••••11"),
    ],
)
def test_a_number_shows_at_most_its_first_four_and_last_two_digits(text: str, masked: str) -> None:
    assert mask_mobile(text) == masked


def test_a_mask_does_not_tell_a_length() -> None:
    assert mask_email("jo@x1.com") == mask_email("jonathan.longname@x1-very-long-name.com")
    assert mask_mobile("13175550111") == mask_mobile("131755550555011")


def test_attributes_are_hidden_whole() -> None:
    assert mask_attribute("Ana") == mask_attribute("Bartholomäus") == DOTS
    assert mask_attribute("") == ""


@given(ADDRESSES | ANYTHING)
def test_no_mask_of_an_address_shows_two_letters_of_the_local_part_or_of_the_host(text: str) -> None:
    local, _, domain = text.strip().rpartition("@")
    shown_local, _, shown_domain = mask_email(text).rpartition("@")
    assert shown_local in ("", DOTS, local[:1] + DOTS)
    host = shown_domain.partition(DOTS)[0]
    assert host in ("", domain[:1], local[:1])


@given(NUMBERS | ANYTHING)
def test_no_mask_of_a_number_shows_all_but_five_of_its_digits(text: str) -> None:
    digits = sum(char.isdecimal() for char in text)
    shown = sum(char.isdecimal() for char in mask_mobile(text))
    assert shown <= max(0, digits - 5)
    assert shown <= 6


@given(st.sampled_from(Kind), st.one_of(ADDRESSES, NUMBERS, ANYTHING))
def test_a_mask_is_printable_and_holds_no_value(kind: Kind, text: str) -> None:
    masked = mask(kind, text)
    assert masked.isprintable()
    masked.encode()
    assert "•" in masked
    try:
        form = normalise(kind, text)
    except InvalidValue:
        return
    assert form not in masked
    assert text.strip() not in masked
