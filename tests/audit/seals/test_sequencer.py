"""What was committed becomes a leaf, once, in the order of the queue, under a signed checkpoint."""

import datetime
import threading
import uuid
from pathlib import Path

import pytest
import time_machine
import uuid_utils.compat
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from audit.headers import leaf_hash
from audit.models import AuditEvent, Checkpoint, PayloadEntry, SealedLeaf
from audit.seals import merkle, rows, sequencer, verify_evidence
from audit.seals.bundle import Source
from audit.seals.errors import SealingStopped
from audit.vocabulary import Action
from tests.audit.seals import cast
from tests.conftest import OwnDatabase

PLANTED = "INSERT INTO audit_sealqueueentry (kind, entry_id, leaf_hash) VALUES (%s, %s, %s)"


def sealed_ids() -> list[uuid.UUID]:
    return list(SealedLeaf.objects.order_by("index").values_list("entry_id", flat=True))


def alarms() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action__startswith="alarm.").order_by("id"))


def test_what_waits_is_sealed_in_order_under_a_signed_root(own_database: OwnDatabase, tmp_path: Path) -> None:
    written = cast.entries(10)
    ours = cast.a_sequencer(tmp_path)
    assert ours.run() == 10
    assert sealed_ids() == written
    assert cast.asked("SELECT count(*) FROM audit_sealqueueentry") == [(0,)]
    leaves = [bytes(leaf.leaf_hash) for leaf in SealedLeaf.objects.order_by("index")]
    assert leaves == [
        leaf_hash(
            bytes((PayloadEntry.objects.filter(pk=one).first() or AuditEvent.objects.get(pk=one)).header)
        )
        for one in written
    ]
    checkpoint = Checkpoint.objects.get()
    head = cast.KEY.verifier.open(checkpoint.note)
    assert (head.size, head.root, head.number, head.at) == (10, merkle.root_of(leaves), 0, checkpoint.at)
    assert (checkpoint.size, bytes(checkpoint.root)) == (10, head.root)
    assert ours.head.read() == checkpoint.note
    assert alarms() == []


def test_later_entries_are_appended_also_by_a_process_that_remembers_nothing(
    own_database: OwnDatabase, tmp_path: Path
) -> None:
    ours, written = cast.a_sequencer(tmp_path), []
    for count in (1, 2, 4, 3, 7):
        written += cast.entries(count)
        ours.run()
        written += cast.entries(1)
        cast.a_sequencer(tmp_path).run()
    assert sealed_ids() == written
    leaves = [bytes(leaf.leaf_hash) for leaf in SealedLeaf.objects.order_by("index")]
    for checkpoint in Checkpoint.objects.all():
        assert bytes(checkpoint.root) == merkle.root_of(leaves[: checkpoint.size])
    tree = ours.tree
    for index in range(len(leaves)):
        proof = tree.inclusion(index, len(leaves))
        assert merkle.root_from_inclusion(leaves[index], index, len(leaves), proof) == merkle.root_of(leaves)
    for older in Checkpoint.objects.all():
        proof = tree.consistency(older.size, len(leaves))
        assert merkle.is_consistent(older.size, bytes(older.root), len(leaves), merkle.root_of(leaves), proof)


def test_a_batch_is_a_thousand_leaves_at_most(
    own_database: OwnDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "BATCH", 4)
    cast.entries(10)
    assert cast.a_sequencer(tmp_path).run() == 10
    assert list(Checkpoint.objects.order_by("number").values_list("size", flat=True)) == [4, 8, 10]


def test_what_is_not_committed_waits_and_what_overtook_it_does_not(
    own_database: OwnDatabase, tmp_path: Path
) -> None:
    written, committed = threading.Event(), threading.Event()
    slow: list[uuid.UUID] = []

    def write_slowly() -> None:
        with transaction.atomic():
            slow.append(cast.an_entry())
            written.set()
            committed.wait(180)
        connection.close()

    thread = threading.Thread(target=write_slowly)
    thread.start()
    assert written.wait(180)
    quick = cast.an_entry()
    ours = cast.a_sequencer(tmp_path)
    ours.run()
    assert sealed_ids() == [quick]
    committed.set()
    thread.join()
    ours.run()
    assert sealed_ids() == [quick, *slow]


def test_quiet_minutes_are_sealed_too(own_database: OwnDatabase, tmp_path: Path) -> None:
    ours = cast.a_sequencer(tmp_path)
    ours.run()
    ours.run()
    assert Checkpoint.objects.count() == 1
    with time_machine.travel(timezone.now() + datetime.timedelta(seconds=61)):
        ours.run()
    first, second = Checkpoint.objects.order_by("number")
    assert (first.size, second.size) == (0, 0)
    assert second.at - first.at >= datetime.timedelta(seconds=60)
    assert ours.head.read() == second.note


def test_a_clock_that_is_set_back_makes_no_older_checkpoint(
    own_database: OwnDatabase, tmp_path: Path
) -> None:
    ours = cast.a_sequencer(tmp_path)
    ours.run()
    cast.an_event()
    with time_machine.travel(timezone.now() - datetime.timedelta(hours=1)):
        ours.run()
    first, second = Checkpoint.objects.order_by("number")
    assert second.at == first.at


def test_only_one_seals_at_a_time(own_database: OwnDatabase, tmp_path: Path) -> None:
    cast.entries(3)
    ours = cast.a_sequencer(tmp_path)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
            cursor.execute(sequencer.ONLY_ONE)
            locked.set()
            done.wait(180)
        connections.close_all()

    other = threading.Thread(target=hold)
    other.start()
    assert locked.wait(180)
    assert ours.run() == 0
    done.set()
    other.join()
    assert ours.run() == 3


def test_many_writers_and_a_sequencer_leave_no_hole(own_database: OwnDatabase, tmp_path: Path) -> None:
    written: list[uuid.UUID] = []
    ours, running = cast.a_sequencer(tmp_path), threading.Event()

    def write() -> None:
        written.extend(cast.an_entry() for _ in range(25))
        connection.close()

    def seal() -> None:
        while not running.is_set():
            ours.run()
        connections.close_all()

    writers = [threading.Thread(target=write) for _ in range(8)]
    sealer = threading.Thread(target=seal)
    for thread in [*writers, sealer]:
        thread.start()
    for thread in writers:
        thread.join()
    running.set()
    sealer.join()
    ours.run()
    assert sorted(sealed_ids()) == sorted(written)
    assert list(SealedLeaf.objects.order_by("index").values_list("index", flat=True)) == list(range(200))
    assert alarms() == []


@pytest.mark.parametrize(
    ("edit", "fields"),
    [
        ("UPDATE audit_payloadentry SET status = 500", ["status"]),
        ("UPDATE audit_payloadentry SET residue = 'x'", ["residue_sha256"]),
        ("UPDATE audit_payloadentry SET header = 'x'", ["header"]),
        ("UPDATE audit_auditevent SET details = '{}', actor_name = 'Eve'", ["actor_name", "details"]),
    ],
)
def test_an_entry_edited_before_its_seal_is_an_alarm_and_the_leaf_says_what_was_written(
    own_database: OwnDatabase, tmp_path: Path, edit: str, fields: list[str]
) -> None:
    entry, event = cast.an_entry(), cast.an_event()
    was = [row.leaf_hash for kind in (1, 2) for row in rows.read(kind, [entry, event]).values()]
    cast.as_superuser(edit)
    ours = cast.a_sequencer(tmp_path)
    ours.run()
    [alarm] = alarms()
    assert (alarm.action, alarm.details["fields"]) == (Action.ALARM_TAMPERING, fields)
    assert alarm.target_id == str(event if "event" in edit else entry)
    assert [bytes(leaf.leaf_hash) for leaf in SealedLeaf.objects.order_by("index")] == was
    ours.run()
    assert sealed_ids() == [entry, event, alarm.pk]


def test_an_entry_deleted_before_its_seal_is_an_alarm_and_leaves_its_leaf(
    own_database: OwnDatabase, tmp_path: Path
) -> None:
    entry = cast.an_entry()
    cast.as_superuser("DELETE FROM audit_payloadentry")
    cast.a_sequencer(tmp_path).run()
    assert sealed_ids() == [entry]
    assert [alarm.details["what"] for alarm in alarms()] == ["the row is missing"]


def test_what_the_app_could_plant_in_the_queue_is_an_alarm_and_stops_nothing(
    own_database: OwnDatabase, tmp_path: Path
) -> None:
    entry = cast.an_entry()
    ours = cast.a_sequencer(tmp_path)
    ours.run()
    for kind, entry_id, leaf in [
        (1, entry, bytes(32)),
        (1, uuid.uuid4(), b"short"),
        (9, uuid.uuid4(), bytes(32)),
    ]:
        with connection.cursor() as cursor:
            cursor.execute(PLANTED, [kind, entry_id, leaf])
    after = cast.an_entry()
    ours.run()
    assert sealed_ids() == [entry, after]
    assert [alarm.details["what"] for alarm in alarms()] == [
        "it waited twice",
        *["what waited is no leaf"] * 2,
    ]


@pytest.mark.parametrize(
    ("table", "kind", "bent"),
    [
        ("audit_auditevent", 2, "'infinity' AS at"),
        ("audit_auditevent", 2, "1e5000::text::jsonb AS details"),
        ("audit_auditevent", 2, "convert_to(repeat('[', 200000), 'UTF8') AS header"),
        ("audit_payloadentry", 1, "ARRAY[NULL]::bytea[] AS blind_indexes"),
    ],
)
def test_a_row_that_cannot_be_read_is_an_alarm_and_those_beside_it_are_sealed(
    own_database: OwnDatabase, tmp_path: Path, table: str, kind: int, bent: str
) -> None:
    before, planted = [cast.an_entry(), cast.an_event()], uuid_utils.compat.uuid7()
    changed = {"id": f"'{planted}'::uuid AS id", bent.rpartition(" ")[2]: bent}
    if kind == 2:  # verifiers read these before all others
        changed["action"] = f"'{Action.PARTITION_DROPPED.value}' AS action"
    columns = cast.asked("SELECT column_name FROM information_schema.columns WHERE table_name = %s", table)
    names = [name for (name,) in columns]
    values = ", ".join(changed.get(name, name) for name in names)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table}")
        cursor.execute(PLANTED, [kind, planted, bytes(32)])
    after = cast.an_event()
    ours = cast.a_sequencer(tmp_path)
    ours.run()
    assert sealed_ids()[:4] == [*before, planted, after]
    assert [(alarm.action, alarm.target_id) for alarm in alarms()] == [(Action.ALARM_TAMPERING, str(planted))]
    ours.run()  # the alarm itself
    verifier = verify_evidence.Verifier([verify_evidence.parse_key(str(cast.KEY.verifier))])
    for record in Source(cast.KEY.verifier, ours.head.read()).log():
        verifier.take(record)
    findings = verifier.finish().findings
    assert [(finding.what, finding.id) for finding in findings] == [("edited", str(planted))]


def test_the_app_cannot_write_seals_and_nobody_changes_them(
    own_database: OwnDatabase, tmp_path: Path
) -> None:
    cast.an_entry()
    cast.a_sequencer(tmp_path).run()
    for table in ("audit_sealedleaf", "audit_checkpoint"):
        for act in (
            "INSERT INTO {0} SELECT * FROM {0}",
            "UPDATE {} SET note = ''",
            "DELETE FROM {}",
            "TRUNCATE {}",
        ):
            with pytest.raises(DatabaseError, match=r"permission|column"), connection.cursor() as cursor:
                cursor.execute(act.format(table))
        for act in ("UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"):
            key = "index" if "leaf" in table else "number"
            with pytest.raises(DatabaseError, match=r"(?i)cannot"), connections["owner"].cursor() as cursor:
                cursor.execute(act.format(table, key, key))


def test_a_head_that_cannot_be_written_stops_the_next_turn_and_loses_nothing(
    own_database: OwnDatabase, tmp_path: Path
) -> None:
    folder = tmp_path / "seals"
    ours = cast.a_sequencer(folder)
    ours.run()
    before = ours.head.read()
    cast.an_entry()
    # As a crash between commit and head: the database is ahead of its head, which is no rollback.
    advance, ours.head.advance = ours.head.advance, lambda *_: None  # type: ignore[method-assign]
    ours.run()
    ours.head.advance = advance  # type: ignore[method-assign]
    assert ours.head.read() == before
    for process in (ours, cast.a_sequencer(folder)):
        process.run()
        newest = Checkpoint.objects.order_by("-number").first()
        assert newest is not None
        assert (process.head.read(), newest.size) == (newest.note, 1)


def test_leaves_that_were_changed_are_not_built_upon(own_database: OwnDatabase, tmp_path: Path) -> None:
    cast.entries(5)
    cast.a_sequencer(tmp_path).run()
    cast.as_superuser("UPDATE audit_sealedleaf SET leaf_hash = %s WHERE index = 4", values=[b"x" * 32])
    cast.an_entry()
    with pytest.raises(SealingStopped, match="do not lead to the root"):
        cast.a_sequencer(tmp_path).run()
    assert Checkpoint.objects.count() == 1
