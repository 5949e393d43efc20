"""What can be revealed: the value of a mapping, one attribute of a contact, one hole of a logged body.

A subject names itself by mask and ids, and holds nothing clear until it is opened.
"""

import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from audit.models import PayloadEntry
from audit.trail import Target
from portal.reveals.errors import DoesNotOpen, NothingToReveal
from tokens.crypto.errors import CannotOpen, KeyDestroyed
from tokens.crypto.fields import Sealed
from tokens.formats.kinds import Kind
from tokens.formats.mask import DOTS, mask
from tokens.log import rebuild
from tokens.log.recording import Side
from tokens.models import AttributeSet, ContactMapping, Mapping
from tokens.models.mappings import State
from tokens.payload import DamagedPayload, HoleKind


@dataclass(frozen=True, slots=True)
class Subject:
    """`field` and `masked` go into the trail; `title` is for the page. `open` raises RevealError."""

    enterprise_id: int
    target: Target
    field: str
    title: str
    masked: str
    open: Callable[[], str] = dataclasses.field(repr=False)
    entry_id: uuid.UUID | None = None


def value_of(mapping: Mapping) -> Subject | None:
    """The clear value of a mapping; None once it is erased."""
    if mapping.state == State.ERASED or mapping.value is None:
        return None
    kind, sealed = Kind(mapping.kind), mapping.value
    try:
        shown = mask(kind, sealed.open())
    except KeyDestroyed:
        return None
    except CannotOpen:
        shown = rebuild.DAMAGED
    return Subject(
        mapping.enterprise_id, target_of(mapping), "value", kind.label, shown, lambda: _open(sealed)
    )


def attributes_of(link: ContactMapping) -> list[tuple[uuid.UUID, int, str]]:
    """(attribute set, position, name) of what is kept of a contact now; values stay closed to who asks."""
    held = link.contact.attributes
    if held is None or held.payload is None:
        return []
    try:
        pairs = _pairs(held.payload)
    except (NothingToReveal, DoesNotOpen):
        return []
    return [(held.pk, position, pair["name"]) for position, pair in enumerate(pairs)]


def attribute_of(mapping: Mapping, set_id: uuid.UUID, position: int) -> Subject | None:
    """One attribute of a contact that holds `mapping`, of the version that was looked at."""
    held = (
        AttributeSet.objects.filter(pk=set_id, enterprise=mapping.enterprise_id)
        .filter(contact__links__mapping=mapping)
        .first()
    )
    if held is None or held.payload is None:
        return None
    payload = held.payload
    try:
        name = _pairs(payload)[position]["name"]
    except (IndexError, NothingToReveal, DoesNotOpen):
        return None
    return Subject(
        mapping.enterprise_id,
        target_of(mapping),
        f"attribute {name}",
        f"attribute {name}",
        DOTS,
        lambda: _pairs(payload)[position]["value"],
    )


def hole_of(entry: PayloadEntry, side: Side, number: int) -> Subject | None:
    """One hole of a logged body, counted from 0; None where there is none, or nothing is left in it."""
    try:
        hole = rebuild.one_hole(entry, side, number)
    except DamagedPayload:
        return None
    if hole is None or hole.mask == rebuild.DESTROYED or entry.enterprise_id is None:
        return None

    def opened() -> str:
        try:
            text = hole.open()
        except (CannotOpen, DamagedPayload):
            raise DoesNotOpen from None
        if text is None:
            raise NothingToReveal
        return text

    target = _whose(entry, hole) or Target(
        "entry", str(entry.pk), f"{entry.get_api_display()} {entry.status}"
    )
    where = f"{side.name.lower()} body, hole {number + 1}"
    return Subject(entry.enterprise_id, target, where, where, hole.mask, opened, entry.pk)


def target_of(mapping: Mapping) -> Target:
    """A mapping as the trail names it."""
    return Target("mapping", str(mapping.pk), mapping.token)


def _whose(entry: PayloadEntry, hole: rebuild.OneHole) -> Target | None:
    """The mapping whose person stands in a hole, so that their timeline shows who saw it."""
    mappings = Mapping.objects.filter(enterprise=entry.enterprise_id)
    if hole.kind is HoleKind.MAPPING:
        mapping = mappings.filter(pk=int(hole.reference)).first()
    elif hole.kind is HoleKind.ATTRIBUTES:
        links = ContactMapping.objects.filter(contact__attribute_sets=uuid.UUID(hole.reference))
        mapping = mappings.filter(pk__in=links.values("mapping_id")).order_by("pk").first()
    else:
        mapping = None
    return target_of(mapping) if mapping else None


def _open(sealed: Sealed) -> str:
    try:
        return sealed.open()
    except KeyDestroyed:
        raise NothingToReveal from None
    except CannotOpen:
        raise DoesNotOpen from None


def _pairs(sealed: Sealed) -> list[dict[str, str]]:
    return msgspec.json.decode(_open(sealed), type=list[dict[str, str]])
