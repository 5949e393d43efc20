"""The duty of an opt-out: opened with it, moved by recorded steps, closed with proof, never overdue unseen (P21)."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import AuditEvent
from audit.vocabulary import Action
from tests.tokens.cast import ANA, IVAN, OLGA, an_enterprise, let_through
from tokens.consent import clocks, unsubscribes
from tokens.consent.opt_outs import record_opt_out
from tokens.errors import BadStep
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, Unsubscribe

pytestmark = pytest.mark.django_db
ASKED = datetime.datetime(2026, 11, 20, 15, tzinfo=datetime.UTC)
State, Proof = Unsubscribe.State, Unsubscribe.Proof
DAY = datetime.timedelta(days=1)


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise()


def opened(enterprise: Enterprise, **changes: Any) -> Unsubscribe:
    said: dict[str, Any] = {
        "kind": Kind.EMAIL,
        "raw_value": ANA,
        "source": ConsentEvent.Source.OFFICER,
        "source_id": "letter 1",
        "occurred_at": ASKED,
        "law": "can-spam",
        "actor": OLGA,
    } | changes
    return Unsubscribe.objects.get(event=record_opt_out(enterprise, **said))


def now(row: Unsubscribe) -> Unsubscribe:
    return Unsubscribe.objects.get(pk=row.pk)


def events_of(row: Unsubscribe) -> list[str]:
    told = AuditEvent.objects.filter(target_type="unsubscribe", target_id=str(row.pk)).order_by("id")
    return list(told.values_list("action", flat=True))


# -- how it begins ------------------------------------------------------------------------------------------
def test_an_opt_out_opens_its_unsubscribe_with_the_clock_of_its_law(acme: Enterprise) -> None:
    row = opened(acme)
    assert (row.state, row.proof, row.enterprise_id) == (State.BLOCKED, "", acme.pk)
    assert (row.asked_at, row.due_at) == (ASKED, clocks.due("can-spam", ASKED).at)
    assert row.target_at < row.due_at
    assert row.calendar.startswith("US holidays")


def test_what_resolve_cannot_block_is_only_received(acme: Enterprise) -> None:
    narrow = {"scope": ConsentEvent.Scope.SHORT_CODE, "scope_id": "12345", "source_id": "a"}
    assert opened(acme, **narrow).state == State.RECEIVED
    let_through(acme)
    acme.refresh_from_db()
    assert opened(acme, source_id="b").state == State.RECEIVED


def test_what_marketing_cloud_told_us_is_done(acme: Enterprise) -> None:
    row = opened(acme, source=ConsentEvent.Source.MARKETING_CLOUD)
    assert (row.state, row.proof) == (State.CLOSED, Proof.ITS_OWN)


def test_an_opt_out_that_is_sent_again_opens_nothing(acme: Enterprise) -> None:
    assert opened(acme).pk == opened(acme).pk
    assert Unsubscribe.objects.count() == 1


# -- how it ends --------------------------------------------------------------------------------------------
def test_nothing_is_closed_without_proof(acme: Enterprise) -> None:
    row = opened(acme)
    for prepare in (unsubscribes.take, unsubscribes.written_by_hand):
        prepare(row.pk, actor=OLGA)
        with pytest.raises(BadStep, match="second person"):
            unsubscribes.close(row.pk, actor=OLGA)
    assert now(row).state == State.WRITTEN


@pytest.mark.parametrize("change", ["state = 'closed', closed_at = now()", "state = 'verified'"])
def test_the_database_refuses_an_end_without_proof(acme: Enterprise, change: str) -> None:
    row = opened(acme)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE tokens_unsubscribe SET {change} WHERE event_id = %s", [row.pk])


@pytest.mark.parametrize("change", ["asked_at = now()", "law = 'ccpa'", "opened_at = now()"])
def test_the_app_cannot_change_what_was_asked_and_when(acme: Enterprise, change: str) -> None:
    row = opened(acme)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE tokens_unsubscribe SET {change} WHERE event_id = %s", [row.pk])


def test_what_marketing_cloud_confirms_closes_it(acme: Enterprise) -> None:
    row = opened(acme)
    unsubscribes.prove(row.pk, Proof.WRITTEN_BACK)
    unsubscribes.prove(row.pk, Proof.READ_BACK)
    unsubscribes.prove(row.pk, Proof.WRITTEN_BACK)  # late news of less: nothing goes back
    assert (now(row).state, now(row).proof) == (State.VERIFIED, Proof.READ_BACK)
    unsubscribes.close(row.pk, actor=OLGA)
    assert now(row).state == State.CLOSED
    assert events_of(row) == [
        Action.UNSUBSCRIBE_WRITTEN, Action.UNSUBSCRIBE_VERIFIED, Action.UNSUBSCRIBE_CLOSED,
    ]  # fmt: skip


STEPS: list[Callable[[Unsubscribe], object]] = [
    lambda row: unsubscribes.take(row.pk, actor=OLGA),
    lambda row: unsubscribes.written_by_hand(row.pk, actor=OLGA),
    lambda row: unsubscribes.pause(row.pk, reason="asked who she is", actor=OLGA),
    lambda row: unsubscribes.resume(row.pk, actor=OLGA),
    lambda row: unsubscribes.extend(row.pk, business_days=1, reason="asked", actor=OLGA),
    lambda row: unsubscribes.close(row.pk, actor=OLGA),
]


@pytest.mark.parametrize("step", STEPS)
def test_what_is_closed_stays_as_it_is(acme: Enterprise, step: Callable[[Unsubscribe], object]) -> None:
    row = opened(acme)
    unsubscribes.prove(row.pk, Proof.READ_BACK)
    closed = unsubscribes.close(row.pk, actor=OLGA)
    told = events_of(row)
    with pytest.raises(BadStep):
        step(row)
    assert (now(row).closed_at, events_of(row)) == (closed.closed_at, told)


def test_who_did_it_asks_so_that_who_confirms_is_another(acme: Enterprise) -> None:
    row = opened(acme)
    unsubscribes.written_by_hand(row.pk, actor=OLGA)
    with pytest.raises(BadStep, match="somebody else did it"):
        unsubscribes.confirm(row.pk, reason="seen", actor=IVAN)
    unsubscribes.written_by_hand(row.pk, actor=IVAN)  # Olga left: Ivan looked himself
    assert now(row).written_by_id == IVAN.id
    with pytest.raises(BadStep, match="somebody else did it"):
        unsubscribes.confirm(row.pk, reason="seen", actor=OLGA)
    with pytest.raises(BadStep, match="already"):
        unsubscribes.written_by_hand(row.pk, actor=IVAN)


# -- its clock ----------------------------------------------------------------------------------------------
def test_a_pause_moves_what_is_due_by_as_long_as_it_lasted(acme: Enterprise) -> None:
    with time_machine.travel(ASKED + DAY, tick=False) as clock:
        row = opened(acme)
        unsubscribes.pause(row.pk, reason="asked who she is", actor=OLGA)
        clock.shift(3 * DAY)
        unsubscribes.resume(row.pk, actor=OLGA)
    assert now(row).due_at == row.due_at + 3 * DAY
    assert now(row).target_at == row.target_at + 3 * DAY


def test_a_reason_is_given_and_names_nobody(acme: Enterprise) -> None:
    with time_machine.travel(ASKED + DAY):
        row = opened(acme)
        for reason in ("", "  ", f"wrote to {ANA}"):
            with pytest.raises(BadStep, match="reason") as refused:
                unsubscribes.pause(row.pk, reason=reason, actor=OLGA)
            assert ANA not in str(refused.value)
            with pytest.raises(BadStep, match="reason"):
                unsubscribes.extend(row.pk, business_days=1, reason=reason, actor=OLGA)
    assert events_of(row) == []


def test_an_overdue_one_cannot_be_paused_out_of_sight(acme: Enterprise) -> None:
    row = opened(acme, occurred_at=timezone.now() - 90 * DAY)
    with pytest.raises(BadStep, match="overdue"):
        unsubscribes.pause(row.pk, reason="later", actor=OLGA)


def test_the_alarm_is_raised_once_and_again_after_an_extension(acme: Enterprise) -> None:
    row = opened(acme)
    assert unsubscribes.raise_overdue(row.due_at - DAY) == 0
    assert [unsubscribes.raise_overdue(row.due_at) for _ in range(2)] == [1, 0]
    with time_machine.travel(row.due_at, tick=False):
        extended = unsubscribes.extend(row.pk, business_days=2, reason="the tenant is away", actor=OLGA)
    assert unsubscribes.raise_overdue(extended.due_at) == 1
    assert events_of(row) == [Action.ALARM_OVERDUE, Action.UNSUBSCRIBE_EXTENDED, Action.ALARM_OVERDUE]


def test_a_pause_that_nobody_ends_raises_the_alarm_too(acme: Enterprise) -> None:
    with time_machine.travel(ASKED + DAY, tick=False):
        row = opened(acme)
        unsubscribes.pause(row.pk, reason="asked who she is", actor=OLGA)
    assert unsubscribes.raise_overdue(ASKED + 29 * DAY) == 0
    assert unsubscribes.raise_overdue(ASKED + 31 * DAY) == 1
    assert events_of(row)[-1] == Action.ALARM_OVERDUE


acts = st.sampled_from(["take", "write", "pause", "resume", "extend", "prove", "close", "ask"])
days = st.lists(st.tuples(st.integers(1, 30), acts, st.integers(0, 5)), min_size=8, max_size=40)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days)
def test_no_open_unsubscribe_passes_its_due_instant_unseen(
    acme: Enterprise, plan: list[tuple[int, str, int]]
) -> None:
    """Sixty days and more with whatever people do; the beat looks before each act, as it does every minute."""
    laws = [law.code for law in clocks.LAWS]
    with transaction.atomic(), time_machine.travel(ASKED, tick=False) as clock:
        for number, (hours, act, which) in enumerate(plan):
            clock.shift(datetime.timedelta(hours=hours * 3))
            unsubscribes.raise_overdue()
            rows = list(Unsubscribe.objects.order_by("pk"))
            if act == "ask" or not rows:
                opened(
                    acme,
                    source_id=str(number),
                    law=laws[which % len(laws)],
                    occurred_at=timezone.now() - which * DAY,
                )
            else:
                _try(act, rows[which % len(rows)])
            unsubscribes.raise_overdue()
            unseen = Unsubscribe.objects.exclude(state=State.CLOSED).filter(
                due_at__lte=timezone.now(), paused_at__isnull=True, alarmed=Unsubscribe.Alarm.NONE
            )
            assert not unseen.exists()
        transaction.set_rollback(True)


def _try(act: str, row: Unsubscribe) -> None:
    whys = {"reason": "as asked", "actor": OLGA}
    step: Callable[[], object] = {
        "take": lambda: unsubscribes.take(row.pk, actor=OLGA),
        "write": lambda: unsubscribes.written_by_hand(row.pk, actor=OLGA),
        "pause": lambda: unsubscribes.pause(row.pk, **whys),
        "resume": lambda: unsubscribes.resume(row.pk, actor=OLGA),
        "extend": lambda: unsubscribes.extend(row.pk, business_days=1, **whys),
        "prove": lambda: unsubscribes.prove(row.pk, Proof.READ_BACK),
        "close": lambda: unsubscribes.close(row.pk, actor=OLGA),
    }[act]
    try:
        step()
    except BadStep:
        return
