"""A log entry becomes its bodies again: byte for byte while what it refers to lives, masked for people.

This opens clear values. Whoever calls `rebuild` shows or hands out what was said; whoever calls `masked` does not.
"""

import hmac
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TypeVar

import msgspec

from audit.models import PayloadEntry
from tokens.crypto.errors import CannotOpen, KeyDestroyed
from tokens.crypto.fields import Sealed
from tokens.crypto.keyring import keyring
from tokens.formats.kinds import Kind
from tokens.formats.mask import DOTS, mask, mask_email, mask_mobile
from tokens.log.recording import Side, digested, place_of_residue
from tokens.models import AttributeSet, Mapping
from tokens.payload import (
    DamagedPayload,
    Hole,
    HoleKind,
    Residue,
    Segment,
    canonical_literal,
    decompress,
    display,
    references,
)
from tokens.payload import (
    rebuild as fill,
)

DESTROYED = "destroyed"
DAMAGED = "does not open"

_R = TypeVar("_R")


class Proof(StrEnum):
    """What can be said of a rebuilt body."""

    PROVEN = "proven"  # it is what was sent: the keyed digest matches
    ALTERED = "altered"  # it is not what was sent, or the digest was changed
    DAMAGED = "damaged"  # something stored was altered and can't be read
    DESTROYED = "destroyed"  # something it needs was erased or outlived its key, as it should
    UNPROVEN = "unproven"  # it is whole, but the key of the digest is gone
    NOT_KEPT = "not-kept"  # no body belongs to this entry


@dataclass(frozen=True, slots=True)
class Body:
    """One rebuilt body. `exact` is None unless all of it could be put back; `missing` names what was not."""

    proof: Proof
    exact: bytes | None = field(default=None, repr=False)
    missing: tuple[Hole, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """Both bodies of an entry."""

    request: Body
    response: Body


def rebuild(entry: PayloadEntry) -> Exchange:
    """The exact bodies of `entry`, content-decoded, each with what proves it."""
    parts = _Parts(entry)
    return Exchange(_rebuilt(parts, Side.REQUEST), _rebuilt(parts, Side.RESPONSE))


def masked(entry: PayloadEntry) -> dict[Side, list[Segment]]:
    """What a page shows of the bodies: indented, with each clear value masked; empty when no body was kept.

    Raises DamagedPayload when the stored bytes can't be read.
    """
    parts = _Parts(entry)
    return {
        side: display(skeleton, parts.mask) if (skeleton := parts.skeletons[side]) is not None else []
        for side in Side
    }


@dataclass(frozen=True, slots=True)
class OneHole:
    """A hole of a body: what stands in it, its mask, and how to open it (None: destroyed; raises CannotOpen)."""

    kind: HoleKind
    reference: str
    mask: str
    open: Callable[[], str | None] = field(repr=False)


def one_hole(entry: PayloadEntry, side: Side, number: int) -> OneHole | None:
    """The hole of that number (from 0), in the order in which `masked` shows them. Raises DamagedPayload."""
    parts = _Parts(entry)
    skeleton = parts.skeletons[side]
    if skeleton is None:
        return None
    holes = [one.hole for one in display(skeleton, lambda hole: "") if one.hole is not None]
    if number >= len(holes):
        return None
    hole = holes[number]
    return OneHole(hole.kind, str(hole.reference), parts.mask(hole), lambda: parts.text(hole))


def _rebuilt(parts: "_Parts", side: Side) -> Body:
    try:
        skeleton = parts.skeletons[side]
        if skeleton is None:
            return Body(Proof.NOT_KEPT)
        filled = fill(
            skeleton,
            mapping_literal=parts.literal,
            attributes=parts.attributes,
            residue=parts.residue,
        )
    except (CannotOpen, DamagedPayload):
        return Body(Proof.DAMAGED)
    if filled.body is None:
        return Body(Proof.DESTROYED, missing=filled.destroyed)
    return Body(_proof(parts.entry, side, filled.body), filled.body)


def _proof(entry: PayloadEntry, side: Side, body: bytes) -> Proof:
    stored = entry.request_digest if side is Side.REQUEST else entry.response_digest
    if stored is None or entry.digest_key is None or entry.enterprise_id is None:
        return Proof.UNPROVEN
    try:
        ring = keyring(entry.enterprise_id)
        digest = ring.digest_with(entry.digest_key, digested(entry.id, side, body))
    except KeyDestroyed:
        return Proof.UNPROVEN
    return Proof.PROVEN if hmac.compare_digest(digest, bytes(stored)) else Proof.ALTERED


class _Parts:
    """Everything that the holes of an entry refer to, read with one statement for each kind."""

    def __init__(self, entry: PayloadEntry) -> None:
        self.entry = entry
        # Who could not be named belongs to no enterprise, and has no bodies.
        self.enterprise_id = entry.enterprise_id or 0

    @cached_property
    def skeletons(self) -> dict[Side, bytes | None]:
        stored = {Side.REQUEST: self.entry.request_skeleton, Side.RESPONSE: self.entry.response_skeleton}
        return {side: None if one is None else decompress(bytes(one)) for side, one in stored.items()}

    @cached_property
    def mappings(self) -> dict[int, Mapping]:
        ids = self._referred(lambda skeleton: references(skeleton).mappings)
        return Mapping.objects.filter(enterprise_id=self.enterprise_id).in_bulk(ids)

    @cached_property
    def attribute_sets(self) -> dict[uuid.UUID, AttributeSet]:
        ids = {uuid.UUID(one) for one in self._referred(lambda skeleton: references(skeleton).attribute_sets)}
        return AttributeSet.objects.filter(enterprise_id=self.enterprise_id).in_bulk(ids)

    @cached_property
    def residue(self) -> list[bytes] | None:
        """The slots, or None once their day key is destroyed. Raises CannotOpen or DamagedPayload."""
        if self.entry.residue is None:
            return []
        where = place_of_residue(self.enterprise_id, self.entry.id)
        try:
            opened = keyring(self.enterprise_id).open(bytes(self.entry.residue), where)
        except KeyDestroyed:
            return None
        return Residue.decode(opened)

    def value(self, mapping_id: int) -> str | None:
        """The clear value of a mapping, or None once it is erased."""
        found = self.mappings.get(mapping_id)
        return _opened(found.value) if found else None

    def literal(self, mapping_id: int) -> bytes | None:
        value = self.value(mapping_id)
        return None if value is None else canonical_literal(value)

    def attributes(self, set_id: str) -> bytes | None:
        found = self.attribute_sets.get(uuid.UUID(set_id))
        opened = _opened(found.payload) if found else None
        return None if opened is None else opened.encode()

    def text(self, hole: Hole) -> str | None:
        """What stands in a hole, or None once it was destroyed. Raises CannotOpen, DamagedPayload."""
        if hole.kind is HoleKind.MAPPING:
            return self.value(int(hole.reference))
        if hole.kind is HoleKind.ATTRIBUTES:
            found = self.attributes(hole.reference)
            return None if found is None else found.decode()
        if self.residue is None:
            return None
        slot = int(hole.reference)
        if slot >= len(self.residue):
            raise DamagedPayload
        return self.residue[slot].decode("utf-8", "backslashreplace")

    def mask(self, hole: Hole) -> str:
        """What a page shows in a hole."""
        try:
            return self._mask(hole)
        except CannotOpen:
            return DAMAGED

    def _mask(self, hole: Hole) -> str:
        if hole.kind is HoleKind.MAPPING:
            value = self.value(int(hole.reference))
            return DESTROYED if value is None else mask(Kind(self.mappings[int(hole.reference)].kind), value)
        if hole.kind is HoleKind.ATTRIBUTES:
            return DESTROYED if self.attributes(hole.reference) is None else DOTS
        if self.residue is None:
            return DESTROYED
        slot = int(hole.reference)
        return mask_of_raw(self.residue[slot]) if slot < len(self.residue) else DAMAGED

    def _referred(self, of: Callable[[bytes], frozenset[_R]]) -> set[_R]:
        kept = (skeleton for skeleton in self.skeletons.values() if skeleton is not None)
        return {reference for skeleton in kept for reference in of(skeleton)}


def mask_of_raw(raw: bytes) -> str:
    """The mask of residue: of a JSON string by what it looks like, of anything else only dots."""
    try:
        text = msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return DOTS
    if "@" in text:
        return mask_email(text)
    return mask_mobile(text) if any(map(str.isdecimal, text)) else DOTS


def _opened(sealed: Sealed | None) -> str | None:
    """The text of a sealed column; None when it was erased, or with its key. Raises CannotOpen when altered."""
    if sealed is None:
        return None
    try:
        return sealed.open()
    except KeyDestroyed:
        return None
