"""A month leaves the log by an approved and sealed act, but for what is held; and only so (decision 8)."""

import json
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, connections, transaction

from audit import trail
from audit.models import ApprovalRequest, AuditEvent, HeldCopy, PayloadEntry, SealedLeaf
from audit.retention import dropping, errors, gaps, policies
from audit.seals import merkle, verify_evidence
from audit.trail import SYSTEM
from audit.vocabulary import Action
from tests.audit.approving import let_pass
from tests.audit.retention import cast
from tests.audit.retention.cast import EVENT, PAYLOAD, Log
from tests.audit.seals import cast as seals
from tests.conftest import OwnDatabase


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


# -- what a verifier finds ------------------------------------------------------------------------------------
def test_a_month_dropped_without_an_act_is_tampering(log: Log) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 3)
    log.seal()
    cast.as_owner(f"DROP TABLE {old.partition}")
    assert log.found() == [("deleted", str(one)) for one in ids]


def test_an_act_that_somebody_planted_excuses_nothing(log: Log) -> None:
    """Whoever may write events says what the act says; the key of the log did not sign it."""
    old = cast.month(30)
    ids = cast.entries(old, 3)
    said = {
        "kind": "payload", "first": str(old.first), "before": str(old.before), "rows": 3, "kept": 0,
        "kept_sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "signature": "AAAA", "month": old.label,
    }  # fmt: skip
    planted = trail.record(Action.PARTITION_DROPPED, actor=SYSTEM, enterprise_id=None, details=said)
    log.seal()
    cast.as_owner(f"DROP TABLE {old.partition}")
    report = log.verified()
    assert [finding.id for finding in report.findings] == list(map(str, ids))
    assert str(planted) in report.remarks[0]


def test_a_copy_that_was_changed_is_named(log: Log) -> None:
    held = _with_a_copy(log)
    seals.as_superuser("UPDATE audit_payloadentry SET request_skeleton = 'x' WHERE id = %s", values=[held])
    [finding] = log.verified().findings
    assert (finding.what, finding.id, finding.fields) == ("edited", str(held), ["request_sha256"])


def test_a_copy_that_was_deleted_is_named(log: Log) -> None:
    held = _with_a_copy(log)
    seals.as_superuser("DELETE FROM audit_payloadentry WHERE id = %s", values=[held])
    assert ("deleted", str(held)) in log.found()
    assert log.verified(held).findings != []


def test_a_copy_and_that_it_was_kept_can_not_be_deleted_together(log: Log) -> None:
    held = _with_a_copy(log)
    seals.as_superuser("DELETE FROM audit_payloadentry WHERE id = %s", values=[held])
    _forget_copies()
    assert [what for what, _ in log.found()] == ["deleted"]


def test_a_dropped_row_from_a_backup_does_not_hide_that_a_held_one_is_gone(log: Log) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 3)
    cast.hold_on_entry(ids[0])
    log.seal()
    cast.as_owner("CREATE TABLE backup AS SELECT * FROM audit_payloadentry WHERE id = %s", ids[1])
    log.drop(old)
    seals.as_superuser("DELETE FROM audit_payloadentry WHERE id = %s", values=[ids[0]])
    cast.as_owner("INSERT INTO audit_payloadentry SELECT * FROM backup")
    _forget_copies()
    # As many rows are gone as the act said: what it kept does not agree.
    assert [what for what, _ in log.found()] == ["deleted"]


def test_a_proof_that_was_changed_is_named(log: Log) -> None:
    held = _with_a_copy(log)
    with _triggers_off("audit_heldcopy"):
        cast.as_owner("UPDATE audit_heldcopy SET proof = sha256(proof)")
    assert log.found() == [("proof", str(held))]


def _with_a_copy(log: Log) -> uuid.UUID:
    old = cast.month(30)
    held, *_ = cast.entries(old, 3)
    cast.hold_on_entry(held)
    log.seal()
    log.drop(old)
    assert log.found() == []
    return held


def _forget_copies() -> None:
    with _triggers_off("audit_heldcopy"):
        cast.as_owner("DELETE FROM audit_heldcopy")


class _triggers_off:  # noqa: N801
    def __init__(self, table: str) -> None:
        self.table = table

    def __enter__(self) -> None:
        cast.as_owner(f"ALTER TABLE {self.table} DISABLE TRIGGER USER")

    def __exit__(self, *_: Any) -> None:
        cast.as_owner(f"ALTER TABLE {self.table} ENABLE TRIGGER USER")


# -- what is refused ------------------------------------------------------------------------------------------
def _is_untouched(log: Log, month: cast.Month, ids: list[uuid.UUID]) -> None:
    assert PayloadEntry.objects.filter(pk__in=ids).count() == len(ids)
    assert gaps.acts() == []
    assert HeldCopy.objects.count() == 0
    assert cast.is_there(month)


def test_a_month_with_rows_that_wait_for_their_seal_is_refused(log: Log) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 2)
    order = log.order(old)
    ids += cast.entries(old, 1)
    with pytest.raises(errors.NotSealed):
        log.drop(old, order)
    _is_untouched(log, old, ids)
    log.seal()
    assert log.drop(old, order).rows == 3


def test_a_log_that_no_checkpoint_covers_is_refused(log: Log) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 2)
    order = log.order(old)
    # Sealing stopped: the head outside knows another log.
    (log.folder / "head").unlink()
    with pytest.raises(errors.NotSealed, match="head outside the database is gone"):
        log.drop(old, order)
    _is_untouched(log, old, ids)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE audit_payloadentry SET status = 500 WHERE id = %s",
        "DELETE FROM audit_payloadentry WHERE id = %s",
        "UPDATE audit_payloadentry SET header = header || ' ' WHERE id = %s",
    ],
)
def test_a_drop_does_not_hide_an_edit(log: Log, edit: str) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 3)
    log.seal()
    order = log.order(old)
    seals.as_superuser(edit, values=[ids[1]])
    with pytest.raises(errors.NotAsSealed):
        log.drop(old, order)
    assert cast.is_there(old)
    assert gaps.acts() == []


def test_a_drop_does_not_hide_a_row_that_was_inserted(log: Log) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 2)
    log.seal()
    order = log.order(old)
    columns = [name for (name,) in seals.asked(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'audit_payloadentry'"
    )]  # fmt: skip
    values = ", ".join("%s" if name == "id" else name for name in columns)
    cast.as_owner(
        f"INSERT INTO audit_payloadentry ({', '.join(columns)}) SELECT {values} FROM audit_payloadentry LIMIT 1",
        cast.id_in(old),
    )
    with pytest.raises(errors.NotAsSealed, match="without a seal"):
        log.drop(old, order)
    _is_untouched(log, old, ids)


def test_only_what_is_due_and_approved_within_a_day_is_dropped(log: Log) -> None:
    old, older, young = cast.month(30), cast.month(31), cast.month(3)
    for one in (old, older, young):
        cast.entries(one, 1)
    log.seal()
    with pytest.raises(cast.requests.errors.CannotBeDone, match="the policy keeps"):
        log.order(young)
    order = log.order(old)
    with pytest.raises(errors.NotApproved):
        log.drop(older, order)
    with pytest.raises(errors.NotDue):
        log.drop(young, order)
    cast.as_owner("ALTER TABLE audit_approvalrequest DISABLE TRIGGER USER")
    cast.as_owner("UPDATE audit_approvalrequest SET decided_at = decided_at - interval '24 hours'")
    cast.as_owner("ALTER TABLE audit_approvalrequest ENABLE TRIGGER USER")
    with pytest.raises(errors.NotApproved):
        log.drop(old, order)
    assert PayloadEntry.objects.count() == 3


def test_an_approval_that_only_its_row_tells_of_drops_nothing(log: Log) -> None:
    """A database user can make a row say anything; the event of the approval is sealed."""
    old = cast.month(30)
    ids = cast.entries(old, 2)
    log.seal()
    asked = cast.orders.ask([old], reason="r", actor=cast.ROSA).waits_for
    assert asked is not None
    cast.as_owner(
        "UPDATE audit_approvalrequest SET state = 'approved', decided_at = now(), decided_by_id = 'user:2',"
        " decided_by_name = 'dave'"
    )
    log.seal()
    [order] = cast.orders.open_orders()
    with pytest.raises(errors.NotApproved, match="no sealed event does"):
        log.drop(old, order)
    _is_untouched(log, old, ids)


def test_an_approval_is_not_acted_upon_before_it_is_sealed(log: Log) -> None:
    old = cast.month(30)
    cast.entries(old, 2)
    log.seal()
    asked = cast.orders.ask([old], reason="r", actor=cast.ROSA).waits_for
    assert asked is not None
    cast.requests.approve(asked.pk, actor=cast.DAVE)
    [order] = cast.orders.open_orders()
    with pytest.raises(errors.Busy, match="waits for its seal"):
        log.drop(old, order)
    log.seal()
    assert log.drop(old, order).rows == 2


def test_nobody_approves_their_own_drop_and_it_expires(log: Log) -> None:
    old = cast.month(30)
    cast.entries(old, 1)
    log.seal()
    asked = cast.orders.ask([old], reason="r", actor=cast.ROSA).waits_for
    assert asked is not None
    assert "1 row of the payload log of" in asked.blast_radius
    with pytest.raises(cast.requests.errors.OwnRequest):
        cast.requests.approve(asked.pk, actor=cast.ROSA)
    let_pass(asked, 5)
    with pytest.raises(cast.requests.errors.NotDecidable):
        cast.requests.approve(asked.pk, actor=cast.DAVE)
    assert cast.orders.open_orders() == []


def test_a_hold_placed_while_a_request_waits_is_asked_about_again(log: Log) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 2)
    log.seal()
    asked = cast.orders.ask([old], reason="r", actor=cast.ROSA).waits_for
    assert asked is not None
    cast.hold_on_entry(ids[0])
    decided = cast.requests.approve(asked.pk, actor=cast.DAVE)
    assert decided.state == ApprovalRequest.State.FAILED


def test_a_log_that_is_being_read_is_not_waited_for(
    log: Log, own_database: OwnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls queue behind whoever waits for the lock of the whole log."""
    old = cast.month(30)
    ids = cast.entries(old, 2)
    log.seal()
    order = log.order(old)
    monkeypatch.setattr(dropping, "PATIENCE", "50ms")
    monkeypatch.setattr(dropping, "PAUSE", 0.0)
    with psycopg.connect(own_database.urls.app) as reader:
        reader.execute("SELECT count(*) FROM audit_payloadentry")
        began = time.monotonic()
        with pytest.raises(errors.Busy):
            log.drop(old, order)
        assert time.monotonic() - began < 60
        _is_untouched(log, old, ids)
    assert log.drop(old, order).rows == 2


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


@pytest.mark.parametrize("victim", ["_keep_proofs", "leaf_of_event"])
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
    _is_untouched(log, old, ids)
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
    _with_a_copy(log)
    for statement in ("DELETE FROM audit_heldcopy", "TRUNCATE audit_heldcopy"):
        with pytest.raises(DatabaseError), connections["owner"].cursor() as cursor:
            cursor.execute(statement)
    assert policies.in_force(PAYLOAD).months == policies.DEFAULTS[PAYLOAD]
