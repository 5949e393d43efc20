"""What people decide: whether a message asks to opt out, and that a line which could not be read is settled."""

import uuid
from typing import Any

from django.db import transaction
from django.utils import timezone

from audit import trail
from audit.free_text import refuse_clear_values
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.crypto.fields import Sealed
from tokens.models import QueueBadLine, QueueMessage
from tokens.no_token_queue import taking
from tokens.no_token_queue.errors import ReasonMissing, SecondPersonNeeded, WrongState

Intent, State = QueueMessage.Intent, QueueMessage.State
LONGEST_REASON = 500


@transaction.atomic
def opt_out(message_id: uuid.UUID, *, reason: str = "", actor: Actor) -> QueueMessage:
    """It asks to opt out: the person is blocked in this transaction. Also of what was said to be none before.

    Raises WrongState, ClearValueInText.
    """
    refuse_clear_values(reason)
    message = _locked(message_id)
    if message.state not in (State.WAITING, State.NOT_OPT_OUT) or message.number is None:
        raise WrongState
    said = taking.opt_out_of(
        message.extract,
        number=message.number.open(),
        digest=bytes(message.row_digest),
        received=message.received_at,
        evidence=taking.evidence_of(_opened(message.text), message.code, message.extract, message.line),
    )
    [message.consent_event] = taking.record(message.extract, [said], actor=actor)
    return _decided(message, State.OPT_OUT, reason, actor)


@transaction.atomic
def not_an_opt_out(message_id: uuid.UUID, *, reason: str, actor: Actor) -> QueueMessage:
    """It asks for something else. What was scored likely stays waiting until a second person says the same.

    Raises WrongState, ReasonMissing, ClearValueInText; SecondPersonNeeded for who said so before.
    """
    refuse_clear_values(reason)
    if not reason.strip():
        raise ReasonMissing
    message = _locked(message_id)
    if message.state != State.WAITING:
        raise WrongState
    if message.intent == Intent.LIKELY and not message.extract.enterprise.sandbox:
        if message.decided_by_id == actor.id:
            raise SecondPersonNeeded
        if not message.decided_by_id:
            return _decided(message, State.WAITING, reason, actor)
        reason = f"{message.decision_reason} ({message.decided_by_name}); {reason}"[:LONGEST_REASON]
    return _decided(message, State.NOT_OPT_OUT, reason, actor)


def half_said(message: QueueMessage) -> bool:
    """Whether one person said that a likely message is none, and a second is awaited."""
    return message.state == State.WAITING and bool(message.decided_by_id)


@transaction.atomic
def settle(line_id: uuid.UUID, *, how: str, actor: Actor) -> QueueBadLine:
    """Somebody saw to a line that could not be read; its content stays sealed. Raises WrongState, ReasonMissing."""
    refuse_clear_values(how)
    if not how.strip():
        raise ReasonMissing
    line = QueueBadLine.objects.select_for_update(of=("self",)).select_related("extract").get(pk=line_id)
    if line.state != QueueBadLine.State.WAITING:
        raise WrongState
    line.state, line.settled_how, line.settled_at = QueueBadLine.State.SETTLED, how, timezone.now()
    line.settled_by_id, line.settled_by_name = actor.id, actor.name
    line.save(update_fields=["state", "settled_how", "settled_at", "settled_by_id", "settled_by_name"])
    trail.record(
        Action.QUEUE_LINE_SETTLED,
        actor=actor,
        enterprise_id=line.enterprise_id,
        target=Target("queue-line", str(line.pk), f"line {line.line}"),
        details={"fault": line.fault, "column": line.column, "how": how},
    )
    return line


def target_of(message: QueueMessage) -> Target:
    """A message as events name it."""
    return Target("queue-message", str(message.pk), f"line {message.line}")


def _opened(sealed: Sealed | None) -> str:
    """The text of a sealed column; nothing once it was erased. Raises CannotOpen."""
    return "" if sealed is None else sealed.open()


def _locked(message_id: uuid.UUID) -> QueueMessage:
    rows = QueueMessage.objects.select_for_update(of=("self",)).select_related("extract__enterprise")
    return rows.get(pk=message_id)


def _decided(message: QueueMessage, state: QueueMessage.State, reason: str, actor: Actor) -> QueueMessage:
    changes: dict[str, Any] = {
        "state": state,
        "decision_reason": reason,
        "decided_by_id": actor.id,
        "decided_by_name": actor.name,
        "decided_at": timezone.now(),
    }
    for name, value in changes.items():
        setattr(message, name, value)
    message.save(update_fields=[*changes, "consent_event"])
    said = "not-opt-out, a second person is awaited" if half_said(message) else state.value
    trail.record(
        Action.QUEUE_DECIDED,
        actor=actor,
        enterprise_id=message.enterprise_id,
        target=target_of(message),
        details={"said": said, "reason": reason, "intent": message.intent, "score": message.score},
    )
    return message
