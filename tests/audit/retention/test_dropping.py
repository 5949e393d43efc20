"""A month leaves the log by an approved and sealed act, but for what is held; and only so (decision 8)."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction

from audit.models import AuditEvent, HeldCopy, PayloadEntry, SealedLeaf
from audit.retention import dropping, errors, policies
from audit.seals import merkle, verify_evidence
from audit.vocabulary import Action
from tests.audit.retention import cast
from tests.audit.retention.cast import EVENT, PAYLOAD, Log
from tests.audit.seals import cast as seals


# -- the act --------------------------------------------------------------------------------------------------
def test_a_month_past_its_policy_is_dropped_by_an_act_that_is_sealed_with_it(log: Log) -> None:
    old, young = cast.month(30), cast.month(3)
    gone, stay = cast.entries(old, 5), cast.entries(young, 3)
    log.seal()
    order = log.order(old)
    log.seal()
    dropped = log.drop(old, order)
    assert (dropped.rows, dropped.kept) == (5, 0)
    assert not cast.is_there(old)
    assert set(PayloadEntry.objects.values_list("pk", flat=True)) == set(stay)
    act = AuditEvent.objects.get(pk=dropped.event)
    assert (act.action, act.actor_name) == (Action.PARTITION_DROPPED, "rosa")
    assert act.details["approval"] == str(order.approval.pk)
    assert act.details["approved_by"] == "dave"
    # Sealed in the same transaction, and every leaf of what is gone is there for ever.
    assert SealedLeaf.objects.filter(entry_id=dropped.event).exists()
    assert SealedLeaf.objects.filter(entry_id__in=gone).count() == 5
    report = log.verified()
    assert report.findings == []
    assert [(gap["event"], gap["missing"], gap["kept"]) for gap in report.gaps] == [
        (str(dropped.event), 5, 0)
    ]
    log.seal()
    assert log.found() == []


def test_the_offline_verifier_tells_the_gap_with_its_act(log: Log) -> None:
    old = cast.month(30)
    held, *_ = cast.entries(old, 3)
    cast.hold_on_entry(held)
    log.seal()
    dropped = log.drop(old)
    bundle = log.folder / "bundle.jsonl"
    bundle.write_text("".join(json.dumps(record) + "\n" for record in log.records()))
    told = subprocess.run(
        [sys.executable, "-I", verify_evidence.__file__, str(bundle), "--vkey", str(seals.KEY.verifier)],
        capture_output=True,
        text=True,
        check=False,
        env={},
        timeout=600,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"2 rows (payload) were dropped by the act {dropped.event}, which kept 1." in told.stdout
    assert "1 copies that retention kept are as they were sealed, with their proofs." in told.stdout


def test_one_entry_that_was_dropped_is_explained_by_its_proof_and_that_of_the_act(log: Log) -> None:
    old = cast.month(30)
    gone, held = cast.entries(old, 2)
    cast.hold_on_entry(held)
    log.seal()
    dropped = log.drop(old)
    report = log.verified(gone)
    assert (report.findings, [gap["event"] for gap in report.gaps]) == ([], [str(dropped.event)])
    report = log.verified(held)
    assert (report.findings, report.rows, report.held) == ([], 1, 1)


# -- held copies ----------------------------------------------------------------------------------------------
def test_held_entries_survive_byte_for_byte_with_their_proofs(log: Log) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 6)
    held = [ids[1], ids[4]]
    holds = [cast.hold_on_entry(one) for one in held]
    log.seal()
    before = cast.stored("audit_payloadentry", *held)
    dropped = log.drop(old)
    assert (dropped.rows, dropped.kept) == (4, 2)
    assert cast.stored("audit_payloadentry", *held) == before
    assert cast.stored("audit_payloadentry", *ids) == before
    assert cast.is_there(old)
    for copy in HeldCopy.objects.filter(act=dropped.event):
        leaf = SealedLeaf.objects.get(index=copy.index)
        checkpoint = seals.asked("SELECT size, root FROM audit_checkpoint WHERE number = %s", copy.checkpoint)
        [(size, root)] = checkpoint
        steps = [copy.proof[at : at + 32] for at in range(0, len(copy.proof), 32)]
        assert merkle.root_from_inclusion(bytes(leaf.leaf_hash), copy.index, size, steps) == bytes(root)
        assert copy.holds == [holds[held.index(copy.entry_id)].pk]
    assert HeldCopy.objects.count() == 2
    report = log.verified()
    assert (report.findings, report.held) == ([], 2)
    # The copies stand in a partition like any other: indexed, append-only, out of the app's reach.
    assert PayloadEntry.objects.filter(links__overlap=[7]).count() == 2
    with pytest.raises(DatabaseError):
        cast.as_owner("UPDATE audit_payloadentry SET status = 1 WHERE id = %s", held[0])


def test_a_hold_on_a_range_and_one_on_nothing_of_the_month(log: Log) -> None:
    old = cast.month(30)
    cast.entries(old, 3)
    other = cast.entries(old, 2, enterprise_id=2)
    log.seal()
    order = log.order(old)
    hold = cast.holds.place(
        enterprise_id=2, scope=cast.holds.Scope.RANGE, case="LIT-8", reason="r", actor=cast.DAVE,
        first=cast.moment_in(cast.month(40)), before=cast.moment_in(cast.month(20)),
    )  # fmt: skip
    # Placed after the approval: a hold only keeps more.
    dropped = log.drop(old, order)
    assert (dropped.rows, dropped.kept) == (3, 2)
    assert set(PayloadEntry.objects.values_list("pk", flat=True)) == set(other)
    assert AuditEvent.objects.get(pk=dropped.event).details["holds"] == [hold.case]
    assert log.found() == []


def test_what_a_hold_kept_is_dropped_by_a_second_act_once_it_is_released(log: Log) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 4)
    one, two = cast.hold_on_entry(ids[0]), cast.hold_on_entry(ids[1])
    log.seal()
    log.drop(old)
    with pytest.raises(cast.requests.errors.CannotBeDone, match="nothing to drop"):
        log.order(old)
    cast.release(one)
    second = log.drop(old)
    assert (second.rows, second.kept) == (1, 1)
    assert log.found() == []
    cast.release(two)
    third = log.drop(old)
    assert (third.rows, third.kept) == (1, 0)
    report = log.verified()
    assert (report.findings, [gap["missing"] for gap in report.gaps]) == ([], [2, 1, 1])
    assert not cast.is_there(old)


def test_events_that_verifying_needs_outlive_their_month(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    old, trail_month = cast.month(120), cast.month(100, EVENT)
    cast.entries(old, 2)
    log.seal()
    order = log.order(old)
    with cast.events_written_in(trail_month, monkeypatch):
        act = log.drop(old, order).event
        told = seals.an_event()
    log.seal()
    dropped = log.drop(trail_month)
    assert (dropped.rows, dropped.kept) == (1, 1)
    assert AuditEvent.objects.filter(pk=act).exists()
    assert not AuditEvent.objects.filter(pk=told).exists()
    report = log.verified()
    assert (report.findings, len(report.gaps)) == ([], 2)
    assert HeldCopy.objects.get().holds == []
    with pytest.raises(errors.NotApproved):
        log.drop(trail_month, order)


def test_without_keeping_them_the_gap_would_be_tampering(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The known-bad twin."""
    old, trail_month = cast.month(120), cast.month(100, EVENT)
    gone = cast.entries(old, 2)
    log.seal()
    order = log.order(old)
    with cast.events_written_in(trail_month, monkeypatch):
        log.drop(old, order)
    log.seal()
    monkeypatch.setattr(dropping.kept, "NEEDED", ())
    log.drop(trail_month)
    assert {finding for finding in log.found() if finding[1] in set(map(str, gone))} == {
        ("deleted", str(one)) for one in gone
    }


# -- faults ---------------------------------------------------------------------------------------------------
KILLED = """
import django; django.setup()
import os, signal
from pathlib import Path
from audit.approvals import acts
from audit.retention import dropping, orders
from tests.audit.retention import cast
from tests.audit.seals import cast as seals
[order] = orders.open_orders()
dropping.{victim} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
dropping.drop(order.months[0], order, sequencer=seals.a_sequencer(Path({folder!r})))
"""


@pytest.mark.parametrize("victim", ["copies.keep_proofs", "leaf_of_event"])
def test_a_kill_in_the_middle_leaves_the_month_as_it_was(log: Log, victim: str) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 4)
    cast.hold_on_entry(ids[0])
    log.seal()
    order = log.order(old)
    log.seal()
    before = cast.stored("audit_payloadentry", *ids)
    code = KILLED.format(victim=victim, folder=str(log.folder))
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=300)
    assert ended.returncode == -signal.SIGKILL
    cast.is_untouched(log, old, ids)
    assert cast.stored("audit_payloadentry", *ids) == before
    assert log.found() == []
    assert log.drop(old, order).rows == 3
    assert log.found() == []


def test_a_kill_between_the_commit_and_the_head_harms_nothing(
    log: Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = cast.month(30)
    cast.entries(old, 2)
    log.seal()
    order = log.order(old)

    class Killed(Exception):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("audit.seals.head.FileHead.advance", killed)
        with pytest.raises(Killed):
            log.drop(old, order)
    assert log.found() == []
    log.seal()
    assert log.found() == []


# -- the app ----------------------------------------------------------------------------------------------------
FORBIDDEN = """
DROP TABLE {partition}
ALTER TABLE audit_payloadentry DETACH PARTITION {partition}
TRUNCATE {partition}
DELETE FROM audit_payloadentry
INSERT INTO audit_heldcopy SELECT 1, gen_random_uuid(), 'payload', gen_random_uuid(), NULL, '{{}}', 0, 0, ''
DELETE FROM audit_heldcopy
UPDATE audit_retentionpolicy SET months = 1
DELETE FROM audit_retentionpolicy
INSERT INTO audit_retentionpolicy SELECT 1, 'payload', 1, gen_random_uuid(), 'user:1', 'mallory', now()
"""


def test_the_app_can_neither_drop_nor_write_what_it_should_not(log: Log) -> None:
    old = cast.month(30)
    for statement in FORBIDDEN.strip().splitlines():
        with pytest.raises(DatabaseError) as error, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement.format(partition=old.partition))
        assert any(
            said in str(error.value) for said in ("permission denied", "must be owner", "approved request")
        )
    assert cast.is_there(old)


def test_nor_can_the_owner_by_a_slip(log: Log) -> None:
    cast.with_a_copy(log)
    for statement in ("DELETE FROM audit_heldcopy", "TRUNCATE audit_heldcopy"):
        with pytest.raises(DatabaseError), connections["owner"].cursor() as cursor:
            cursor.execute(statement)
    assert policies.in_force(PAYLOAD).months == policies.DEFAULTS[PAYLOAD]
