"""What is not dropped: not due, not approved, not sealed, not as sealed, in use."""

import time
from typing import Any

import psycopg
import pytest

from audit.models import ApprovalRequest, PayloadEntry
from audit.retention import dropping, errors, gaps
from tests.audit.approving import let_pass
from tests.audit.retention import cast
from tests.audit.retention.cast import Log
from tests.audit.seals import cast as seals
from tests.conftest import OwnDatabase


def test_a_month_with_rows_that_wait_for_their_seal_is_refused(log: Log) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 2)
    order = log.order(old)
    ids += cast.entries(old, 1)
    with pytest.raises(errors.NotSealed):
        log.drop(old, order)
    cast.is_untouched(log, old, ids)
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
    cast.is_untouched(log, old, ids)


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
    cast.is_untouched(log, old, ids)


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
    cast.is_untouched(log, old, ids)


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
        cast.is_untouched(log, old, ids)
    assert log.drop(old, order).rows == 2


def test_a_hold_that_is_placed_during_the_act_is_not_overlooked(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = cast.month(30)
    ids = cast.entries(old, 3)
    log.seal()
    order = log.order(old)
    choose = dropping.copies.choose

    def and_then_somebody_holds(*arguments: Any) -> None:
        choose(*arguments)
        cast.hold_on_entry(ids[0])

    with monkeypatch.context() as patch:
        patch.setattr(dropping.copies, "choose", and_then_somebody_holds)
        with pytest.raises(errors.Busy):
            log.drop(old, order)
    cast.is_untouched(log, old, ids)
    assert log.drop(old, order).kept == 1
