"""The rows of an export, a batch at a time in the order of their keys. Values are text as people read them."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Q, QuerySet

from audit.models import AuditEvent, PayloadEntry
from audit.partitions import first_id_at
from audit.retention import gaps
from audit.vocabulary import Action
from tokens.crypto.errors import CannotOpen
from tokens.crypto.fields import Sealed
from tokens.exports import filters
from tokens.exports.filters import moment_of
from tokens.formats.kinds import Kind
from tokens.formats.mask import DOTS, mask
from tokens.models import ConsentEvent, ContactMapping, Export, Mapping
from tokens.models.mappings import State

What = Export.What
Cells = list[str]
_ACTS: Final = dict(Action.choices)


@dataclass(slots=True)
class Batch:
    """Some rows, the key of the last one, and whose clear values are in them (by mapping)."""

    rows: list[Cells]
    last: str
    subjects: list[int]


@dataclass(frozen=True, slots=True)
class Sort:
    """What one kind of export consists of."""

    columns: tuple[str, ...]
    exact: dict[str, str]  # filters by the column that they compare
    query: Callable[[int], "QuerySet[Any]"]
    cells: Callable[[Export, list[Any]], list[Cells]]
    subjects: Callable[[list[Any]], list[int]]
    has_clear: bool = False


def batch(export: Export, size: int) -> Batch:
    """The next rows after `export.after`, at most `size`; none when it is done."""
    sort = SORTS[What(export.what)]
    found = list(_beyond(rows_of(export), export)[:size])
    if not found:
        return Batch([], export.after, [])
    subjects = sort.subjects(found) if export.clear else []
    return Batch(sort.cells(export, found), str(found[-1].pk), subjects)


def rows_of(export: Export) -> "QuerySet[Any]":
    """Everything that belongs into an export, by key."""
    return up_to(What(export.what), export.enterprise_id, export.only, export.mark)


def up_to(what: Export.What, enterprise_id: int, only: dict[str, str], mark: str) -> "QuerySet[Any]":
    """The same of what is not made yet, up to the key `mark`."""
    return filtered(what, enterprise_id, only).filter(pk__lte=_key(what, mark)).order_by("pk")


def filtered(what: Export.What, enterprise_id: int, only: dict[str, str]) -> "QuerySet[Any]":
    """The rows of an enterprise that match a filter of `tokens.exports.filters`."""
    sort = SORTS[what]
    rows = sort.query(enterprise_id)
    for name, value in only.items():
        if name in ("since", "before"):
            rows = rows.filter(_time(what, name, value))
        elif value in filters.CLASSES:
            first = int(value[0]) * 100
            rows = rows.filter(status__gte=first, status__lt=first + 100)
        else:
            rows = rows.filter(**{sort.exact[name]: value})
    return rows


def _time(what: Export.What, name: str, value: str) -> Q:
    """By time: ids know it, except those of mappings."""
    ends = {"since": "gte", "before": "lt"}[name]
    if what == What.PEOPLE:
        return Q(**{f"created_at__{ends}": moment_of(value)})
    return Q(**{f"pk__{ends}": first_id_at(moment_of(value))})


def _beyond(rows: "QuerySet[Any]", export: Export) -> "QuerySet[Any]":
    return rows.filter(pk__gt=_key(What(export.what), export.after)) if export.after else rows


def _key(what: Export.What, text: str) -> Any:
    return int(text) if what == What.PEOPLE else uuid.UUID(text)


# -- payload log ----------------------------------------------------------------------------------------------
def _log(export: Export, entries: list[PayloadEntry]) -> list[Cells]:
    copies = gaps.copies_among(one.pk for one in entries)
    return [
        [
            _moment(one.at), one.get_api_display(), one.get_direction_display(), one.client_name,
            one.remote_address or "", str(one.status), one.get_outcome_display(), one.error, str(one.items_asked),
            str(one.items_answered), str(one.duration_us), str(one.request_bytes), str(one.response_bytes), str(one.pk),
            _yes(one.pk in copies),
        ]
        for one in entries
    ]  # fmt: skip


LOG_COLUMNS: Final = (
    "at", "api", "direction", "client", "address", "status", "outcome", "error", "asked", "answered", "duration_us",
    "request_bytes", "response_bytes", "request_id", "held_copy",
)  # fmt: skip
LOG_FIELDS: Final = (
    "id", "at", "api", "direction", "client_name", "remote_address", "status", "outcome", "error", "items_asked",
    "items_answered", "duration_us", "request_bytes", "response_bytes",
)  # fmt: skip


# -- event trail ----------------------------------------------------------------------------------------------
def _events(export: Export, events: list[AuditEvent]) -> list[Cells]:
    copies = gaps.copies_among(one.pk for one in events)
    return [
        [
            _moment(one.at), one.actor_name, one.action, str(_ACTS.get(one.action, one.action)), one.target_type,
            one.target_id, one.target_name, one.remote_address or "",
            json.dumps(one.details, ensure_ascii=False, sort_keys=True), str(one.pk), _yes(one.pk in copies),
        ]
        for one in events
    ]  # fmt: skip


EVENT_COLUMNS: Final = (
    "at", "who", "action", "what", "target_type", "target_id", "target", "address", "details", "id", "held_copy"
)  # fmt: skip


# -- unsubscribes ---------------------------------------------------------------------------------------------
def _unsubscribes(export: Export, events: list[ConsentEvent]) -> list[Cells]:
    people = _people_of(events)
    return [
        [
            _moment(one.received_at), _moment(one.occurred_at), one.get_action_display(), Kind(one.kind).label,
            *_person(export, people.get((one.kind, bytes(one.blind_index)))),
            one.get_scope_display(), one.scope_id, one.get_source_display(), one.law, one.actor_name,
            _shown(one.evidence, lambda text: text if export.clear else DOTS),
            str(one.pk),
        ]
        for one in events
    ]  # fmt: skip


def _people_of(events: list[ConsentEvent]) -> dict[tuple[int, bytes], Mapping]:
    """The mappings of these people by kind and blind index; consent knows people without one, too."""
    if not events:
        return {}
    wanted = [bytes(one.blind_index) for one in events]
    held = Mapping.objects.filter(
        Q(blind_index_0__in=wanted) | Q(blind_index_1__in=wanted), enterprise=events[0].enterprise_id
    ).exclude(state=State.SUPERSEDED)
    return {
        (one.kind, bytes(index)): one
        for one in held
        for index in (one.blind_index_0, one.blind_index_1)
        if index is not None
    }


def _person(export: Export, mapping: Mapping | None) -> Cells:
    return ["", ""] if mapping is None else [_value(export, mapping), mapping.token]


def _subjects_of_events(events: list[ConsentEvent]) -> list[int]:
    return sorted({one.pk for one in _people_of(events).values()})


UNSUBSCRIBE_COLUMNS: Final = (
    "recorded_at", "asked_at", "action", "kind", "value", "token", "scope", "scope_id", "source", "law", "recorded_by",
    "evidence", "id",
)  # fmt: skip


# -- people ---------------------------------------------------------------------------------------------------
def _people(export: Export, mappings: list[Mapping]) -> list[Cells]:
    links = (
        ContactMapping.objects.filter(mapping__in=mappings)
        .select_related("contact")
        .order_by("-is_primary", "pk")
    )
    keys: dict[int, list[str]] = {}
    for link in links:
        keys.setdefault(link.mapping_id, []).append(link.contact.subscriber_key)
    return [
        [
            _moment(one.created_at), Kind(one.kind).label, _value(export, one), one.token, one.get_state_display(),
            " ".join(keys.get(one.pk, [])),
        ]
        for one in mappings
    ]  # fmt: skip


PEOPLE_COLUMNS: Final = ("token_since", "kind", "value", "token", "state", "subscriber_keys")


SORTS: Final[dict[Export.What, Sort]] = {
    What.LOG: Sort(
        LOG_COLUMNS,
        {
            "api": "api",
            "outcome": "outcome",
            "client": "client_id",
            "status": "status",
            "address": "remote_address",
        },
        lambda enterprise: PayloadEntry.objects.filter(enterprise_id=enterprise).only(*LOG_FIELDS),
        _log,
        lambda rows: [],
    ),
    What.EVENTS: Sort(
        EVENT_COLUMNS,
        {"action": "action", "actor": "actor_name", "target": "target_id"},
        lambda enterprise: AuditEvent.objects.filter(enterprise_id=enterprise).defer("header", "leaf_hash"),
        _events,
        lambda rows: [],
    ),
    What.UNSUBSCRIBES: Sort(
        UNSUBSCRIBE_COLUMNS,
        {"kind": "kind", "scope": "scope", "source": "source"},
        lambda enterprise: ConsentEvent.objects.filter(enterprise=enterprise),
        _unsubscribes,
        _subjects_of_events,
        has_clear=True,
    ),
    What.PEOPLE: Sort(
        PEOPLE_COLUMNS,
        {"kind": "kind", "state": "state"},
        lambda enterprise: Mapping.objects.filter(enterprise=enterprise),
        _people,
        lambda rows: [row.pk for row in rows],
        has_clear=True,
    ),
}


def _value(export: Export, mapping: Mapping) -> str:
    kind = Kind(mapping.kind)
    return _shown(mapping.value, lambda text: text if export.clear else mask(kind, text), gone="erased")


def _shown(sealed: Sealed | None, then: Callable[[str], str], *, gone: str = "") -> str:
    if sealed is None:
        return gone
    try:
        return then(sealed.open())
    except CannotOpen:
        return "does not open"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else ""


def _moment(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
