"""The skeleton itself: its bytes, its holes, and the way back to the body."""

import enum
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from tokens.payload.errors import DamagedPayload

VERSION = b"1"

_HOLE = re.compile(rb"\x01(?:m([0-9]{1,19})|a([0-9a-f]{32})|r([0-9]{1,9}))\x02")

canonical_literal: Callable[[str], bytes] = msgspec.json.Encoder().encode
"""The JSON string literal that we write for a value, with its quotes; the hole of a mapping stands for it."""


class HoleKind(enum.StrEnum):
    MAPPING = "m"
    ATTRIBUTES = "a"
    RESIDUE = "r"


class Hole(NamedTuple):
    """One hole. `reference` is a mapping id or a slot in decimal, or an attribute set in 32 hex digits."""

    kind: HoleKind
    reference: str


class References(NamedTuple):
    """What a skeleton refers to, so that a caller can fetch it in bulk before `rebuild`."""

    mappings: frozenset[int]
    attribute_sets: frozenset[str]
    slots: frozenset[int]


class Rebuilt(NamedTuple):
    """`body` is the exact body, or None when something it needs is gone; `destroyed` names those holes."""

    body: bytes | None
    destroyed: tuple[Hole, ...]

    def __repr__(self) -> str:
        # The body holds clear values, and a repr ends up in tracebacks.
        return f"Rebuilt({'complete' if self.body is not None else f'{len(self.destroyed)} destroyed'})"


def mapping_hole(mapping_id: int) -> bytes:
    return b"\x01m%d\x02" % mapping_id


def attributes_hole(attribute_set: str) -> bytes:
    return b"\x01a%b\x02" % attribute_set.encode("ascii")


def residue_hole(slot: int) -> bytes:
    return b"\x01r%d\x02" % slot


def parse(skeleton: bytes) -> Iterator[bytes | Hole]:
    """Yield the text and the holes of a skeleton in order; raises DamagedPayload when it is not one."""
    if skeleton[:1] != VERSION:
        raise DamagedPayload("unknown version of a skeleton")
    at = 1
    for found in _HOLE.finditer(skeleton, 1):
        yield _text(skeleton[at : found.start()])
        mapping, attributes, slot = found.groups()
        if mapping is not None:
            yield Hole(HoleKind.MAPPING, mapping.decode())
        elif attributes is not None:
            yield Hole(HoleKind.ATTRIBUTES, attributes.decode())
        else:
            yield Hole(HoleKind.RESIDUE, slot.decode())
        at = found.end()
    yield _text(skeleton[at:])


def _text(piece: bytes) -> bytes:
    if b"\x01" in piece or b"\x02" in piece:
        raise DamagedPayload("unreadable hole in a skeleton")
    return piece


def references(skeleton: bytes) -> References:
    """The mappings, attribute sets and residue slots that a skeleton needs to be rebuilt."""
    found: dict[HoleKind, set[str]] = {kind: set() for kind in HoleKind}
    for piece in parse(skeleton):
        if isinstance(piece, Hole):
            found[piece.kind].add(piece.reference)
    return References(
        mappings=frozenset(map(int, found[HoleKind.MAPPING])),
        attribute_sets=frozenset(found[HoleKind.ATTRIBUTES]),
        slots=frozenset(map(int, found[HoleKind.RESIDUE])),
    )


def rebuild(
    skeleton: bytes,
    *,
    mapping_literal: Callable[[int], bytes | None],
    attributes: Callable[[str], bytes | None],
    residue: Sequence[bytes] | None,
) -> Rebuilt:
    """Put the clear values back.

    `mapping_literal` gives `canonical_literal` of a mapping's clear value, `attributes` the wire form of an
    attribute set, each None once it is erased; `residue` is None once its day key is gone. Raises
    DamagedPayload for a damaged skeleton and for a slot that its residue does not have.
    """

    def filling(hole: Hole) -> bytes | None:
        if hole.kind is HoleKind.MAPPING:
            return mapping_literal(int(hole.reference))
        if hole.kind is HoleKind.ATTRIBUTES:
            return attributes(hole.reference)
        if residue is None:
            return None
        if int(hole.reference) >= len(residue):
            raise DamagedPayload(f"no slot {hole.reference} in the residue")
        return residue[int(hole.reference)]

    pieces: list[bytes] = []
    destroyed: list[Hole] = []
    for piece in parse(skeleton):
        if isinstance(piece, bytes):
            pieces.append(piece)
        elif (filled := filling(piece)) is not None:
            pieces.append(filled)
        else:
            destroyed.append(piece)
    return Rebuilt(None if destroyed else b"".join(pieces), tuple(destroyed))
