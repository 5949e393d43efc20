"""Months of long ago with sealed rows in them, and two people who agree to drop them. For `own_database`."""

import datetime
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from audit import holds, partitions, trail
from audit.approvals import acts, requests
from audit.models import ApprovalRequest, HeldCopy, LegalHold, PayloadEntry, RecordKind
from audit.retention import dropping, gaps, months, orders
from audit.retention.dropping import Dropped
from audit.retention.months import Month
from audit.retention.orders import Order
from audit.seals import verify_evidence
from audit.seals.bundle import Record, Source
from audit.seals.verify_evidence import Report, Verifier
from audit.trail import Actor
from tests.audit.seals import cast as seals

ROSA, DAVE = Actor("user:1", "rosa", "192.0.2.1"), Actor("user:2", "dave", "192.0.2.2")
PAYLOAD, EVENT = RecordKind.PAYLOAD, RecordKind.EVENT
_random = random.Random(11)


def everybody_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """No enterprise is a sandbox, and roles are not the question."""
    monkeypatch.setattr(acts, "_outside", acts._Outside(lambda one: False, lambda *_: True))


def month(ago: int, kind: RecordKind = PAYLOAD) -> Month:
    """The month that began so many months ago, with its partitions."""
    day = months.back(months.today().replace(day=1), ago)
    partitions.ensure(months=0, first=day)
    return Month(day, kind)


def moment_in(one: Month) -> datetime.datetime:
    begin = datetime.datetime(one.day.year, one.day.month, 10, tzinfo=datetime.UTC)
    return begin + datetime.timedelta(seconds=_random.randrange(86_400 * 10))


def id_in(one: Month) -> uuid.UUID:
    rest = (7 << 76) | (_random.getrandbits(12) << 64) | (2 << 62) | _random.getrandbits(62)
    return uuid.UUID(int=partitions.first_id_at(moment_in(one)).int | rest)


def entries(one: Month, count: int, **facts: Any) -> list[uuid.UUID]:
    return [seals.an_entry(id=id_in(one), at=moment_in(one), **facts) for _ in range(count)]


@contextmanager
def events_written_in(one: Month, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever is recorded meanwhile has an id of that month."""
    with monkeypatch.context() as patch:
        patch.setattr(trail.uuid_utils.compat, "uuid7", lambda: id_in(one))
        yield


class Log:
    """A log with its own key and head."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def seal(self) -> None:
        while seals.a_sequencer(self.folder).run():
            pass

    def order(self, *wanted: Month, reason: str = "past the policy") -> Order:
        """Rosa asks, Dave approves, and that is sealed."""
        asked = orders.ask(list(wanted), reason=reason, actor=ROSA).waits_for
        assert asked is not None
        decided = requests.approve(asked.pk, actor=DAVE)
        assert decided.state == ApprovalRequest.State.APPROVED, decided.failure
        self.seal()
        [order] = [one for one in orders.open_orders() if one.approval.pk == asked.pk]
        return order

    def drop(self, one: Month, order: Order | None = None) -> Dropped:
        return dropping.drop(one, order or self.order(one), sequencer=seals.a_sequencer(self.folder))

    def records(self, entry_id: uuid.UUID | None = None) -> list[Record]:
        head = seals.a_sequencer(self.folder).head.read()
        source = Source(seals.KEY.verifier, head)
        return list(source.entry(entry_id) if entry_id else source.log())

    def verified(self, entry_id: uuid.UUID | None = None) -> Report:
        verifier = Verifier([verify_evidence.parse_key(str(seals.KEY.verifier))])
        for record in self.records(entry_id):
            verifier.take(record)
        return verifier.finish()

    def found(self) -> list[tuple[str, str | None]]:
        """What the verifier finds wrong: (what, id)."""
        return [(finding.what, finding.id) for finding in self.verified().findings]


def hold_on_entry(entry_id: uuid.UUID, case: str = "LIT-7") -> LegalHold:
    return holds.place(
        enterprise_id=1, scope=holds.Scope.ENTRY, entry_id=entry_id, case=case, reason="r", actor=DAVE
    )


def release(hold: LegalHold) -> None:
    """Rosa asks, Dave approves."""
    asked = holds.ask_to_release(hold, reason="closed", actor=ROSA).waits_for
    assert asked is not None
    requests.approve(asked.pk, actor=DAVE)


def stored(table: str, *ids: uuid.UUID) -> list[tuple[Any, ...]]:
    """Whole rows as they are stored."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} WHERE id = ANY(%s) ORDER BY id", [list(ids)])
        return [
            tuple(bytes(one) if isinstance(one, memoryview) else one for one in row)
            for row in cursor.fetchall()
        ]


def as_owner(statement: str, *values: Any) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement, list(values))


def is_there(one: Month) -> bool:
    """Whether the month has a partition."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [one.partition])
        return bool(cursor.fetchone()[0])


def with_a_copy(log: Log) -> uuid.UUID:
    """A held entry of a month whose rest was dropped."""
    old = month(30)
    held, *_ = entries(old, 3)
    hold_on_entry(held)
    log.seal()
    log.drop(old)
    assert log.found() == []
    return held


def forget_copies() -> None:
    with triggers_off("audit_heldcopy"):
        as_owner("DELETE FROM audit_heldcopy")


@contextmanager
def triggers_off(table: str) -> Iterator[None]:
    """As an administrator of the database can."""
    as_owner(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    as_owner(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def is_untouched(log: Log, one: Month, ids: list[uuid.UUID]) -> None:
    """Asserts that nothing was dropped, and nothing written about it."""
    assert PayloadEntry.objects.filter(pk__in=ids).count() == len(ids)
    assert gaps.acts() == []
    assert HeldCopy.objects.count() == 0
    assert is_there(one)
