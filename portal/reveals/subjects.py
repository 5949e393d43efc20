"""What can be revealed: the value of a mapping, one attribute of a contact, one hole of a logged body.

A subject names itself by mask and ids, and holds nothing clear until it is opened.
"""

import dataclasses
import uuid
from collections.abc import Callable
from contextlib import suppress
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


def attribute_values(mapping: Mapping, is_wanted: Callable[[str], bool]) -> list[str]:
    """The values of the attributes of those names, of every contact that holds `mapping`: to compare, not to show."""
    found = []
    for link in ContactMapping.objects.filter(mapping=mapping).select_related("contact__attributes"):
        held = link.contact.attributes
        with suppress(NothingToReveal, DoesNotOpen):
            pairs = _pairs(held.payload) if held is not None and held.payload is not None else []
            found += [pair["value"] for pair in pairs if is_wanted(pair["name"])]
    return found


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


def names_in_hole(entry: PayloadEntry, side: Side, number: int) -> list[str] | None:
    """The names of the attributes in a hole that holds a set of them; None of any other hole.

    A set is several fields, and each is revealed by itself: `attribute_in_hole`.
    """
    hole = _hole(entry, side, number)
    if hole is None or hole.kind is not HoleKind.ATTRIBUTES:
        return None
    try:
        return [pair["name"] for pair in _pairs_of(hole)]
    except (NothingToReveal, DoesNotOpen):
        return []


def attribute_in_hole(entry: PayloadEntry, side: Side, number: int, position: int) -> Subject | None:
    """One attribute of the set that stands in a hole, counted from 0."""
    names, hole = names_in_hole(entry, side, number), _hole(entry, side, number)
    if hole is None or names is None or position >= len(names):
        return None
    where = f"attribute {names[position]} in the {side.name.lower()} body, hole {number + 1}"
    return _in_entry(entry, hole, where, DOTS, lambda: _pairs_of(hole)[position]["value"])


def hole_of(entry: PayloadEntry, side: Side, number: int) -> Subject | None:
    """One hole of a logged body, counted from 0; None where there is none, or nothing is left in it.

    None too where a set of attributes stands in it: that is more than one field.
    """
    hole = _hole(entry, side, number)
    if hole is None or hole.kind is HoleKind.ATTRIBUTES:
        return None
    where = f"{side.name.lower()} body, hole {number + 1}"
    return _in_entry(entry, hole, where, hole.mask, lambda: _text_of(hole))


def _hole(entry: PayloadEntry, side: Side, number: int) -> rebuild.OneHole | None:
    try:
        hole = rebuild.one_hole(entry, side, number)
    except DamagedPayload:
        return None
    return None if hole is None or hole.mask == rebuild.DESTROYED or entry.enterprise_id is None else hole


def _in_entry(
    entry: PayloadEntry, hole: rebuild.OneHole, where: str, masked: str, opened: Callable[[], str]
) -> Subject:
    assert entry.enterprise_id is not None
    itself = Target("entry", str(entry.pk), f"{entry.get_api_display()} {entry.status}")
    target = _whose(entry, hole) or itself
    return Subject(entry.enterprise_id, target, where, where, masked, opened, entry.pk)


def _text_of(hole: rebuild.OneHole) -> str:
    try:
        text = hole.open()
    except (CannotOpen, DamagedPayload):
        raise DoesNotOpen from None
    if text is None:
        raise NothingToReveal
    return text


def _pairs_of(hole: rebuild.OneHole) -> list[dict[str, str]]:
    try:
        return msgspec.json.decode(_text_of(hole), type=list[dict[str, str]])
    except msgspec.DecodeError:
        raise DoesNotOpen from None


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
