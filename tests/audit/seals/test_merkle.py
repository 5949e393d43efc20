"""The tree agrees with RFC 6962: its published vectors, and a twin written straight from the text.

TREES=10000 runs the properties at full size.
"""

import hashlib
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.seals import merkle
from audit.seals.merkle import CompactRange

TREES = int(os.environ.get("TREES", "100"))

# Inputs and roots of the reference implementation of Certificate Transparency (merkletree tests, sizes 1 to 8).
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [hashlib.sha256(b"\0" + bytes.fromhex(text)).digest() for text in INPUTS]


# --- the twin: MTH, PATH and SUBPROOF of RFC 6962, section 2.1, word for word ---------------------------------
def k_of(size: int) -> int:
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def mth(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = k_of(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = k_of(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = k_of(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


class Stored:
    """A tree with its complete subtrees, found as the database finds them."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves, self.tree, self.completed = leaves, CompactRange(), []
        for leaf in leaves:
            self.completed.append(self.tree.append(leaf))

    def read(self, subtree: merkle.Subtree) -> bytes:
        level, index = subtree
        last = ((index + 1) << level) - 1
        return self.completed[last][level - 1] if level else self.leaves[last]

    def inclusion(self, index: int, size: int) -> list[bytes]:
        return merkle.hashes_of(merkle.inclusion_ranges(index, size), self.read)

    def consistency(self, older: int, size: int) -> list[bytes]:
        return merkle.hashes_of(merkle.consistency_ranges(older, size), self.read)


def random_leaves(size: int, seed: int = 1) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(32) for _ in range(size)]


def test_the_roots_are_those_of_the_reference() -> None:
    assert [merkle.root_of(LEAVES[:size]).hex() for size in range(1, 9)] == ROOTS
    assert merkle.root_of([]) == hashlib.sha256().digest()


def test_the_proofs_are_those_of_the_reference() -> None:
    stored = Stored(LEAVES)
    assert [one.hex()[:8] for one in stored.inclusion(0, 8)] == ["96a296d2", "5f083f0a", "6b47aaf2"]
    assert [one.hex()[:8] for one in stored.inclusion(5, 8)] == ["bc1a0643", "ca854ea1", "d37ee418"]
    assert [one.hex()[:8] for one in stored.consistency(6, 8)] == ["0ebc5d34", "ca854ea1", "d37ee418"]


@given(st.integers(1, 130), st.integers(0, 2**32), st.data())
@settings(max_examples=TREES)
def test_any_tree_agrees_with_the_text_of_the_rfc(size: int, seed: int, data: st.DataObject) -> None:
    leaves = random_leaves(size, seed)
    stored, root = Stored(leaves), mth(leaves)
    assert stored.tree.root() == merkle.root_of(leaves) == root
    index, older = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    proof = stored.inclusion(index, size)
    assert proof == path(index, leaves)
    assert merkle.root_from_inclusion(leaves[index], index, size, proof) == root
    consistency = stored.consistency(older, size)
    assert consistency == subproof(older, leaves, True)
    assert merkle.is_consistent(older, mth(leaves[:older]), size, root, consistency)


@given(st.integers(2, 70), st.integers(0, 2**32), st.data())
@settings(max_examples=TREES)
def test_a_proof_holds_for_nothing_but_what_it_proves(size: int, seed: int, data: st.DataObject) -> None:
    leaves = random_leaves(size, seed)
    stored, root = Stored(leaves), mth(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = stored.inclusion(index, size)
    other = data.draw(st.integers(0, size - 1).filter(lambda place: place != index))
    shown = merkle.root_from_inclusion
    assert shown(leaves[other], index, size, proof) != root
    assert shown(leaves[index], other, size, proof) != root
    assert shown(leaves[index], index, size, proof[:-1]) != root
    assert shown(leaves[index], index, size, [*proof, root]) != root
    assert shown(leaves[index], index, size, [root, *proof]) != root
    older = data.draw(st.integers(1, size - 1))
    consistency, begun = stored.consistency(older, size), mth(leaves[:older])
    assert not merkle.is_consistent(older, root, size, root, consistency)
    assert not merkle.is_consistent(older, begun, size, begun, consistency)
    assert not merkle.is_consistent(older, begun, size, root, consistency[:-1])
    assert not merkle.is_consistent(older, begun, size, root, [*consistency, root])


@pytest.mark.parametrize("size", range(1, 34))
def test_every_place_of_every_small_tree_is_proven(size: int) -> None:
    leaves = random_leaves(size)
    stored, root = Stored(leaves), mth(leaves)
    for index in range(size):
        assert merkle.root_from_inclusion(leaves[index], index, size, stored.inclusion(index, size)) == root
    for older in range(1, size + 1):
        proof = stored.consistency(older, size)
        assert merkle.is_consistent(older, mth(leaves[:older]), size, root, proof)


def test_what_is_outside_the_tree_has_no_proof() -> None:
    for index, size in [(0, 0), (3, 3), (-1, 3)]:
        with pytest.raises(IndexError):
            merkle.inclusion_ranges(index, size)
        assert merkle.root_from_inclusion(bytes(32), index, size, []) is None
    for older, size in [(0, 3), (4, 3)]:
        with pytest.raises(IndexError):
            merkle.consistency_ranges(older, size)
    assert not merkle.is_consistent(4, bytes(32), 3, bytes(32), [])


def test_a_copy_grows_alone() -> None:
    tree = CompactRange()
    tree.append(LEAVES[0])
    tree.copy().append(LEAVES[1])
    assert (tree.size, tree.root()) == (1, LEAVES[0])


def test_without_its_domain_separation_a_node_passes_for_a_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """The known-bad twin: the prefix 0x01 is what keeps an inner node from being shown as an entry."""
    inner = merkle.node_hash(LEAVES[0], LEAVES[1])
    assert hashlib.sha256(b"\0" + LEAVES[0] + LEAVES[1]).digest() != inner
    monkeypatch.setattr(
        merkle, "node_hash", lambda left, right: hashlib.sha256(b"\0" + left + right).digest()
    )
    assert merkle.root_of(LEAVES[:2]) == hashlib.sha256(b"\0" + LEAVES[0] + LEAVES[1]).digest()
