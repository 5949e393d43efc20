"""How long a kind is kept is changed by two people, and every version stays."""

import datetime

import pytest
from django.db import DatabaseError, connection

from audit.approvals import requests
from audit.approvals.errors import CannotBeDone, OwnRequest
from audit.models import ApprovalRequest, AuditEvent, RetentionPolicy
from audit.retention import months, policies
from audit.vocabulary import Action
from tests.audit.retention import cast
from tests.audit.retention.cast import DAVE, EVENT, PAYLOAD, ROSA

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _everybody_may(monkeypatch: pytest.MonkeyPatch) -> None:
    cast.everybody_may(monkeypatch)


def asked(kind: cast.RecordKind = PAYLOAD, keep: int | None = 12) -> ApprovalRequest:
    waiting = policies.ask_to_change(kind, keep, reason="the new contract", actor=ROSA).waits_for
    assert waiting is not None
    return waiting


def test_without_a_policy_the_default_is_in_force() -> None:
    assert policies.in_force(PAYLOAD).months == 24
    assert policies.in_force(EVENT).months == 84


def test_a_change_takes_a_second_person_and_is_an_event_with_before_and_after() -> None:
    waiting = asked()
    assert waiting.difference == [["the payload log is kept", "24 months", "12 months"]]
    assert waiting.enterprise_id is None
    assert policies.in_force(PAYLOAD).months == 24
    with pytest.raises(OwnRequest):
        requests.approve(waiting.pk, actor=ROSA)
    requests.approve(waiting.pk, actor=DAVE)
    policy = policies.in_force(PAYLOAD)
    assert (policy.months, policy.set_by_name, policy.approval_id) == (12, "rosa", waiting.pk)
    assert policies.in_force(EVENT).months == 84
    event = AuditEvent.objects.get(action=Action.RETENTION_CHANGED)
    assert event.details == {
        "before": "24 months",
        "after": "12 months",
        "approval": str(waiting.pk),
        "approved_by": "dave",
    }


def test_for_ever_and_back_again_leaves_two_versions() -> None:
    requests.approve(asked(keep=None).pk, actor=DAVE)
    assert policies.due(PAYLOAD, today=datetime.date(2999, 1, 1)) == []
    requests.approve(asked(keep=24).pk, actor=DAVE)
    assert list(RetentionPolicy.objects.order_by("pk").values_list("months", flat=True)) == [None, 24]


@pytest.mark.parametrize("keep", [0, -1, 601])
def test_a_number_of_months_that_makes_no_sense_is_refused(keep: int) -> None:
    with pytest.raises(CannotBeDone, match="1 to 600 months"):
        asked(keep=keep)
    with pytest.raises(CannotBeDone, match="12 to 600 months"):
        asked(EVENT, 11)
    with pytest.raises(CannotBeDone, match="already"):
        asked(keep=24)


@pytest.mark.parametrize(
    ("kind", "keep"), [("payload", 11), ("event", 12), ("payload", None)], ids=["fewer", "other", "for ever"]
)
def test_the_database_takes_no_policy_but_the_one_that_was_approved(kind: str, keep: int | None) -> None:
    waiting = asked()
    requests.approve(waiting.pk, actor=DAVE)
    row = [kind, keep, waiting.pk]
    statement = (
        "INSERT INTO audit_retentionpolicy (kind, months, approval_id, set_by_id, set_by_name)"
        " VALUES (%s, %s, %s, 'user:1', 'rosa')"
    )
    with (
        pytest.raises(DatabaseError, match="approved request for exactly that"),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, row)


def test_an_approval_serves_one_change() -> None:
    waiting = asked()
    requests.approve(waiting.pk, actor=DAVE)
    statement = (
        "INSERT INTO audit_retentionpolicy (kind, months, approval_id, set_by_id, set_by_name)"
        " VALUES ('payload', 12, %s, 'user:1', 'rosa')"
    )
    with pytest.raises(DatabaseError, match="unique"), connection.cursor() as cursor:
        cursor.execute(statement, [waiting.pk])


@pytest.mark.parametrize(
    ("today", "keep", "limit"),
    [
        ("2026-11-22", 1, "2026-10-01"),
        ("2026-11-01", 1, "2026-10-01"),
        ("2026-10-31", 1, "2026-09-01"),
        ("2026-01-31", 1, "2025-12-01"),
        ("2026-11-22", 24, "2024-11-01"),
    ],
)
def test_a_month_is_due_when_so_many_whole_months_have_passed_since_its_end(
    today: str, keep: int, limit: str
) -> None:
    found = policies.due_before(PAYLOAD, keep, datetime.date.fromisoformat(today))
    assert found == datetime.date.fromisoformat(limit)


def test_the_month_of_an_id_is_told_by_its_first_only() -> None:
    month = months.of_label(PAYLOAD, "2024-02")
    assert months.of_first("payload", str(month.first)) == month
    assert months.of_first("payload", str(month.before)) == months.of_label(PAYLOAD, "2024-03")
    for wrong in ("", "x", str(month.first)[:-1] + "1", "f" * 32):
        assert months.of_first("payload", wrong) is None
    assert months.of_first("other", str(month.first)) is None
