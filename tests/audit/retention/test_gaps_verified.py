"""What a verifier finds of gaps that no act explains, and of copies that are not what was kept."""

from audit import trail
from audit.retention import gaps
from audit.trail import SYSTEM
from audit.vocabulary import Action
from tests.audit.retention import cast
from tests.audit.retention.cast import Log
from tests.audit.seals import cast as seals


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
    assert gaps.acts() == []  # nor does any page believe it
    cast.as_owner(f"DROP TABLE {old.partition}")
    report = log.verified()
    assert [finding.id for finding in report.findings] == list(map(str, ids))
    assert str(planted) in report.remarks[0]


def test_a_copy_that_was_changed_is_named(log: Log) -> None:
    held = cast.with_a_copy(log)
    seals.as_superuser("UPDATE audit_payloadentry SET request_skeleton = 'x' WHERE id = %s", values=[held])
    [finding] = log.verified().findings
    assert (finding.what, finding.id, finding.fields) == ("edited", str(held), ["request_sha256"])


def test_a_copy_that_was_deleted_is_named(log: Log) -> None:
    held = cast.with_a_copy(log)
    seals.as_superuser("DELETE FROM audit_payloadentry WHERE id = %s", values=[held])
    assert ("deleted", str(held)) in log.found()
    assert log.verified(held).findings != []


def test_a_copy_and_that_it_was_kept_can_not_be_deleted_together(log: Log) -> None:
    held = cast.with_a_copy(log)
    seals.as_superuser("DELETE FROM audit_payloadentry WHERE id = %s", values=[held])
    cast.forget_copies()
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
    cast.forget_copies()
    # As many rows are gone as the act said: what it kept does not agree.
    assert [what for what, _ in log.found()] == ["deleted"]


def test_a_proof_that_was_changed_is_named(log: Log) -> None:
    held = cast.with_a_copy(log)
    with cast.triggers_off("audit_heldcopy"):
        cast.as_owner("UPDATE audit_heldcopy SET proof = sha256(proof)")
    assert log.found() == [("proof", str(held))]
