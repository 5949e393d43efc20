"""Copies what was committed to the erasure ledger: a job of maintenance, which alone writes there.

Consent events and erasures leave a line in a table, in their own transaction; erasures when they are approved, and once
more when their deletes are over. Lines are deleted when the ledger has
them on disk; so nothing is skipped because it was committed late, and what waits can be counted. A crash between the
two writes a record twice, which changes nothing.
"""

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import connections, transaction
from django.db.models import Min
from django.utils import timezone

from tokens.erasure.ledger import Ledger, Record
from tokens.models import ConsentEvent, Contact, Erasure, LedgerLine, Mapping

AT_ONCE: Final = 1000
LOCK: Final = 7_310_277
Kind = LedgerLine.Kind


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many lines the ledger does not have yet, and since when the oldest waits."""

    lines: int
    since: datetime.datetime | None


def backlog() -> Backlog:
    """What the ledger does not have yet."""
    found = LedgerLine.objects.aggregate(since=Min("made_at"))
    return Backlog(LedgerLine.objects.count(), found["since"])


def copy(ledger: Ledger, *, using: str = "owner") -> int:
    """Copy everything that waits; how many records. Raises LedgerError, and then it is tried again."""
    total = 0
    while copied := _copy_some(ledger, using):
        total += copied
    return total


def _copy_some(ledger: Ledger, using: str) -> int:
    with transaction.atomic(using=using):
        if not _alone(using):
            return 0
        lines = list(LedgerLine.objects.using(using).order_by("pk")[:AT_ONCE])
        if not lines:
            return 0
        records = records_of(lines, using)
        ledger.append(records)
        LedgerLine.objects.using(using).filter(pk__in=[one.pk for one in lines]).delete()
        # By what the record says: one whose deletes ended since is written once more, and only then destroyed.
        over = [one["id"] for one in records if one["kind"] == Kind.ERASURE and one["deletes_are_over"]]
        erasures = Erasure.objects.using(using).filter(pk__in=over)
        erasures.update(recorded_at=timezone.now(), next_try_at=timezone.now())
    return len(lines)


def records_of(lines: Iterable[LedgerLine], using: str) -> list[Record]:
    """The records of lines, in their order."""
    lines = list(lines)
    events = ConsentEvent.objects.using(using).select_related("enterprise").defer("evidence")
    erasures = Erasure.objects.using(using).select_related("enterprise", "mapping")
    found: dict[uuid.UUID, Record] = {
        one.pk: _of_event(one) for one in events.filter(pk__in=_subjects(lines, {Kind.OPT_OUT, Kind.OPT_IN}))
    } | {one.pk: _of_erasure(one, using) for one in erasures.filter(pk__in=_subjects(lines, {Kind.ERASURE}))}
    return [found[line.subject] for line in lines if line.subject in found]


def _of_event(event: ConsentEvent) -> Record:
    """All of it but the evidence, which is sealed and stays where its key is."""
    return {
        "kind": event.action,
        "id": str(event.pk),
        "eid": event.enterprise.eid,
        "channel": event.kind,
        "index_version": event.index_version,
        "blind_index": bytes(event.blind_index).hex(),
        "scope": event.scope,
        "scope_id": event.scope_id,
        "source": event.source,
        "source_id": event.source_id,
        "law": event.law,
        "lifts": [str(one) for one in event.lifts],
        "actor_id": event.actor_id,
        "actor_name": event.actor_name,
        "occurred_at": event.occurred_at.isoformat(),
        "received_at": event.received_at.isoformat(),
    }


def _of_erasure(erasure: Erasure, using: str) -> Record:
    mappings = Mapping.objects.using(using).filter(pk__in=erasure.mappings).order_by("pk")
    contacts = Contact.objects.using(using).filter(pk__in=erasure.contacts).order_by("pk")
    return {
        "kind": Kind.ERASURE.value,
        "id": str(erasure.pk),
        "eid": erasure.enterprise.eid,
        "case": erasure.case,
        "requested_by_id": erasure.requested_by_id,
        "requested_by_name": erasure.requested_by_name,
        "approval": str(erasure.approval) if erasure.approval else None,
        "blocked_at": erasure.blocked_at.isoformat(),
        "deletes_are_over": erasure.deleted_at is not None,
        "token": erasure.mapping.token,
        "keys": [one.subscriber_key for one in contacts],
        "units": dict(erasure.deletes.order_by("pk").values_list("mid", "proof")),
        "mappings": [_of_mapping(one) for one in mappings],
    }


def _of_mapping(mapping: Mapping) -> dict[str, Any]:
    """A tombstone can be made of it."""
    indexes = (
        (mapping.index_version_0, mapping.blind_index_0),
        (mapping.index_version_1, mapping.blind_index_1),
    )
    return {
        "channel": mapping.kind,
        "token": mapping.token,
        "indexes": {
            str(number): bytes(index).hex() for number, index in indexes if number is not None and index
        },
    }


def _subjects(lines: Iterable[LedgerLine], kinds: set[Kind]) -> list[uuid.UUID]:
    return [one.subject for one in lines if one.kind in kinds]


def _alone(using: str) -> bool:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])
