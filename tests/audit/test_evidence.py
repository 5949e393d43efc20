"""Evidence is written whole or not at all, and can't be changed: not by the app, and not by the owner."""

import datetime
from typing import Any

import pytest
import uuid_utils.compat
from django.db import DatabaseError, IntegrityError, ProgrammingError, connections, transaction
from django.utils import timezone

from audit import partitions, payload_log, trail
from audit.models import Api, AuditEvent, Direction, Outcome, PayloadEntry, SealQueueEntry
from audit.payload_log import Exchange
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tests.conftest import OwnDatabase

EVIDENCE = ["audit_payloadentry", "audit_auditevent", "tokens_consentevent"]
OLGA = Actor("person:7", "Olga Officer", "192.0.2.7")


def record_an_exchange(at: datetime.datetime | None = None) -> Exchange:
    moment = at or timezone.now()
    entry_id = partitions.first_id_at(moment) if at else uuid_utils.compat.uuid7()
    exchange = Exchange(
        id=entry_id,
        at=moment,
        direction=Direction.INBOUND,
        api=Api.RESOLVE,
        status=200,
        outcome=Outcome.COMPLETE,
    )
    payload_log.record(exchange)
    return exchange


def rows(table: str, *columns: str) -> list[tuple[Any, ...]]:
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM {table}")
        return [tuple(row) for row in cursor.fetchall()]


def test_an_entry_and_its_leaf_are_written_together(own_database: OwnDatabase) -> None:
    exchange = record_an_exchange()
    entry = PayloadEntry.objects.get(pk=exchange.id)
    assert rows("audit_sealqueueentry", "kind", "entry_id", "leaf_hash") == [
        (SealQueueEntry.Kind.PAYLOAD, exchange.id, bytes(entry.leaf_hash))
    ]
    assert bytes(entry.header) == payload_log.header_of(exchange)


def test_an_event_and_its_leaf_share_the_fate_of_the_act(own_database: OwnDatabase) -> None:
    with transaction.atomic():
        trail.record(Action.CLIENT_CREATED, actor=OLGA, enterprise_id=1, target=Target("client", "1"))
        transaction.set_rollback(True)  # as an act does that fails after its event
    assert not AuditEvent.objects.exists()
    assert rows("audit_sealqueueentry", "id") == []


@pytest.mark.django_db
def test_an_event_names_its_actor_and_target_as_text() -> None:
    event_id = trail.record(
        Action.CLIENT_CREATED,
        actor=OLGA,
        enterprise_id=1,
        target=Target("client", "1", "MC"),
        details={"n": 1},
    )
    event = AuditEvent.objects.get(pk=event_id)
    assert (event.actor_name, event.target_type, event.target_name) == ("Olga Officer", "client", "MC")
    assert event.details == {"n": 1}


@pytest.mark.parametrize("table", EVIDENCE)
@pytest.mark.parametrize("act", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.django_db
def test_the_app_has_no_right_to_change_evidence(table: str, act: str) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
        connections["default"].cursor() as cursor,
    ):
        cursor.execute(act.format(table))


@pytest.mark.parametrize("act", ["UPDATE {} SET status = 500", "DELETE FROM {}", "TRUNCATE {}"])
def test_triggers_stop_even_the_owner(own_database: OwnDatabase, act: str) -> None:
    record_an_exchange()
    with pytest.raises(DatabaseError, match=r"(?i)cannot"), connections["owner"].cursor() as cursor:
        cursor.execute(act.format("audit_payloadentry"))
    assert PayloadEntry.objects.count() == 1


def test_without_its_triggers_an_edit_would_pass(own_database: OwnDatabase) -> None:
    """The known-bad twin: what stops the owner is the trigger, and nothing else."""
    record_an_exchange()
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE audit_payloadentry DISABLE TRIGGER USER")
        cursor.execute("UPDATE audit_payloadentry SET status = 500")
    assert PayloadEntry.objects.get().status == 500


@pytest.mark.django_db
def test_the_app_cannot_read_the_seal_queue() -> None:
    with pytest.raises(ProgrammingError), transaction.atomic():
        SealQueueEntry.objects.count()


def test_partitions_stand_six_months_ahead_and_are_made_once(own_database: OwnDatabase) -> None:
    month = timezone.now().date().replace(day=1)
    coming = [month := partitions.month_after(month) for _ in range(partitions.MONTHS_AHEAD)]
    assert partitions.missing(coming) == []
    assert partitions.ensure() == []
    later = partitions.month_after(coming[-1])
    assert partitions.ensure(months=0, first=later) == [
        partitions.name_of(table, later) for table in partitions.TABLES
    ]
    assert partitions.missing([later]) == []


@pytest.mark.django_db
def test_an_entry_that_fits_no_partition_fails() -> None:
    """Rather than landing where retention can't drop it: no log, no answer."""
    with pytest.raises(IntegrityError, match="no partition"), transaction.atomic():
        record_an_exchange(at=timezone.now() + datetime.timedelta(days=400))
