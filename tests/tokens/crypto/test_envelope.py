"""An envelope opens at its place, under its key, unaltered; anything else is refused (promise P14)."""

import os
import random
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from tokens.crypto import envelope
from tokens.crypto.errors import CannotOpen

KEY_ID = 7
CIPHER = AESGCM(bytes(range(32)))
SEAL = envelope.sealer(CIPHER, KEY_ID)

places = st.builds(
    envelope.place,
    st.sampled_from(["tokens.Mapping", "tokens.AttributeSet", "tokens.ConsentEvent"]),
    st.sampled_from(["value", "payload", "evidence"]),
    st.integers(1, 50),
    st.sampled_from([1, 2]),
    st.text("abcdefgh234567", min_size=1, max_size=8),
)


@given(st.binary(max_size=300), places)
def test_what_was_sealed_opens_where_it_was_sealed_for(plaintext: bytes, place: bytes) -> None:
    sealed = SEAL(plaintext, place)
    assert envelope.key_id_of(sealed) == KEY_ID
    assert envelope.unseal(CIPHER, sealed, place) == plaintext
    assert len(sealed) == len(plaintext) + envelope.OVERHEAD_BYTES


@given(st.binary(max_size=100), places, places)
def test_moved_to_another_place_it_is_refused(plaintext: bytes, place: bytes, other: bytes) -> None:
    if place != other:
        with pytest.raises(CannotOpen):
            envelope.unseal(CIPHER, SEAL(plaintext, place), other)


def swaps(opens: Callable[[bytes, bytes], bytes], seals: Callable[[bytes, bytes], bytes]) -> tuple[int, int]:
    """Swap 10,000 envelopes between rows of a table; how many were swapped, and how many opened afterwards."""
    rows = [envelope.place("tokens.Mapping", "value", 1, 1, f"token{n}") for n in range(10_000)]
    stored = [seals(f"person{n}@mail.example".encode(), row) for n, row in enumerate(rows)]
    moved = stored[:]
    random.Random(14).shuffle(moved)
    opened = swapped = 0
    for row, own, found in zip(rows, stored, moved, strict=True):
        if own != found:
            swapped += 1
            try:
                opens(found, row)
            except CannotOpen:
                continue
            opened += 1
    return swapped, opened


def test_ten_thousand_swapped_envelopes_are_refused() -> None:
    swapped, opened = swaps(lambda sealed, place: envelope.unseal(CIPHER, sealed, place), SEAL)
    assert swapped > 9_900
    assert opened == 0


def test_without_associated_data_every_swap_would_be_accepted() -> None:
    """The known-bad twin: the same envelope, not bound to its place."""
    swapped, opened = swaps(
        lambda sealed, place: envelope.unseal(CIPHER, sealed, b""),
        lambda plaintext, place: SEAL(plaintext, b""),
    )
    assert opened == swapped > 9_900


def test_every_flipped_bit_is_refused() -> None:
    place = envelope.place("tokens.Mapping", "value", 1, 1, "token")
    sealed = SEAL(b"ana@mail.example", place)
    ring = {KEY_ID: CIPHER}
    for bit in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CannotOpen, KeyError)):
            envelope.unseal(ring[envelope.key_id_of(bytes(flipped))], bytes(flipped), place)


@given(st.binary(max_size=80))
def test_planted_plaintext_is_refused(planted: bytes) -> None:
    with pytest.raises(CannotOpen):
        envelope.unseal(CIPHER, b"\x01\x00\x00\x00\x07" + planted.ljust(28), b"place")
    if not planted.startswith(envelope.FORMAT):
        with pytest.raises(CannotOpen):
            envelope.key_id_of(planted)


def test_it_is_refused_under_another_key() -> None:
    sealed = SEAL(b"ana@mail.example", b"place")
    with pytest.raises(CannotOpen):
        envelope.unseal(AESGCM(os.urandom(32)), sealed, b"place")


def test_parts_of_a_place_cannot_run_together() -> None:
    assert envelope.place("m", "c", 1, "2", "3") != envelope.place("m", "c", 12, "3")
    assert envelope.place("m", "c", None) != envelope.place("m", "c", 0)


def test_no_two_envelopes_are_equal() -> None:
    assert len({SEAL(b"ana@mail.example", b"place") for _ in range(1000)}) == 1000
