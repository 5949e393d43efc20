"""E-mail addresses come into one form, fast, and nothing else comes out."""

from collections.abc import Callable
from unicodedata import normalize

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.tokens.formats.strategies import ADDRESSES, ANYTHING
from tokens.formats.email_v1 import MAX_BYTES, normalise_any_email, normalise_email
from tokens.formats.reasons import InvalidValue


def outcome(normalise: Callable[[str], str], raw: str) -> str:
    try:
        return normalise(raw)
    except InvalidValue as refused:
        return f"refused: {refused.code}"


@settings(max_examples=800)
@given(ADDRESSES | ANYTHING)
@example("a@b.example-")
@example("a" * 64 + "@" + ("b" * 63 + ".") * 2 + "b" * 50 + ".example")
@example("ana@mail.localhost")
@example("ana@ab--cd.example")
@example("\x1cana@mail.example\x1f")
def test_the_fast_path_agrees_with_the_library(raw: str) -> None:
    assert outcome(normalise_email, raw) == outcome(normalise_any_email, raw)


@given(
    st.text("abzAZ09@.-_+'%! ", max_size=30)
    | st.from_regex(r"[ -~]{0,12}@[a-zA-Z0-9.-]{0,20}", fullmatch=True)
)
def test_the_fast_path_agrees_with_the_library_on_ascii(raw: str) -> None:
    assert outcome(normalise_email, raw) == outcome(normalise_any_email, raw)


@settings(max_examples=800)
@given(ADDRESSES | ANYTHING)
def test_the_form_of_a_form_is_itself(raw: str) -> None:
    form = outcome(normalise_email, raw)
    if not form.startswith("refused"):
        assert normalise_email(form) == form


@given(ADDRESSES | ANYTHING)
def test_a_form_is_short_lower_case_and_has_an_ascii_domain(raw: str) -> None:
    form = outcome(normalise_email, raw)
    if not form.startswith("refused"):
        assert len(form.encode()) <= MAX_BYTES
        assert form == form.strip().lower()
        assert form.rpartition("@")[2].isascii()


def test_every_character_that_a_form_changes_is_changed_for_good() -> None:
    changed = [char for char in map(chr, range(0x110000)) if normalize("NFC", char).lower() != char]
    assert len(changed) > 2_000
    for char in changed:
        form = outcome(normalise_email, f"x{char}@mail.example")
        if not form.startswith("refused"):
            assert normalise_email(form) == form


@given(st.emails())
def test_case_and_surrounding_blanks_make_no_difference(address: str) -> None:
    assert outcome(normalise_email, f" {address.swapcase()}\r\n") == outcome(normalise_email, address)


@given(ADDRESSES)
def test_a_refusal_holds_nothing_of_the_address(raw: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        normalise_email("secret.person@@" + raw)
    assert "secret.person" not in str(caught.value) + caught.value.hint
    # The library's error quotes the address: as a context it would be printed with every traceback.
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_an_address_that_idna_makes_too_long_is_called_too_long() -> None:
    for local in ("a" * 249, "a" * 247 + "é"):
        assert len(f"{local}@é.b".encode()) == MAX_BYTES
        with pytest.raises(InvalidValue, match="too_long"):
            normalise_email(f"{local}@é.b")


def test_a_hostile_length_costs_nothing() -> None:
    for raw in ("a" * 10**7, " " * 10**7, "a@" * 10**6, "ana@" + "xn--" * 10**6, "\u0301" * 10**6):
        with pytest.raises(InvalidValue):
            normalise_email(raw)
