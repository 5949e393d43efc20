"""An older database is noticed, and nothing is sealed until somebody says why it is there."""

from pathlib import Path

import pytest

from audit.models import AuditEvent, Checkpoint, SealedLeaf
from audit.seals.declaration import Restore, declare_restore
from audit.seals.errors import NothingToDeclare, SealError, SealingStopped
from audit.seals.sequencer import Sequencer
from audit.seals.signing import SigningKey
from audit.vocabulary import Action
from tests.audit.seals import cast
from tests.conftest import OwnDatabase


@pytest.fixture
def folder(own_database: OwnDatabase, tmp_path: Path) -> Path:
    """A log of two checkpoints, over four and seven leaves."""
    ours = cast.a_sequencer(tmp_path)
    cast.entries(4)
    ours.run()
    cast.entries(3)
    ours.run()
    return tmp_path


def restore_the_first_checkpoint() -> None:
    """What a backup that was made after the first checkpoint looks like."""
    cast.as_superuser(
        "DELETE FROM audit_checkpoint WHERE number > 0",
        "DELETE FROM audit_payloadentry WHERE id IN (SELECT entry_id FROM audit_sealedleaf WHERE index >= 4)",
        "DELETE FROM audit_auditevent WHERE id IN (SELECT entry_id FROM audit_sealedleaf WHERE index >= 4)",
        "DELETE FROM audit_sealedleaf WHERE index >= 4",
    )


def stops(ours: Sequencer, match: str) -> None:
    leaves = SealedLeaf.objects.count()
    for _ in range(3):
        with pytest.raises(SealingStopped, match=match):
            ours.run()
    assert SealedLeaf.objects.count() == leaves


def test_an_older_database_stops_sealing_with_one_alarm(folder: Path) -> None:
    restore_the_first_checkpoint()
    cast.an_entry()
    stops(cast.a_sequencer(folder), "is checkpoint 1 over 7 leaves .* its newest is 0 over 4")
    [alarm] = AuditEvent.objects.filter(action=Action.ALARM_SEALS_STOPPED)
    assert "over 7 leaves" in alarm.details["reason"]


def test_it_is_noticed_by_a_process_that_runs_meanwhile(folder: Path) -> None:
    ours = cast.a_sequencer(folder)
    ours.run()
    restore_the_first_checkpoint()
    stops(ours, "over 7 leaves")


def test_a_declaration_is_the_first_leaf_after_the_gap_and_sealing_goes_on(folder: Path) -> None:
    restore_the_first_checkpoint()
    ours = cast.a_sequencer(folder)
    waiting = cast.an_entry()
    stops(ours, "over 7 leaves")
    event_id = declare_restore(ours, actor=cast.OLGA, reason="disk lost, case 12")
    event = AuditEvent.objects.get(pk=event_id)
    assert SealedLeaf.objects.get(index=4).entry_id == event_id
    assert (event.actor_name, event.details["reason"]) == ("Olga Officer", "disk lost, case 12")
    assert (event.details["abandoned"]["size"], event.details["found"]["size"]) == (7, 4)
    cast.a_sequencer(folder).run()
    assert SealedLeaf.objects.get(index=5).entry_id == waiting
    with pytest.raises(NothingToDeclare):
        declare_restore(ours, actor=cast.OLGA, reason="again")


def test_without_the_head_outside_an_older_database_passes(folder: Path) -> None:
    """The known-bad twin: the database alone cannot tell that its end was cut."""
    restore_the_first_checkpoint()
    head = folder / "head"
    newest = Checkpoint.objects.get()
    head.write_text(newest.note)
    cast.an_entry()
    assert cast.a_sequencer(folder).run() == 1


def test_a_lost_head_stops_sealing_too(folder: Path) -> None:
    (folder / "head").unlink()
    ours = cast.a_sequencer(folder)
    stops(ours, "is gone")
    declare_restore(ours, actor=cast.OLGA, reason="the volume of the head was lost")
    ours.run()
    assert ours.head.read() is not None


def test_an_empty_database_under_a_known_head_stops_sealing(folder: Path) -> None:
    cast.as_superuser(
        "DELETE FROM audit_checkpoint", "DELETE FROM audit_sealedleaf", "DELETE FROM audit_sealqueueentry"
    )
    stops(cast.a_sequencer(folder), "the database has none")


@pytest.mark.parametrize("garbage", ["", "nonsense", "tests.example/log\n7\n"])
def test_a_head_that_is_no_checkpoint_stops_sealing(folder: Path, garbage: str) -> None:
    (folder / "head").write_text(garbage)
    with pytest.raises(SealError, match="not a signed note"):
        cast.a_sequencer(folder).run()


def test_a_checkpoint_of_another_key_stops_sealing(folder: Path) -> None:
    other = SigningKey("tests.example/log", bytes(32))
    with pytest.raises(SealError, match="does not bear a signature"):
        cast.a_sequencer(folder, other).run()
    stranger = SigningKey("elsewhere.example/log", bytes(32))
    with pytest.raises(
        SealError, match=r"of the log tests.example/log, and the key of elsewhere.example/log"
    ):
        cast.a_sequencer(folder, stranger).run()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE audit_checkpoint SET note = replace(note, 'Z', 'Y') WHERE number = 1",
        "UPDATE audit_checkpoint SET size = 6 WHERE number = 1",
        "UPDATE audit_checkpoint SET root = 'x' WHERE number = 1",
        "DELETE FROM audit_checkpoint WHERE number = 1",
        "DELETE FROM audit_sealedleaf WHERE index = 6",
    ],
)
def test_a_newest_state_that_was_edited_stops_sealing(folder: Path, edit: str) -> None:
    cast.as_superuser(edit)
    cast.an_entry()
    with pytest.raises(SealError):
        cast.a_sequencer(folder).run()
    assert SealedLeaf.objects.count() <= 7


def test_a_database_that_contradicts_itself_cannot_be_declared(folder: Path) -> None:
    cast.as_superuser("DELETE FROM audit_sealedleaf WHERE index = 6")
    ours = cast.a_sequencer(folder)
    with pytest.raises(SealingStopped, match="restore a backup first"):
        declare_restore(ours, actor=cast.OLGA, reason="please")
    assert not AuditEvent.objects.filter(action=Action.RESTORE_DECLARED).exists()


def test_a_guard_sees_what_would_be_declared_and_can_refuse(folder: Path) -> None:
    restore_the_first_checkpoint()
    ours, asked = cast.a_sequencer(folder), []

    def refuse(restore: Restore) -> None:
        asked.append(restore)
        raise PermissionError

    with pytest.raises(PermissionError):
        declare_restore(ours, actor=cast.OLGA, reason="disk lost", allowed=refuse)
    assert [(one.reason, one.abandoned and one.abandoned["size"]) for one in asked] == [("disk lost", 7)]
    stops(ours, "over 7 leaves")


def test_a_declaration_needs_a_reason(folder: Path) -> None:
    restore_the_first_checkpoint()
    with pytest.raises(SealError, match="needs a reason"):
        declare_restore(cast.a_sequencer(folder), actor=cast.OLGA, reason=" ")
