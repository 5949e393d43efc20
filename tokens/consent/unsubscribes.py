"""Unsubscribes: the duty that each opt-out opens, and the acts that bring it to its end.

*received → blocked at Resolve → written to Marketing Cloud → verified by read-back → closed*. Every act locks its
row and records an event about it in the same transaction, so the events are its history. Nothing is closed without
proof: Marketing Cloud's own word, or that of a second person (docs/unsubscribes.md). The database refuses an end
without any; that the proof is true is held here.
"""

import datetime
import uuid
from collections.abc import Callable
from typing import Any, Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.free_text import names_a_person
from audit.trail import SYSTEM, Actor, Target
from audit.vocabulary import Action, ApprovedAct
from tokens.consent import clocks, closing_days
from tokens.errors import BadStep
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Unsubscribe

State, Proof, Alarm = Unsubscribe.State, Unsubscribe.Proof, Unsubscribe.Alarm
# What each proof says has been reached.
REACHED: Final = {Proof.WRITTEN_BACK: State.WRITTEN, Proof.READ_BACK: State.VERIFIED}
_BEFORE_WRITTEN: Final = (State.RECEIVED, State.BLOCKED)
LONGEST_EXTENSION: Final = 60
# A pause that nobody ends would hide what is overdue.
LONGEST_PAUSE: Final = datetime.timedelta(days=30)


# -- the acts of people -------------------------------------------------------------------------------------
def take(unsubscribe_id: uuid.UUID, *, actor: Actor) -> Unsubscribe:
    """Become its owner; taking over from somebody is allowed and recorded. Raises BadStep."""

    def change(row: Unsubscribe) -> dict[str, Any]:
        _refuse_if(row.state == State.CLOSED, "it is closed")
        before, row.owner_id, row.owner_name = row.owner_name, actor.id, actor.name
        return {"before": before, "after": actor.name}

    return _step(unsubscribe_id, Action.UNSUBSCRIBE_TAKEN, change, actor=actor)


def written_by_hand(unsubscribe_id: uuid.UUID, *, actor: Actor) -> Unsubscribe:
    """Say that one did it in Marketing Cloud oneself, or looked and it was done: a second person must confirm it.

    Raises BadStep.
    """

    def change(row: Unsubscribe) -> dict[str, Any]:
        by_another = row.state == State.WRITTEN and not row.proof and row.written_by_id != actor.id
        _refuse_if(
            row.state not in _BEFORE_WRITTEN and not by_another, f"it is {row.get_state_display()} already"
        )
        before, row.state, row.written_by_id = row.state, State.WRITTEN, actor.id
        return {"before": before, "after": row.state, "how": "by hand"}

    return _step(unsubscribe_id, Action.UNSUBSCRIBE_WRITTEN, change, actor=actor)


def pause(unsubscribe_id: uuid.UUID, *, reason: str, actor: Actor) -> Unsubscribe:
    """Stop the clock, for instance while the person's identity is asked for. Raises BadStep."""

    def change(row: Unsubscribe) -> dict[str, Any]:
        _refuse_if(row.state == State.CLOSED, "it is closed")
        _refuse_if(row.paused_at is not None, "its clock stands already")
        _refuse_if(row.due_at <= timezone.now(), "it is overdue: a pause would hide that")
        row.paused_at = timezone.now()
        return {"reason": _checked(reason)}

    return _step(unsubscribe_id, Action.UNSUBSCRIBE_PAUSED, change, actor=actor)


def resume(unsubscribe_id: uuid.UUID, *, actor: Actor) -> Unsubscribe:
    """Let the clock run on: what is due moves by as long as it stood. Raises BadStep."""

    def change(row: Unsubscribe) -> dict[str, Any]:
        if row.paused_at is None:
            raise BadStep("its clock runs")
        stood, before = timezone.now() - row.paused_at, row.due_at
        row.paused_at, row.due_at, row.target_at = None, row.due_at + stood, row.target_at + stood
        return {"before": before.isoformat(), "after": row.due_at.isoformat()}

    return _step(unsubscribe_id, Action.UNSUBSCRIBE_RESUMED, change, actor=actor)


def extend(unsubscribe_id: uuid.UUID, *, business_days: int, reason: str, actor: Actor) -> Unsubscribe:
    """Give it so many more business days of its calendar. Raises BadStep."""

    def change(row: Unsubscribe) -> dict[str, Any]:
        _refuse_if(row.state == State.CLOSED, "it is closed")
        _refuse_if(row.paused_at is not None, "its clock stands: let it run on first")
        _refuse_if(
            not 1 <= business_days <= LONGEST_EXTENSION, f"give 1 to {LONGEST_EXTENSION} business days"
        )
        closed = closing_days.of_enterprise(row.enterprise_id)
        before, row.due_at = row.due_at, clocks.later(row.law, row.due_at, business_days, closed)
        # Once extended it may become overdue anew, and that is said anew.
        row.alarmed = Alarm.NONE if row.due_at > timezone.now() else row.alarmed
        return {"before": before.isoformat(), "after": row.due_at.isoformat(), "reason": _checked(reason)}

    return _step(unsubscribe_id, Action.UNSUBSCRIBE_EXTENDED, change, actor=actor)


# -- what proves it -----------------------------------------------------------------------------------------
def prove(unsubscribe_id: uuid.UUID, proof: Unsubscribe.Proof, *, actor: Actor = SYSTEM) -> Unsubscribe:
    """Note what Marketing Cloud confirmed (WRITTEN_BACK or READ_BACK); weaker news changes nothing. Raises BadStep."""
    reached = REACHED[proof]

    def change(row: Unsubscribe) -> dict[str, Any] | None:
        if row.state == State.CLOSED or row.proof in (proof, Proof.READ_BACK):
            return None
        before, row.state, row.proof = row.state, reached, proof
        return {"before": before, "after": reached.value, "proof": proof.value}

    action = Action.UNSUBSCRIBE_WRITTEN if reached == State.WRITTEN else Action.UNSUBSCRIBE_VERIFIED
    return _step(unsubscribe_id, action, change, actor=actor)


def close(unsubscribe_id: uuid.UUID, *, actor: Actor) -> Unsubscribe:
    """Close what Marketing Cloud proved. Raises BadStep where it did not: `confirm` asks a second person."""

    def change(row: Unsubscribe) -> dict[str, Any]:
        _refuse_if(row.state == State.CLOSED, "it is closed already")
        _refuse_if(
            not row.proof, "nothing proves that Marketing Cloud knows: ask a second person to confirm it"
        )
        return _closed(row, Proof(row.proof))

    return _step(unsubscribe_id, Action.UNSUBSCRIBE_CLOSED, change, actor=actor)


def end_lifted(opt_out: ConsentEvent, *, actor: Actor) -> None:
    """Close the unsubscribe of an opt-out that later consent lifted: there is nothing left to carry out."""

    def change(row: Unsubscribe) -> dict[str, Any] | None:
        return _closed(row, Proof.CONSENT) if row.state != State.CLOSED else None

    _step(opt_out.pk, Action.UNSUBSCRIBE_CLOSED, change, actor=actor)


def close_if_open(unsubscribe_id: uuid.UUID, *, actor: Actor) -> None:
    """Close what has a proof and is open; what was closed meanwhile stays as it is."""

    def change(row: Unsubscribe) -> dict[str, Any] | None:
        return _closed(row, Proof(row.proof)) if row.state != State.CLOSED and row.proof else None

    _step(unsubscribe_id, Action.UNSUBSCRIBE_CLOSED, change, actor=actor)


def confirm(unsubscribe_id: uuid.UUID, *, reason: str, actor: Actor) -> Outcome:
    """Close it on a second person's word: who did it asks, so who approves is another.

    Raises BadStep and ApprovalError.
    """
    row = Unsubscribe.objects.get(pk=unsubscribe_id)
    _refuse_if(row.state == State.WRITTEN and row.written_by_id != actor.id, "somebody else did it: they ask")
    return perform_or_request(
        ApprovedAct.CONFIRM_UNSUBSCRIBE, {"unsubscribe": str(unsubscribe_id)}, reason=reason, actor=actor
    )


def register() -> None:
    """Called once, when the app starts."""
    acts.register(
        Executor(
            ApprovedAct.CONFIRM_UNSUBSCRIBE, "unsubscribes.create", "unsubscribes.view", _plan, _carry_out
        )
    )


def _plan(parameters: dict[str, Any]) -> Plan:
    rows = Unsubscribe.objects.select_for_update(of=("self",)).select_related("event", "enterprise")
    row = rows.filter(pk=uuid.UUID(parameters["unsubscribe"])).first()
    if row is None:
        raise CannotBeDone("there is no such unsubscribe")
    if row.state != State.WRITTEN or row.paused_at is not None:
        raise CannotBeDone(
            f"it is {'paused' if row.paused_at else row.get_state_display()}: first somebody unsubscribes them in"
            " Marketing Cloud"
        )
    return Plan(
        enterprise_id=row.enterprise_id,
        target=target(row),
        difference=(("unsubscribe", row.state, State.CLOSED), ("proof", row.proof, Proof.SECOND_PERSON)),
        blast_radius=f"One opt-out ({Kind(row.event.kind).label}) of {row.enterprise.name} counts as carried out in"
        " Marketing Cloud. You looked there and saw it.",
        affected=1,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> Unsubscribe:
    return _step(
        uuid.UUID(parameters["unsubscribe"]),
        Action.UNSUBSCRIBE_CLOSED,
        lambda row: _closed(row, Proof.SECOND_PERSON),
        actor=actor,
    )


# -- what all of them do ------------------------------------------------------------------------------------
def target(row: Unsubscribe) -> Target:
    """How events speak of it."""
    return Target("unsubscribe", str(row.pk))


@transaction.atomic
def _step(
    unsubscribe_id: uuid.UUID,
    action: Action,
    change: Callable[[Unsubscribe], dict[str, Any] | None],
    *,
    actor: Actor,
) -> Unsubscribe:
    row = Unsubscribe.objects.select_for_update().get(pk=unsubscribe_id)
    details = change(row)
    if details is not None:
        row.save(update_fields=CHANGES)
        trail.record(
            action, actor=actor, enterprise_id=row.enterprise_id, target=target(row), details=details
        )
    return row


CHANGES: Final = (
    "state", "proof", "written_by_id", "owner_id", "owner_name", "target_at", "due_at", "paused_at", "alarmed",
    "closed_at",
)  # fmt: skip


def _closed(row: Unsubscribe, proof: Unsubscribe.Proof) -> dict[str, Any]:
    before = row.state
    row.state, row.proof, row.closed_at, row.paused_at = State.CLOSED, proof, timezone.now(), None
    return {"before": before, "after": row.state, "proof": proof.value}


def _checked(reason: str) -> str:
    _refuse_if(not reason.strip(), "give a reason")
    _refuse_if(names_a_person(reason), "the reason holds an address or a number of a person: leave it out")
    return reason.strip()


def _refuse_if(wrong: bool, why: str) -> None:
    if wrong:
        raise BadStep(why)


def overdue_at(now: datetime.datetime) -> Q:
    """What is overdue: by its clock, or because nobody let the clock run on."""
    return Q(due_at__lte=now, paused_at__isnull=True) | Q(paused_at__lte=now - LONGEST_PAUSE)


# -- overdue ------------------------------------------------------------------------------------------------
@transaction.atomic
def raise_overdue(now: datetime.datetime | None = None) -> int:
    """Raise the alarm for each open unsubscribe that passed its due instant, or stands still for long, once.

    Answers how many there were now.
    """
    now = now or timezone.now()
    rows = list(
        Unsubscribe.objects.select_for_update(skip_locked=True)
        .exclude(state=State.CLOSED)
        .filter(overdue_at(now), alarmed=Alarm.NONE)[:1000]
    )
    for row in rows:
        row.alarmed = Alarm.OVERDUE
        row.save(update_fields=["alarmed"])
        details = {"due_at": row.due_at.isoformat(), "state": row.state, "owner": row.owner_name}
        trail.record(
            Action.ALARM_OVERDUE,
            actor=SYSTEM,
            enterprise_id=row.enterprise_id,
            target=target(row),
            details=details,
        )
    return len(rows)
