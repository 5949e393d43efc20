"""Whoever writes at the moment of an erasure either waits for it or is seen by it."""

import datetime
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from audit.approvals import requests
from audit.models import ApprovalRequest
from audit.trail import SYSTEM
from tests.conftest import OwnDatabase
from tests.processes import wait_for
from tests.tokens.api import cast
from tests.tokens.bulk.scene import HEADER, planned, rows_of, work_off
from tests.tokens.cast import IVAN, OLGA, an_enterprise
from tests.tokens.erasure.conftest import WHY, is_done, worked_until
from tokens.bulk import holding, leases
from tokens.consent import again, opt_ins
from tokens.consent.opt_outs import record_opt_out
from tokens.erasure import asking, copying, replay, word
from tokens.exports import requests as exports
from tokens.formats.kinds import Kind
from tokens.models import (
    BulkJob,
    ConsentEvent,
    Contact,
    Enterprise,
    Erasure,
    Export,
    ExportSlice,
    LedgerLine,
    Mapping,
    Suppression,
)
from tokens.models.mappings import State

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
DAY = datetime.timedelta(days=1)
OF_ANA = "SUB-NEW,ana@mail.example,,Ana,Rome,\n"


@pytest.fixture
def acme(own_database: OwnDatabase) -> Enterprise:
    return an_enterprise()


@pytest.fixture
def ana(acme: Enterprise) -> Mapping:
    return Mapping.objects.select_related("enterprise").get(
        token=cast.a_person(acme, "ana@mail.example", "SUB-ANA")
    )


def asked(mapping: Mapping) -> ApprovalRequest:
    outcome = asking.ask(mapping, [asking.holders(mapping)[0].contact_id], actor=OLGA, **WHY)
    assert outcome.waits_for is not None
    return outcome.waits_for


def apart(job: Callable[[], Any]) -> threading.Thread:
    """`job` on a connection of its own."""

    def run() -> None:
        try:
            job()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def somebody_waits() -> bool:
    """Whether another connection waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees the first answer for ever
        cursor.execute(WAITING)
        return bool(cursor.fetchone()[0])


def once_before(owner: Any, name: str, act: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Have `act` done right before the first call of a function."""
    original, done = getattr(owner, name), []

    def wrapped(*args: Any, **options: Any) -> Any:
        if not done:
            done.append(True)
            act()
        return original(*args, **options)

    patch.setattr(owner, name, wrapped)


@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_chunk_that_read_them_before_adds_nothing_after(
    acme: Enterprise, ana: Mapping, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    request = asked(ana)
    once_before(
        holding.contacts, "upsert",
        lambda: apart(lambda: requests.approve(request.pk, actor=IVAN)).join(60),
        monkeypatch,
    )  # fmt: skip
    if not is_guarded:  # the known-bad twin
        monkeypatch.setattr(holding.Holder, "_refuse_erased_meanwhile", lambda *_: None)
    job = work_off(planned(acme, HEADER + OF_ANA))
    assert job.state == BulkJob.State.FINISHED
    assert Mapping.objects.get(pk=ana.pk).state == State.BLOCKED
    assert Contact.objects.filter(subscriber_key="SUB-NEW").exists() is not is_guarded
    assert [row["Email"] for row in rows_of(job)] == ["" if is_guarded else ana.token]


def test_an_erasure_sees_who_came_to_hold_the_value_and_is_asked_anew(
    acme: Enterprise, ana: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, approving = asked(ana), []

    def approve_meanwhile() -> None:
        approving.append(apart(lambda: requests.approve(request.pk, actor=IVAN)))
        wait_for(somebody_waits)

    once_before(leases, "finish", approve_meanwhile, monkeypatch)
    assert work_off(planned(acme, HEADER + OF_ANA)).state == BulkJob.State.FINISHED
    approving[0].join(60)
    request.refresh_from_db()
    assert (request.state, "no longer what was asked" in request.failure) == ("failed", True)
    assert Mapping.objects.get(pk=ana.pk).state == State.ACTIVE


def test_what_an_older_transaction_wrote_afterwards_is_found_and_goes_too(
    acme: Enterprise, ana: Mapping
) -> None:
    requests.approve(asked(ana).pk, actor=IVAN)
    erasure = Erasure.objects.get()
    confirmed = word.confirm(
        erasure.deletes.get(), evidence="ticket 1", reason="By hand.", actor=OLGA
    ).waits_for
    assert confirmed is not None
    requests.approve(confirmed.pk, actor=IVAN)
    export = exports.ask(
        acme, what=Export.What.PEOPLE, form=Export.Form.CSV, only={}, case="C-1", clear=True, actor=SYSTEM
    )
    may_end, began = threading.Event(), threading.Event()

    def an_old_one() -> None:
        with transaction.atomic():
            value = Mapping.objects.get(pk=ana.pk).value.open()
            began.set()
            may_end.wait(60)
            ExportSlice.objects.create(
                enterprise=acme, export=export, number=1, sealed=value.encode(), subjects=[ana.pk]
            )

    old = apart(an_old_one)
    began.wait(60)
    erasure = worked_until(erasure, lambda one: one.trouble == "older_transactions")
    assert erasure.state == Erasure.State.DESTROYED
    may_end.set()
    old.join(60)
    done = worked_until(erasure, is_done)
    assert done.destroyed["exports in clear"] == 1
    assert not ExportSlice.objects.filter(sealed__isnull=False).exists()


def test_an_opt_out_that_is_put_back_while_an_older_one_is_lifted_blocks(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, Any] = {"kind": Kind.EMAIL, "raw_value": "ana@mail.example", "actor": OLGA}
    said |= {"source": ConsentEvent.Source.FILE}
    older = record_opt_out(acme, source_id="1", occurred_at=timezone.now() - 30 * DAY, **said)
    with transaction.atomic():  # the backup is from before
        newer = record_opt_out(acme, source_id="2", occurred_at=timezone.now() - DAY, **said)
        transaction.set_rollback(True)
    waits = opt_ins.ask(
        older, consented_at=timezone.now() - 20 * DAY, evidence="file 1", reason="x", actor=OLGA
    )
    assert waits.waits_for is not None
    puts_back: list[threading.Thread] = []
    blocked, lifted = threading.Event(), threading.Event()
    once_before(again.opening, "open_for", lambda: blocked.set() or lifted.wait(60), monkeypatch)

    def put_back_meanwhile() -> None:
        puts_back.append(apart(lambda: again.record_again(newer, actor=SYSTEM)))
        wait_for(lambda: somebody_waits() or blocked.is_set())

    # The lift holds the lock on what Resolve blocks by, and has not deleted it yet.
    once_before(opt_ins, "_source_id", put_back_meanwhile, monkeypatch)
    assert requests.approve(waits.waits_for.pk, actor=IVAN).state == "approved"
    lifted.set()
    puts_back[0].join(60)
    assert ConsentEvent.objects.filter(pk=newer.pk).exists()
    assert Suppression.objects.filter(enterprise=acme).count() == 1


def test_a_backup_from_the_middle_of_an_erasure_is_told_its_end(acme: Enterprise, ana: Mapping) -> None:
    requests.approve(asked(ana).pk, actor=IVAN)
    erasure = Erasure.objects.get()  # as the backup has it: blocked, and nothing deleted yet
    [record] = copying.records_of([LedgerLine(kind="erasure", subject=erasure.pk)], "default")
    record |= {"units": {acme.eid: "read-back"}, "deletes_are_over": True}
    assert [one["id"] for one in replay.missing([record])] == [str(erasure.pk)]
    assert replay.replay([record, record], actor=SYSTEM).erasures == 1
    assert replay.missing([record]) == []
    done = worked_until(erasure, is_done)
    assert (done.deletes.get().state, done.replayed_at is None) == ("deleted", False)
    assert Mapping.objects.get(pk=ana.pk).value is None
