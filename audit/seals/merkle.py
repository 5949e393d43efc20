"""The Merkle tree of RFC 6962, pure: roots, proofs, and the compact range that appends without reading old leaves.

A subtree is named by (level, index): it covers the leaves [index << level, (index + 1) << level). A hash is 32 bytes.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
Subtree = tuple[int, int]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two children: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass
class CompactRange:
    """The first `size` leaves, as the roots of the largest complete subtrees, left to right."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> list[bytes]:
        """Add a leaf hash; the subtrees that it completes are returned, from level 1 upwards."""
        completed: list[bytes] = []
        top, rest = leaf, self.size
        while rest & 1:
            top = node_hash(self.peaks.pop(), top)
            completed.append(top)
            rest >>= 1
        self.peaks.append(top)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root of the tree of these leaves."""
        return fold(self.peaks)

    def copy(self) -> "CompactRange":
        """An independent one, to go on from and to throw away should that fail."""
        return CompactRange(self.size, list(self.peaks))


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root above complete subtrees of falling size, left to right."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root of a list of leaf hashes."""
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def subtrees(first: int, end: int) -> list[Subtree]:
    """The complete subtrees that make up the leaves [first, end), left to right.

    `first` is aligned as in every range of RFC 6962: a multiple of the smallest power of two that holds the range.
    """
    found, at = [], first
    for level in reversed(range((end - first).bit_length())):
        if (end - first) >> level & 1:
            found.append((level, at >> level))
            at += 1 << level
    return found


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The ranges [first, end) whose roots prove leaf `index` in a tree of `size`, from the leaf upwards."""
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} is not in a tree of {size}")
    ranges, first, end = [], 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first = middle
    return ranges[::-1]


def consistency_ranges(older: int, size: int) -> list[tuple[int, int]]:
    """The ranges whose roots prove that the tree of `older` leaves begins the one of `size`."""
    if not 0 < older <= size:
        raise IndexError(f"a tree of {older} leaves does not begin one of {size}")
    ranges, first, end, is_whole = [], 0, size, True
    while older != end:
        middle = first + _split(end - first)
        if older <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first, is_whole = middle, False
    if not is_whole:
        ranges.append((first, end))
    return ranges[::-1]


def hashes_of(ranges: Iterable[tuple[int, int]], read: Callable[[Subtree], bytes]) -> list[bytes]:
    """The roots of `ranges`, from what `read` knows of complete subtrees: a proof."""
    return [fold([read(subtree) for subtree in subtrees(*one)]) for one in ranges]


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that `proof` leads to; None when it has the wrong length for that place (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return None
    place, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if place & 1 or place == last:
            root = node_hash(sibling, root)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        place, last = place >> 1, last >> 1
    return root if last == 0 else None


def is_consistent(older: int, older_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the older tree begins the newer one (RFC 9162, 2.1.4.2)."""
    if older == size:
        return not proof and older_root == root
    if older == 0:
        return not proof and older_root == EMPTY_ROOT
    if older > size or not proof:
        return False
    path = list(proof) if older & (older - 1) else [older_root, *proof]
    place, last = older - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and old == older_root and new == root


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
