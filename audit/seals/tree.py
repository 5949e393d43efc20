"""The tree as the database stores it: subtrees, compact ranges and proofs, each from a few rows."""

from collections.abc import Iterable
from dataclasses import dataclass

from audit.models import Checkpoint, SealedLeaf
from audit.seals import merkle
from audit.seals.errors import SealError
from audit.seals.merkle import CompactRange, Subtree


@dataclass(frozen=True, slots=True)
class StoredTree:
    """Reads through the database alias `using`; each call is one statement."""

    using: str = "owner"

    def newest(self) -> Checkpoint | None:
        """The checkpoint with the highest number."""
        return Checkpoint.objects.using(self.using).order_by("-number").first()

    def leaves(self) -> int:
        """How many leaves there are, if none is missing: the highest index and one."""
        last = SealedLeaf.objects.using(self.using).order_by("-index").values_list("index", flat=True).first()
        return 0 if last is None else last + 1

    def compact_range(self, size: int) -> CompactRange:
        """The first `size` leaves. Raises SealError when a subtree of them is not stored."""
        wanted = merkle.subtrees(0, size)
        found = self._read(wanted)
        return CompactRange(size, [found[one] for one in wanted])

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that leaf `index` is in the tree of `size`."""
        return self._proof(merkle.inclusion_ranges(index, size))

    def inclusions(self, indexes: Iterable[int], size: int) -> dict[int, list[bytes]]:
        """The proofs of many leaves, by index: one statement for all of them."""
        ranges = {index: merkle.inclusion_ranges(index, size) for index in indexes}
        wanted = {subtree for ones in ranges.values() for one in ones for subtree in merkle.subtrees(*one)}
        found = self._read(wanted)
        return {index: merkle.hashes_of(ones, found.__getitem__) for index, ones in ranges.items()}

    def consistency(self, older: int, size: int) -> list[bytes]:
        """The proof that the tree of `older` leaves begins the one of `size`."""
        return self._proof(merkle.consistency_ranges(older, size))

    def _proof(self, ranges: list[tuple[int, int]]) -> list[bytes]:
        found = self._read([subtree for one in ranges for subtree in merkle.subtrees(*one)])
        return merkle.hashes_of(ranges, found.__getitem__)

    def _read(self, wanted: Iterable[Subtree]) -> dict[Subtree, bytes]:
        """The roots of complete subtrees: each stands with the last leaf that it covers."""
        places = {subtree: ((subtree[1] + 1) << subtree[0]) - 1 for subtree in wanted}
        rows = SealedLeaf.objects.using(self.using).filter(index__in=set(places.values()))
        at = {
            index: (bytes(leaf), bytes(nodes))
            for index, leaf, nodes in rows.values_list("index", "leaf_hash", "nodes")
        }
        found = {}
        for (level, number), place in places.items():
            leaf, nodes = at.get(place, (b"", b""))
            root = leaf if level == 0 else nodes[32 * (level - 1) : 32 * level]
            if len(root) != 32:
                raise SealError(f"Leaf #{place}, or what is stored with it, is missing.")
            found[level, number] = root
        return found
