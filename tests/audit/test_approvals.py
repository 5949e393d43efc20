"""Four-eyes: what is asked is bound, decided by a second person, done once, and never deleted."""

import dataclasses
import datetime
import hashlib
import json
import threading
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction

from audit.approvals import acts, errors, requests
from audit.models import ApprovalRequest, AuditEvent, Installation
from audit.trail import Actor
from audit.vocabulary import Action, ApprovedAct
from tests.audit import approving
from tests.audit.approving import DAVE, DORA, NOEL, ROSA, SANDBOX, WANTED, World, events_of, times_done
from tests.conftest import OwnDatabase

State = ApprovalRequest.State
ACT = ApprovedAct.OPEN_CLIENT


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def asked(world: World, db: None) -> ApprovalRequest:
    return requests.request(ACT, WANTED, reason="the stack moves", actor=ROSA)


def state_of(asked: ApprovalRequest) -> str:
    return ApprovalRequest.objects.get(pk=asked.pk).state


def test_an_act_on_a_sandbox_is_done_at_once(world: World, db: None) -> None:
    world.enterprise_id = SANDBOX
    with pytest.raises(errors.MayNot):
        requests.perform_or_request(ACT, WANTED, reason="", actor=NOEL)
    assert times_done() == 0
    outcome = requests.perform_or_request(ACT, WANTED, reason="", actor=ROSA)
    assert (outcome.result, outcome.waits_for, times_done()) == ("done", None, 1)
    assert not ApprovalRequest.objects.exists()


@pytest.mark.parametrize("enterprise", [approving.LIVE, None])
def test_any_other_act_waits_and_is_not_done(world: World, db: None, enterprise: int | None) -> None:
    world.enterprise_id = enterprise
    asked = requests.perform_or_request(ACT, WANTED, reason="the stack moves", actor=ROSA).waits_for
    assert asked is not None
    assert (asked.state, asked.enterprise_id, asked.sandbox, times_done()) == (
        "pending",
        enterprise,
        False,
        0,
    )
    assert asked.difference == [["may call from", "203.0.113.0/24", "0.0.0.0/0"]]
    assert asked.expires_at - asked.decidable_from == datetime.timedelta(hours=4)
    assert asked.decidable_from == asked.requested_at
    assert events_of(asked) == [(Action.APPROVAL_REQUESTED, "rosa")]


def test_a_second_person_approves_and_the_act_is_done_in_the_requesters_name(asked: ApprovalRequest) -> None:
    decided = requests.approve(asked.pk, actor=DAVE, comment="agreed by phone")
    assert (decided.state, decided.decided_by_name, decided.comment) == (
        "approved",
        "dave",
        "agreed by phone",
    )
    assert not decided.decided_by_delay
    assert AuditEvent.objects.get(action=Action.CLIENT_CHANGED).actor_name == "rosa"
    assert events_of(asked)[1:] == [(Action.APPROVAL_APPROVED, "dave")]


def test_a_rejected_act_is_not_done(asked: ApprovalRequest) -> None:
    requests.reject(asked.pk, actor=DAVE, comment="not now")
    assert (state_of(asked), times_done()) == ("rejected", 0)
    assert events_of(asked)[1:] == [(Action.APPROVAL_REJECTED, "dave")]


@pytest.mark.parametrize("verb", [requests.approve, requests.reject])
def test_nobody_decides_their_own_request_whatever_they_may(
    world: World, asked: ApprovalRequest, verb: object
) -> None:
    world.permissions["user:1"] = world.permissions["user:2"]
    with pytest.raises(errors.OwnRequest):
        verb(asked.pk, actor=ROSA)  # type: ignore[operator]
    assert (state_of(asked), times_done()) == ("pending", 0)


def test_an_account_of_the_same_name_at_the_command_line_is_the_same_person(world: World, db: None) -> None:
    world.permissions["command-line"] = {"ask"}
    asked = requests.request(ACT, WANTED, reason="at night", actor=Actor("command-line", "Dave"))
    with pytest.raises(errors.OwnRequest):
        requests.approve(asked.pk, actor=DAVE)
    assert requests.approve(asked.pk, actor=DORA).state == "approved"


@pytest.mark.parametrize("lacking", ["approvals.decide", "see"])
def test_who_decides_needs_the_right_to_decide_and_that_of_the_act(
    world: World, asked: ApprovalRequest, lacking: str
) -> None:
    world.permissions["user:2"] = world.permissions["user:2"] - {lacking}
    for verb in (requests.approve, requests.reject):
        with pytest.raises(errors.MayNot):
            verb(asked.pk, actor=DAVE)
    assert times_done() == 0


def test_who_may_not_do_it_may_not_ask_for_it(world: World, db: None) -> None:
    with pytest.raises(errors.MayNot):
        requests.request(ACT, WANTED, reason="please", actor=NOEL)


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 2001])
def test_without_a_reason_nothing_is_asked(world: World, db: None, reason: str) -> None:
    with pytest.raises(errors.ReasonMissing):
        requests.request(ACT, WANTED, reason=reason, actor=ROSA)


def test_what_changed_meanwhile_is_not_done(world: World, asked: ApprovalRequest) -> None:
    world.networks = "198.51.100.0/24"
    decided = requests.approve(asked.pk, actor=DAVE)
    assert (decided.state, times_done()) == ("failed", 0)
    assert "no longer what was asked" in ApprovalRequest.objects.get(pk=asked.pk).failure
    assert events_of(asked)[1:] == [(Action.APPROVAL_FAILED, "dave")]


def test_what_its_requester_may_no_longer_do_is_not_done(world: World, asked: ApprovalRequest) -> None:
    world.permissions["user:1"] = set()
    assert requests.approve(asked.pk, actor=DAVE).state == "failed"
    assert times_done() == 0


def test_an_act_that_fails_half_way_leaves_nothing(world: World, asked: ApprovalRequest) -> None:
    world.fails = errors.CannotBeDone("the file is gone")
    assert "the file is gone" in requests.approve(asked.pk, actor=DAVE).failure
    assert (state_of(asked), times_done()) == ("failed", 0)


def test_a_fault_nobody_foresaw_leaves_the_request_waiting(world: World, asked: ApprovalRequest) -> None:
    world.fails = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        requests.approve(asked.pk, actor=DAVE)
    assert (state_of(asked), times_done()) == ("pending", 0)


def test_only_who_asked_withdraws(asked: ApprovalRequest) -> None:
    with pytest.raises(errors.NotTheRequester):
        requests.withdraw(asked.pk, actor=DAVE)
    requests.withdraw(asked.pk, actor=ROSA)
    assert events_of(asked)[1:] == [(Action.APPROVAL_WITHDRAWN, "rosa")]


@pytest.mark.parametrize("close", [requests.approve, requests.reject])
def test_what_is_closed_stays_closed(asked: ApprovalRequest, close: object) -> None:
    close(asked.pk, actor=DAVE)  # type: ignore[operator]
    for verb in (requests.approve, requests.reject):
        with pytest.raises(errors.NotDecidable):
            verb(asked.pk, actor=DORA)
    with pytest.raises(errors.NotDecidable):
        requests.withdraw(asked.pk, actor=ROSA)
    assert len(events_of(asked)) == 2


def test_asking_twice_is_asking_once(asked: ApprovalRequest) -> None:
    again = requests.request(ACT, WANTED, reason="did you see it?", actor=DORA)
    assert again.pk == asked.pk
    requests.reject(asked.pk, actor=DAVE)
    assert requests.request(ACT, WANTED, reason="once more", actor=ROSA).pk != asked.pk


def test_who_asks_while_it_is_decided_is_given_the_request_and_waits_for_nobody(
    own_database: OwnDatabase, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever decides holds the request's row and may wait for what the asker has locked: so the asker waits not."""
    asked = requests.request(ACT, WANTED, reason="the stack moves", actor=ROSA)
    given: list[ApprovalRequest] = []
    carry_out = world.carry_out

    def ask_meanwhile(parameters: dict[str, Any], actor: Actor) -> str:
        def ask() -> None:
            given.append(requests.request(ACT, WANTED, reason="once more", actor=DORA))
            connection.close()

        asker = threading.Thread(target=ask, daemon=True)
        asker.start()
        asker.join(60)
        assert not asker.is_alive(), "it waits for the decision"
        return carry_out(parameters, actor)

    executor = dataclasses.replace(acts.executor_of(ACT), carry_out=ask_meanwhile)
    monkeypatch.setattr(acts, "_executors", {ACT.value: executor})
    assert requests.approve(asked.pk, actor=DAVE).state == State.APPROVED
    assert [one.pk for one in given] == [asked.pk]


def test_a_request_that_was_closed_between_two_looks_is_made_anew(
    world: World, asked: ApprovalRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, lost = ApprovalRequest.save, [IntegrityError()]

    def first_comes_too_late(self: ApprovalRequest, **how: Any) -> None:
        if how.get("force_insert") and lost:
            raise lost.pop()
        save(self, **how)

    requests.reject(asked.pk, actor=DAVE)
    monkeypatch.setattr(ApprovalRequest, "save", first_comes_too_late)
    again = requests.request(ACT, WANTED, reason="once more", actor=ROSA)
    assert (again.state, again.pk != asked.pk) == ("pending", True)


def test_the_digest_is_over_the_canonical_form_of_what_is_asked(asked: ApprovalRequest) -> None:
    """Written out, so that another program can check it from docs/approvals.md."""
    form = {
        "v": 1, "kind": "approval", "act": "client.open", "enterprise": 1, "target_type": "client", "target": "c-1",
        "parameters": {"networks": ["0.0.0.0/0"]},
        "difference": [["may call from", "203.0.113.0/24", "0.0.0.0/0"]],
    }  # fmt: skip
    text = json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert bytes(asked.digest) == hashlib.sha256(text.encode()).digest()
    [event] = AuditEvent.objects.filter(action=Action.APPROVAL_REQUESTED)
    assert event.details["digest"] == bytes(asked.digest).hex()


def test_an_act_that_nobody_registered_is_refused(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setattr(acts, "_executors", {})
    with pytest.raises(LookupError):
        requests.request(ACT, WANTED, reason="please", actor=ROSA)


def test_nobody_may_anything_until_somebody_says_who(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "_outside", acts._Outside(acts._unknown, acts._unknown))
    with pytest.raises(LookupError):
        acts.may("user:1", "ask", None)
    with pytest.raises(LookupError):
        acts.is_sandbox(1)


# -- what the database itself refuses -----------------------------------------------------------------------
OWN_APPROVAL = (
    "UPDATE audit_approvalrequest SET state = 'approved', decided_by_id = requester_id,"
    " decided_by_name = 'somebody else'"
)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_approvalrequest SET parameters = '{}'",
        "UPDATE audit_approvalrequest SET requester_id = 'user:9'",
        "UPDATE audit_approvalrequest SET expires_at = now() + interval '1 year'",
        "UPDATE audit_approvalrequest SET single_operator = true",
        "DELETE FROM audit_approvalrequest",
        "TRUNCATE audit_approvalrequest",
        "UPDATE audit_installation SET single_operator = true",
        "INSERT INTO audit_installation VALUES (1, true, now())",
        "DELETE FROM audit_installation",
    ],
)
def test_the_app_has_no_right_to_change_what_was_asked(asked: ApprovalRequest, change: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE audit_approvalrequest SET parameters = '{}'", "can not be changed"),
        ("UPDATE audit_approvalrequest SET state = 'expired'", "before its time"),
        (OWN_APPROVAL, "approval_by_a_second_person"),
        (OWN_APPROVAL.replace("'approved'", "'rejected'"), "approval_by_a_second_person"),
        (OWN_APPROVAL.replace("'approved'", "'failed'"), "approval_by_a_second_person"),
        (OWN_APPROVAL + ", decided_by_delay = true", "approval_by_a_second_person"),
        ("UPDATE audit_approvalrequest SET state = 'approved'", "approval_by_a_second_person"),
        (
            "UPDATE audit_approvalrequest SET state = 'approved', decided_by_id = 'x', decided_by_name = 'ROSA'",
            "approval_by_a_second_person",
        ),
        (
            "UPDATE audit_approvalrequest SET state = 'withdrawn', decided_by_id = 'user:2'",
            "withdrawn_by_its",
        ),
        ("DELETE FROM audit_approvalrequest", "append-only"),
        ("TRUNCATE audit_approvalrequest", "append-only"),
        ("UPDATE audit_installation SET single_operator = true", "append-only"),
        ("DELETE FROM audit_installation", "append-only"),
    ],
)
def test_not_even_the_owner_bends_the_rule(
    own_database: OwnDatabase, world: World, change: str, said: str
) -> None:
    asked = requests.request(ACT, WANTED, reason="the stack moves", actor=ROSA)
    with pytest.raises(DatabaseError, match=said), connections["owner"].cursor() as cursor:
        cursor.execute(change)
    assert state_of(asked) == "pending"
    assert not Installation.objects.get().single_operator


def test_without_the_constraint_ones_own_approval_would_pass(own_database: OwnDatabase, world: World) -> None:
    """The known-bad twin of the test above."""
    asked = requests.request(ACT, WANTED, reason="the stack moves", actor=ROSA)
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE audit_approvalrequest DROP CONSTRAINT approval_by_a_second_person")
        cursor.execute(OWN_APPROVAL)
    assert state_of(asked) == "approved"


def test_its_triggers_do_not_stand_aside(asked: ApprovalRequest) -> None:
    requests.reject(asked.pk, actor=DAVE)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL pgtrigger.ignore = '{is_closed,is_asked,stays}'")
        with pytest.raises(DatabaseError, match="closed once"):
            cursor.execute("UPDATE audit_approvalrequest SET state = 'approved'")
        transaction.set_rollback(True)


def test_a_request_begins_as_the_database_says(world: World, asked: ApprovalRequest) -> None:
    """Times and the declaration are never the app's to choose."""
    far = asked.expires_at + datetime.timedelta(days=365)
    forged = ApprovalRequest.objects.get(pk=asked.pk)
    requests.reject(asked.pk, actor=DAVE)
    forged.pk, forged.single_operator, forged.expires_at = ROSA_S_OTHER, True, far
    forged.decidable_from = forged.requested_at = asked.requested_at - datetime.timedelta(days=2)
    forged.save(force_insert=True)
    forged.refresh_from_db()
    assert not forged.single_operator
    assert forged.expires_at < far
    assert forged.requested_at > asked.requested_at
    forged.pk = asked.pk.__class__(int=7)
    forged.state = State.APPROVED
    with pytest.raises((DatabaseError, IntegrityError)), transaction.atomic():
        forged.save(force_insert=True)


ROSA_S_OTHER = "01990000-0000-7000-8000-000000000001"
