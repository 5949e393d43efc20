"""When a request may be decided: four hours, a day later where one person works alone, and never twice."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connections

from audit.approvals import errors, requests
from audit.models import ApprovalRequest
from audit.trail import Actor
from audit.vocabulary import Action, ApprovedAct
from tests.audit import approving
from tests.audit.approving import DAVE, DORA, ROSA, WANTED, World, events_of, times_done
from tests.conftest import OwnDatabase
from tests.tokens.racing import race

ACT = ApprovedAct.OPEN_CLIENT


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, own_database: OwnDatabase) -> World:
    return World(monkeypatch)


def ask(**wanted: Any) -> ApprovalRequest:
    return requests.request(ACT, WANTED | wanted, reason="the stack moves", actor=ROSA)


def state_of(asked: ApprovalRequest) -> str:
    return ApprovalRequest.objects.get(pk=asked.pk).state


VERBS: list[Callable[[ApprovalRequest], Any]] = [
    lambda asked: requests.approve(asked.pk, actor=DAVE),
    lambda asked: requests.reject(asked.pk, actor=DAVE),
    lambda asked: requests.withdraw(asked.pk, actor=ROSA),
]


@pytest.mark.parametrize("verb", VERBS, ids=["approve", "reject", "withdraw"])
def test_after_four_hours_it_is_too_late(world: World, verb: Callable[[ApprovalRequest], Any]) -> None:
    asked = ask()
    approving.let_pass(asked, 4)
    with pytest.raises(errors.NotDecidable):
        verb(asked)
    assert (state_of(asked), times_done()) == ("expired", 0)
    assert events_of(asked)[1:] == [(Action.APPROVAL_EXPIRED, "system")]


def test_the_database_refuses_a_late_decision_too(world: World) -> None:
    asked = ask()
    approving.let_pass(asked, 4)
    with pytest.raises(DatabaseError, match="after it expired"), connections["owner"].cursor() as cursor:
        cursor.execute(
            "UPDATE audit_approvalrequest SET state = 'approved', decided_by_id = 'user:2', decided_by_name = 'dave'"
        )


def test_maintenance_closes_what_expired_and_nothing_else(world: World) -> None:
    old, new = ask(), ask(more="x")
    approving.let_pass(old, 5)
    assert requests.expire_due() == 1
    assert requests.expire_due() == 0
    assert (state_of(old), state_of(new)) == ("expired", "pending")


def test_what_expired_can_be_asked_anew(world: World) -> None:
    old = ask()
    approving.let_pass(old, 5)
    new = ask()
    assert new.pk != old.pk
    assert (state_of(old), state_of(new)) == ("expired", "pending")


# -- one person alone ---------------------------------------------------------------------------------------
@pytest.fixture
def alone(world: World) -> ApprovalRequest:
    """The request of somebody who may decide, in an installation that was declared single-operator."""
    approving.one_person_works_here()
    world.permissions["user:1"] = world.permissions["user:2"]
    return ask()


def test_who_works_alone_confirms_after_a_day(alone: ApprovalRequest) -> None:
    with pytest.raises(errors.TooEarly):
        requests.approve(alone.pk, actor=ROSA)
    approving.let_pass(alone, 23.5)
    with pytest.raises(errors.TooEarly):
        requests.approve(alone.pk, actor=ROSA)
    approving.let_pass(alone, 0.5)
    decided = requests.approve(alone.pk, actor=ROSA)
    assert (decided.state, decided.decided_by_delay, times_done()) == ("approved", True, 1)


def test_and_within_four_hours_of_it(alone: ApprovalRequest) -> None:
    approving.let_pass(alone, 28)
    with pytest.raises(errors.NotDecidable):
        requests.approve(alone.pk, actor=ROSA)


def test_and_may_take_it_back_at_once(alone: ApprovalRequest) -> None:
    with pytest.raises(errors.OwnRequest):
        requests.reject(alone.pk, actor=ROSA)
    assert requests.withdraw(alone.pk, actor=ROSA).state == "withdrawn"


def test_the_database_refuses_the_delay_before_its_day(alone: ApprovalRequest) -> None:
    with pytest.raises(DatabaseError, match="before its delay"), connections["owner"].cursor() as cursor:
        cursor.execute(
            "UPDATE audit_approvalrequest SET state = 'approved', decided_by_id = requester_id,"
            " decided_by_name = requester_name, decided_by_delay = true"
        )


# -- races --------------------------------------------------------------------------------------------------
def decide_at_once(asked: ApprovalRequest, *verbs: Callable[[], Any]) -> tuple[int, list[Exception]]:
    """Run the verbs in as many threads; how many succeeded, and what the others raised."""
    waiting = list(verbs)
    done, refused = race(len(verbs), lambda _: waiting.pop()())
    return len(done), refused


def approving_as(asked: ApprovalRequest, actor: Actor) -> Callable[[], Any]:
    return lambda: requests.approve(asked.pk, actor=actor)


@pytest.mark.parametrize("other", ["approve", "reject", "withdraw"])
def test_of_two_who_close_it_at_once_one_succeeds(world: World, other: str) -> None:
    for number in range(8):
        before, asked = times_done(), ask(more=number)
        rival: Callable[[], Any] = {
            "approve": approving_as(asked, DORA),
            "reject": lambda: requests.reject(asked.pk, actor=DORA),  # noqa: B023
            "withdraw": lambda: requests.withdraw(asked.pk, actor=ROSA),  # noqa: B023
        }[other]
        done, refused = decide_at_once(asked, approving_as(asked, DAVE), rival)
        assert (done, [type(error) for error in refused]) == (1, [errors.NotDecidable])
        assert times_done() - before == (state_of(asked) == "approved")
        assert len(events_of(asked)) == 2


def test_a_decision_and_the_expiry_meet_and_one_of_them_is_true(world: World) -> None:
    for number in range(4):
        asked = ask(more=number)
        approving.let_pass(asked, 4)
        race(2, lambda dice, asked=asked: _decide_or_expire(asked, dice))  # type: ignore[misc]
        assert (state_of(asked), times_done()) == ("expired", 0)
        assert len(events_of(asked)) == 2


def _decide_or_expire(asked: ApprovalRequest, dice: random.Random) -> None:
    try:
        requests.approve(asked.pk, actor=DAVE)
    except errors.NotDecidable:
        requests.expire_due()


def test_without_the_lock_and_the_trigger_the_act_would_be_done_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin: both read "pending" before one of them writes."""
    asked = ask()
    first = ApprovalRequest.objects.get(pk=asked.pk)
    with approving.without_triggers() as cursor:
        requests.approve(asked.pk, actor=DAVE)
        monkeypatch.setattr(requests, "_locked", lambda _: first)  # what a reader without a lock still sees
        requests.approve(asked.pk, actor=DORA)
        assert times_done() == 2
        del cursor
