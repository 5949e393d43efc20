"""Stored skeletons and residues: read back exactly, or refused."""

import contextlib
import threading

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from tokens.payload import DamagedPayload, PayloadError, Residue, compress, decompress, rebuild, references


def put_back(skeleton, residue=()):
    return rebuild(skeleton, mapping_literal={}.get, attributes={}.get, residue=residue)


@given(st.lists(st.binary(max_size=50)))
def test_a_residue_gives_back_its_slots(pieces):
    residue = Residue()
    slots = [residue.add(piece) for piece in pieces]
    kept = Residue.decode(residue.encode())
    assert [kept[slot] for slot in slots] == pieces
    assert len(kept) == len(residue) == len(set(pieces))


@pytest.mark.parametrize("encoded", [b"", b"\xc1", b"\x93\xc4\x01a", b'["a"]', b"\x91\xa1a\x00"])
def test_a_damaged_residue_is_refused(encoded):
    with pytest.raises(DamagedPayload):
        Residue.decode(encoded)


@pytest.mark.parametrize(
    "skeleton",
    [
        b"",
        b"2{}",
        b"1\x01x1\x02",
        b"1\x01m\x02",
        b"1\x01m1",
        b"1\x02",
        b"1\x01a12\x02",
        b"1\x01r-1\x02",
        b"1\x01m1\x01\x02",
        b"1\x01r3\x02",
    ],
)
def test_a_damaged_skeleton_is_refused_and_not_guessed_at(skeleton):
    with pytest.raises(DamagedPayload):
        put_back(skeleton)


@given(st.binary(max_size=200).map(lambda rest: b"1" + rest))
@example(b"1\x01m7\x02\x01r0\x02")
def test_any_stored_bytes_are_read_or_refused(skeleton):
    with contextlib.suppress(PayloadError):
        references(skeleton)
        put_back(skeleton, residue=None)


@given(st.binary(max_size=2000))
def test_compression_gives_back_the_skeleton(skeleton):
    assert decompress(compress(skeleton)) == skeleton


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"plain",
        compress(b"a" * 100)[:-1],
        compress(b"a") + b"more",
        compress(b"a" * 1001),
        zstandard.ZstdCompressor(write_content_size=False).compress(b"a" * 100),
    ],
)
def test_what_does_not_unpack_within_the_limit_is_refused(stored):
    with pytest.raises(DamagedPayload):
        decompress(stored, limit=1000)


def test_a_bomb_is_refused_by_its_stated_size_before_it_is_unpacked():
    bomb = compress(bytes(100_000_000))
    assert len(bomb) < 20_000
    with pytest.raises(DamagedPayload):
        decompress(bomb)


def test_threads_compress_side_by_side():
    wrong = []

    def work(number):
        for round_ in range(200):
            skeleton = b"%d-%d" % (number, round_) * 500
            if decompress(compress(skeleton)) != skeleton:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
