"""Keys that give a person away are told from keys that do not, and tokens come back in one spelling."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tokens.formats.strategies import ADDRESSES, ANYTHING, NUMBERS
from tokens.formats.kinds import Kind
from tokens.formats.lookalikes import canonical_token, canonical_tokens, is_own_value, looks_like_identifier
from tokens.formats.subscriber_keys import derived_subscriber_key

TOKEN = "k7q2aaaabbbbccccddddeeeeff@tok.example.net"


# Tokens


@pytest.mark.parametrize("text", [TOKEN, TOKEN.upper(), f"  {TOKEN}\t\r\n", f"\u00a0{TOKEN}\u3000"])
def test_a_token_resolves_whatever_became_of_its_case_and_its_blanks(text: str) -> None:
    assert canonical_token(text) == TOKEN


@pytest.mark.parametrize(
    "text",
    ["", " ", "a b", "tok\x00en", "tok\nen", "\u212a7q2", "t\u00f6ken", "\ud800", "x" * 255, TOKEN + "\x7f"],
)
def test_what_no_token_can_look_like_is_none(text: str) -> None:
    assert canonical_token(text) is None


@given(st.one_of(ADDRESSES, NUMBERS, ANYTHING))
def test_the_canonical_form_of_any_text_is_harmless_and_stable(text: str) -> None:
    token = canonical_token(text)
    if token is not None:
        assert canonical_token(token) == token
        assert token.isascii()
        assert token.isprintable()


@given(
    st.lists(st.one_of(st.just(TOKEN), st.just(TOKEN.upper()), st.sampled_from(["", "\n", "a\nb"]), ANYTHING))
)
def test_a_batch_is_judged_as_each_of_its_tokens(texts: list[str]) -> None:
    assert canonical_tokens(texts) == [canonical_token(text) for text in texts]


# Subscriber keys


@pytest.mark.parametrize(
    "key",
    [
        "ana@mail.example", " Ana@Mail.Example ", "CRM|ana@mail.example|7", "ana%40mail.example",
        "\uff41\uff4e\uff41\uff20mail.example", "Ana Silva <ana@mail.example>", "josé@bücher.example",
    ],
)  # fmt: skip
def test_a_key_that_holds_an_address_is_one(key: str) -> None:
    assert looks_like_identifier(key) is Kind.EMAIL


@pytest.mark.parametrize(
    "key",
    [
        "13175550101", "+13175550101", "+1 (317) 555-0101", "1-317-555-0101", "4915112345678", "0013175550101",
        "\uff0b\uff11\uff13\uff11\uff17\uff15\uff15\uff15\uff10\uff11\uff10\uff11", "+44 7700 900123",
    ],
)  # fmt: skip
def test_a_key_that_is_a_number_is_one(key: str) -> None:
    assert looks_like_identifier(key) is Kind.MOBILE


@pytest.mark.parametrize(
    "key",
    [
        "SUB-0000001", "0001234567", "1002345", "10023456", "100000000017", "2024-01-15", "a1b2c3", "", "-", "+",
        "0035e00000AbCdEfGHI", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "user@host", "@ana", "13175550101x", "\ud800",
        "12345678901234567890", "sk-abcdefghijklmnopqrstuvwxyz",
    ],
)  # fmt: skip
def test_other_keys_name_nobody(key: str) -> None:
    assert looks_like_identifier(key) is None


def test_a_national_number_is_one_only_where_its_country_is_known() -> None:
    assert looks_like_identifier("0151 12345678") is None
    assert looks_like_identifier("0151 12345678", default_region="DE") is Kind.MOBILE
    assert looks_like_identifier("SUB-0000001", default_region="DE") is None


@given(st.one_of(ADDRESSES, NUMBERS, ANYTHING))
def test_looking_at_any_key_never_fails(key: str) -> None:
    looks_like_identifier(key)
    looks_like_identifier(key, default_region="US")
    is_own_value(key, Kind.EMAIL, "ana@mail.example")
    is_own_value(key, Kind.MOBILE, "13175550101")


@pytest.mark.parametrize(
    "key", ["13175550101", "+1 317 555 0101", "3175550101", "0 317 555 0101", "555-0101"]
)
def test_a_key_that_is_the_number_of_its_own_row_is_found_without_its_country(key: str) -> None:
    assert is_own_value(key, Kind.MOBILE, "13175550101")


@pytest.mark.parametrize("key", ["0101", "550101", "3175550102", "SUB-3175550101", "", "ana@mail.example"])
def test_a_few_digits_in_common_are_no_evidence(key: str) -> None:
    assert not is_own_value(key, Kind.MOBILE, "13175550101")


def test_a_key_that_is_the_address_of_its_own_row_is_found() -> None:
    assert is_own_value(" ANA@mail.example", Kind.EMAIL, "ana@mail.example")
    assert not is_own_value("bo@mail.example", Kind.EMAIL, "ana@mail.example")
    assert not is_own_value("13175550101", Kind.EMAIL, "ana@mail.example")


# Derived keys


def digest_of(text: str) -> bytes:
    return hmac.new(b"a key for tests", text.encode(), hashlib.sha256).digest()


def test_a_derived_key_is_short_plain_and_the_same_each_time() -> None:
    key = derived_subscriber_key(digest_of("ana"))
    assert key == "sk-ioepzhfwz4hhxhn5ti56ry6a7x"
    assert key == derived_subscriber_key(digest_of("ana"))
    assert key != derived_subscriber_key(digest_of("bo"))
    assert looks_like_identifier(key) is None


@given(st.binary(min_size=20, max_size=64))
def test_a_derived_key_never_looks_like_an_identifier(digest: bytes) -> None:
    key = derived_subscriber_key(digest)
    assert len(key) == 29
    assert looks_like_identifier(key) is None


def test_a_digest_too_short_to_tell_people_apart_is_refused() -> None:
    with pytest.raises(ValueError, match="20 bytes, not 16"):
        derived_subscriber_key(b"x" * 16)
