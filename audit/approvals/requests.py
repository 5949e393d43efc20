"""The verbs: ask, approve, reject, withdraw. Each locks its request and records an event in the same transaction."""

import uuid
from dataclasses import dataclass
from typing import Any, Final

import uuid_utils.compat
from django.db import IntegrityError, connection, transaction

from audit import trail
from audit.approvals import acts, errors
from audit.approvals.acts import Executor, Plan
from audit.free_text import names_a_person
from audit.models import ApprovalRequest
from audit.trail import SYSTEM, Actor, Target
from audit.vocabulary import Action, ApprovedAct

State = ApprovalRequest.State
DECIDE: Final = "approvals.decide"
LONGEST_TEXT: Final = 2000
TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of `perform_or_request`: the act's own result when it was done, or the request that waits."""

    result: Any = None
    waits_for: ApprovalRequest | None = None


@transaction.atomic
def perform_or_request(act: ApprovedAct, parameters: dict[str, Any], *, reason: str, actor: Actor) -> Outcome:
    """Do the act now if it touches one sandbox only, and ask for approval otherwise. Raises as both do."""
    executor = acts.executor_of(act)
    plan = executor.plan(parameters)
    if acts.is_sandbox(plan.enterprise_id):
        _check_may_ask(executor, plan, actor)
        return Outcome(result=executor.carry_out(parameters, actor))
    return Outcome(waits_for=_ask(executor, plan, parameters, reason=reason, actor=actor))


@transaction.atomic
def request(act: ApprovedAct, parameters: dict[str, Any], *, reason: str, actor: Actor) -> ApprovalRequest:
    """Ask for approval, also for a sandbox. Raises CannotBeDone, MayNot, ReasonMissing and AskAgain.

    Whoever asks for what waits already is given the request that waits.
    """
    executor = acts.executor_of(act)
    return _ask(executor, executor.plan(parameters), parameters, reason=reason, actor=actor)


def _ask(
    executor: Executor, plan: Plan, parameters: dict[str, Any], *, reason: str, actor: Actor
) -> ApprovalRequest:
    _check_may_ask(executor, plan, actor)
    _check_reason(reason, plan)
    digest = acts.digest(executor.act, parameters, plan)
    asked = ApprovalRequest(
        id=uuid_utils.compat.uuid7(),
        act=executor.act.value,
        enterprise_id=plan.enterprise_id,
        sandbox=acts.is_sandbox(plan.enterprise_id),
        target_type=plan.target.type,
        target_id=plan.target.id,
        target_name=plan.target.name,
        parameters=parameters,
        difference=[list(row) for row in plan.difference],
        digest=digest,
        reason=reason.strip(),
        blast_radius=plan.blast_radius,
        affected=plan.affected,
        requester_id=actor.id,
        requester_name=actor.name,
    )
    return _waiting_or_made(asked, actor)


def _waiting_or_made(asked: ApprovalRequest, actor: Actor) -> ApprovalRequest:
    """The request that waits for the same, or this one. Raises AskAgain."""
    for _ in range(TRIES):
        # Not locked: whoever decides it holds its row and waits for what the plan of this one has locked.
        waiting = ApprovalRequest.objects.filter(digest=asked.digest, state=State.PENDING).first()
        if waiting is not None and not (_clock() >= waiting.expires_at and _close_if_expired(waiting.pk)):
            return waiting
        try:
            with transaction.atomic():
                asked.save(force_insert=True)
        except IntegrityError:  # somebody asked for the same at the same moment
            continue
        asked.refresh_from_db()
        _record(Action.APPROVAL_REQUESTED, asked, actor, reason=asked.reason, blast_radius=asked.blast_radius)
        return asked
    raise errors.AskAgain


def _check_may_ask(executor: Executor, plan: Plan, actor: Actor) -> None:
    if not acts.may(actor.id, executor.asked_with, plan.enterprise_id):
        raise errors.MayNot(executor.asked_with)


def _check_reason(reason: str, plan: Plan) -> None:
    wrong: errors.ReasonMissing | None = None
    if not reason.strip() or len(reason) > LONGEST_TEXT:
        wrong = errors.ReasonMissing()
    elif names_a_person(reason):
        wrong = errors.ClearValueInReason()
    if wrong is not None:
        wrong.plan = plan
        raise wrong


def approve(request_id: uuid.UUID, *, actor: Actor, comment: str = "") -> ApprovalRequest:
    """Approve and carry out, in one transaction. Raises OwnRequest, AboutYourself, MayNot, TooEarly,
    ClearValueInComment and NotDecidable.

    What can't be done any more closes the request as failed, with the reason, and nothing else was done: look at its
    state.
    """
    _close_if_expired(request_id)
    with transaction.atomic():
        asked = _decidable(request_id, actor, comment, approving=True)
        try:
            with transaction.atomic():
                _close(asked, State.APPROVED, Action.APPROVAL_APPROVED, actor, comment)
                _carry_out(asked)
        except errors.CannotBeDone as error:
            _close(asked, State.FAILED, Action.APPROVAL_FAILED, actor, comment, failure=str(error))
    return asked


def reject(request_id: uuid.UUID, *, actor: Actor, comment: str = "") -> ApprovalRequest:
    """Refuse what was asked. Raises OwnRequest, MayNot, ClearValueInComment and NotDecidable."""
    _close_if_expired(request_id)
    with transaction.atomic():
        asked = _decidable(request_id, actor, comment, approving=False)
        _close(asked, State.REJECTED, Action.APPROVAL_REJECTED, actor, comment)
    return asked


def withdraw(request_id: uuid.UUID, *, actor: Actor) -> ApprovalRequest:
    """Take one's own request back. Raises NotTheRequester and NotDecidable."""
    _close_if_expired(request_id)
    with transaction.atomic():
        asked = _pending(request_id)
        if asked.requester_id != actor.id:
            raise errors.NotTheRequester
        _close(asked, State.WITHDRAWN, Action.APPROVAL_WITHDRAWN, actor)
    return asked


def may_decide(asked: ApprovalRequest, actor_id: str) -> bool:
    """Whether that person holds what deciding this request takes. That they did not ask for it is another matter."""
    executor = acts.registered().get(asked.act)
    return executor is not None and all(
        acts.may(actor_id, permission, asked.enterprise_id) for permission in (DECIDE, executor.decided_with)
    )


def is_own(asked: ApprovalRequest, actor: Actor) -> bool:
    """Whether that person asked, as far as the request knows."""
    same_name = asked.requester_name.casefold() == actor.name.casefold()
    return asked.requester_id == actor.id or same_name


def expire_due() -> int:
    """Close every request whose time has passed, each with its event; how many. A job of maintenance."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM audit_approvalrequest WHERE state = 'pending' AND expires_at <= clock_timestamp()"
        )
        due = [row[0] for row in cursor.fetchall()]
    return sum(_close_if_expired(request_id) for request_id in due)


# -- how it is done -----------------------------------------------------------------------------------------
def _carry_out(asked: ApprovalRequest) -> None:
    """Plan again, compare, do. The act is the requester's: their name stands at its event."""
    executor = acts.executor_of(asked.act)
    if not acts.may(asked.requester_id, executor.asked_with, asked.enterprise_id):
        raise errors.RequesterMayNot
    plan = executor.plan(asked.parameters)
    if acts.digest(asked.act, asked.parameters, plan) != bytes(asked.digest):
        raise errors.HasChanged
    executor.carry_out(asked.parameters, Actor(asked.requester_id, asked.requester_name))


def _locked(request_id: uuid.UUID) -> ApprovalRequest:
    return ApprovalRequest.objects.select_for_update().get(pk=request_id)


def _pending(request_id: uuid.UUID) -> ApprovalRequest:
    asked = _locked(request_id)
    if asked.state != State.PENDING or _clock() >= asked.expires_at:
        raise errors.NotDecidable(asked.get_state_display() if asked.state != State.PENDING else "expired")
    return asked


def _decidable(request_id: uuid.UUID, actor: Actor, comment: str, *, approving: bool) -> ApprovalRequest:
    if names_a_person(comment):
        raise errors.ClearValueInComment
    asked = _pending(request_id)
    if not may_decide(asked, actor.id):
        raise errors.MayNot
    if is_own(asked, actor) and not (approving and asked.single_operator):
        raise errors.OwnRequest
    if approving and asked.target_id == actor.id and not asked.single_operator:
        raise errors.AboutYourself
    if approving and _clock() < asked.decidable_from:
        raise errors.TooEarly
    return asked


def _close(
    asked: ApprovalRequest, state: State, action: Action, actor: Actor, comment: str = "", failure: str = ""
) -> None:
    asked.state = state
    if state != State.EXPIRED:
        asked.decided_by_id, asked.decided_by_name = actor.id, actor.name
        asked.decided_by_delay = is_own(asked, actor) and state in (State.APPROVED, State.FAILED)
    asked.decided_at = _clock()  # the trigger writes its own
    asked.comment, asked.failure = comment.strip()[:LONGEST_TEXT], failure[:500]
    asked.save(
        update_fields=[
            "state", "decided_by_id", "decided_by_name", "decided_by_delay", "decided_at", "comment", "failure",
        ]
    )  # fmt: skip
    _record(
        action, asked, actor, comment=asked.comment, failure=asked.failure, requester=asked.requester_name,
        by_delay=asked.decided_by_delay,
    )  # fmt: skip


def _close_if_expired(request_id: uuid.UUID) -> bool:
    """In a transaction of its own, so that it stays closed when the caller is refused."""
    with transaction.atomic():
        return _expire_if_due(_locked(request_id))


def _expire_if_due(asked: ApprovalRequest) -> bool:
    if asked.state != State.PENDING or _clock() < asked.expires_at:
        return False
    _close(asked, State.EXPIRED, Action.APPROVAL_EXPIRED, SYSTEM)
    return True


def _clock() -> Any:
    """The time of the database, which its triggers go by."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def _record(action: Action, asked: ApprovalRequest, actor: Actor, **details: Any) -> None:
    facts = {
        "act": asked.act,
        "on": f"{asked.target_type} {asked.target_id}",
        "digest": bytes(asked.digest).hex(),
    } | {name: value for name, value in details.items() if value}
    trail.record(
        action,
        actor=actor,
        enterprise_id=asked.enterprise_id,
        target=Target("approval", str(asked.pk), asked.target_name),
        details=facts,
    )
