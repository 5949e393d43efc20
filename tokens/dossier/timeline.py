"""The timeline of a person: everything on record of a mapping, newest first, from every table that knows something.

Each source gives its next few lines beyond a key, and the keys of all sources are UUIDv7 in one order. So a page
costs one short statement for each source, however long the timeline is.
"""

import datetime
import heapq
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from django.db.models import Q, QuerySet

from audit.models import AuditEvent
from audit.partitions import first_id_at
from tokens.models import BulkJob, ConsentEvent, ContactMapping, Export, ExportSlice, Mapping
from tokens.vault import find
from tokens.vault.find import Found


class LineKind(StrEnum):
    """What a line tells of."""

    EXCHANGE = "exchange"
    CONSENT = "consent"
    SIGHT = "sight"
    ACT = "act"
    RECORD = "record"
    JOB = "job"


# Acts by which somebody got to see something of the person; every other act upon the mapping is a line of its own kind.
SEEN_BY: Final = ("person.searched", "person.viewed", "person.revealed", "pack.", "export.", "break-glass.")
# What a list needs of an exchange. Bodies stay in the database.
EXCHANGE_COLUMNS: Final = (
    "id", "at", "api", "direction", "client_id", "client_name", "remote_address", "status", "outcome", "error",
    "items_asked", "items_answered", "duration_us", "request_bytes", "response_bytes", "anomalies", "enterprise_id",
)  # fmt: skip
EVENT_COLUMNS: Final = (
    "id", "at", "enterprise_id", "action", "actor_id", "actor_name", "target_type", "target_id", "target_name",
    "request_id", "remote_address", "details",
)  # fmt: skip
Key = uuid.UUID | None


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened. `pk` is its place in the timeline, unique and ordered by time."""

    pk: uuid.UUID
    at: datetime.datetime
    kind: LineKind
    what: Any


def lines(
    found: Found, kinds: Collection[LineKind], *, older: Key = None, newer: Key = None, limit: int
) -> list[Line]:
    """At most `limit` lines of these kinds, newest first: the newest, those next older, or those next newer.

    `found` is that of a mapping. Statements run as long as they run: pages set a limit on time.
    """
    assert found.mapping is not None
    window = _Window(older, newer, limit)
    parts = [source(found, kinds, window) for source in SOURCES]
    merged = list(heapq.merge(*parts, key=lambda line: line.pk, reverse=newer is None))[:limit]
    return merged[::-1] if newer else merged


@dataclass(frozen=True, slots=True)
class _Window:
    """The part of each source that can be on the page: the first ones beyond a key, in the direction of reading."""

    older: Key
    newer: Key
    limit: int

    def of(self, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        if self.newer:
            return rows.filter(pk__gt=self.newer).order_by("pk")[: self.limit]
        return (rows.filter(pk__lt=self.older) if self.older else rows).order_by("-pk")[: self.limit]

    def sorted(self, made: Sequence[Line]) -> list[Line]:
        """The same of lines that are in memory."""
        if self.newer:
            newer = self.newer
            return sorted((line for line in made if line.pk > newer), key=_by_key)[: self.limit]
        kept = (line for line in made if self.older is None or line.pk < self.older)
        return sorted(kept, key=_by_key, reverse=True)[: self.limit]


def _by_key(line: Line) -> uuid.UUID:
    return line.pk


# -- sources: each gives its lines in the order of the window -------------------------------------------------
def _exchanges(found: Found, kinds: Collection[LineKind], window: _Window) -> list[Line]:
    if LineKind.EXCHANGE not in kinds:
        return []
    assert found.mapping is not None
    rows = find.exchanges_of(found.mapping.enterprise, found).only(*EXCHANGE_COLUMNS)
    return [Line(row.pk, row.at, LineKind.EXCHANGE, row) for row in window.of(rows)]


def _events(found: Found, kinds: Collection[LineKind], window: _Window) -> list[Line]:
    """Acts upon the mapping: who looked, who revealed, holds, packs; whatever the vocabulary will name one day."""
    wanted = {LineKind.SIGHT, LineKind.ACT} & set(kinds)
    if not wanted:
        return []
    rows = events_of(found.mapping).only(*EVENT_COLUMNS)
    if wanted != {LineKind.SIGHT, LineKind.ACT}:
        rows = rows.filter(SIGHTS) if LineKind.SIGHT in wanted else rows.exclude(SIGHTS)
    return [Line(row.pk, row.at, kind_of(row), row) for row in window.of(rows)]


def _exports(found: Found, kinds: Collection[LineKind], window: _Window) -> list[Line]:
    """Exports in clear that the person is in, also when their files are long gone."""
    if LineKind.SIGHT not in kinds:
        return []
    assert found.mapping is not None
    holding = ExportSlice.objects.filter(subjects__contains=[found.mapping.pk])
    rows = Export.objects.filter(pk__in=holding.values("export"))
    return [Line(row.pk, row.requested_at, LineKind.SIGHT, row) for row in window.of(rows)]


def _consent(found: Found, kinds: Collection[LineKind], window: _Window) -> list[Line]:
    if LineKind.CONSENT not in kinds:
        return []
    assert found.mapping is not None
    rows = ConsentEvent.objects.filter(
        enterprise=found.mapping.enterprise_id, kind=found.kind, blind_index__in=list(found.blind_indexes)
    ).defer("evidence")
    return [Line(row.pk, row.received_at, LineKind.CONSENT, row) for row in window.of(rows)]


def _jobs(found: Found, kinds: Collection[LineKind], window: _Window) -> list[Line]:
    """Bulk jobs that gave a contact of the person the attributes that it has now."""
    ids = {link.contact.attributes_job for link in found.links if link.contact.attributes_job}
    if LineKind.JOB not in kinds or not ids:
        return []
    rows = BulkJob.objects.filter(pk__in=ids).only("id", "name", "created_at", "state")
    return [Line(row.pk, row.created_at, LineKind.JOB, row) for row in window.of(rows)]


def _records(found: Found, kinds: Collection[LineKind], window: _Window) -> list[Line]:
    """That the token was made, and that contacts came to hold it: known already, and few."""
    if LineKind.RECORD not in kinds:
        return []
    assert found.mapping is not None
    made = [_record(found.mapping, 0), *(_record(link, 1) for link in found.links)]
    return window.sorted(made)


def _record(row: Mapping | ContactMapping, discriminator: int) -> Line:
    # The row's id makes the key unique among those of its millisecond; it has 64 of the 80 bits below the time.
    key = uuid.UUID(int=first_id_at(row.created_at).int | discriminator << 64 | row.pk)
    return Line(key, row.created_at, LineKind.RECORD, row)


SOURCES: Final[tuple[Callable[[Found, Collection[LineKind], _Window], list[Line]], ...]] = (
    _exchanges,
    _events,
    _exports,
    _consent,
    _jobs,
    _records,
)
SIGHTS: Final = Q(*[("action__startswith", prefix) for prefix in SEEN_BY], _connector=Q.OR)


def events_of(mapping: Mapping | None) -> "QuerySet[AuditEvent]":
    """Every event whose target is this mapping: the index `event_by_target` knows them in order."""
    assert mapping is not None
    return AuditEvent.objects.filter(
        target_type="mapping", target_id=str(mapping.pk), enterprise_id=mapping.enterprise_id
    )


def kind_of(event: AuditEvent) -> LineKind:
    """Whether by that act somebody saw something of the person."""
    return LineKind.SIGHT if event.action.startswith(SEEN_BY) else LineKind.ACT
