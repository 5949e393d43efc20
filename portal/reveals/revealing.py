"""The verb: count, record, commit, and only then open."""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction

from audit import trail
from audit.free_text import refuse_clear_values
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal.models import BreakGlass
from portal.reveals import caps, nudges
from portal.reveals.caps import Use
from portal.reveals.errors import DoesNotOpen, LooksLikeOwn, OverHardCap
from portal.reveals.reasons import Reason
from portal.reveals.subjects import Subject


@dataclass(frozen=True, slots=True)
class Why:
    """Reason and case; with an `explanation` the glass is broken: no cap holds, and somebody reviews it."""

    reason: Reason
    case: str
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Revealed:
    """The clear value, and how many the person has revealed in 24 hours with this one."""

    value: str = field(repr=False)
    in_a_day: int
    is_over_soft_cap: bool


def reveal(subject: Subject, why: Why, *, actor: Actor, all_the_same: bool = False) -> Revealed:
    """Open `subject` for `actor`, after the event of it is committed. Raises RevealError, ClearValueInText;
    then nothing was opened.

    Who seems to look at themselves is asked once more (LooksLikeOwn), and goes on with `all_the_same`.
    Runs in no transaction of the caller's: a record that could still roll back is none.
    """
    refuse_clear_values(why.case, why.explanation)
    own = nudges.own(subject, actor)
    if own and not all_the_same:
        _event(Action.REVEAL_NUDGED, subject, actor, {"field": subject.field, "own": own})
        raise LooksLikeOwn
    use = _record(subject, why, actor, own)
    try:
        value = subject.open()
    except DoesNotOpen:
        trail.record(
            Action.ALARM_CANNOT_OPEN, actor=actor, enterprise_id=subject.enterprise_id, target=subject.target
        )
        raise
    count = use.in_a_day + 1
    return Revealed(value, count, count > settings.REVEALS_SOFT_CAP)


def _record(subject: Subject, why: Why, actor: Actor, own: str) -> Use:
    with transaction.atomic(durable=True):
        use = caps.locked(actor.id)
        refused = use.is_over_hard_cap and not why.explanation
        if refused:
            record_refusal(subject, actor, use)
        else:
            record_reveal(subject, why, actor, use, own=own)
    if refused:
        raise OverHardCap
    return use


def record_refusal(subject: Subject, actor: Actor, use: Use) -> None:
    """Event of what the hard cap refused."""
    _event(Action.REVEAL_REFUSED, subject, actor, {"field": subject.field, "in_a_day": use.in_a_day})


def record_reveal(subject: Subject, why: Why, actor: Actor, use: Use, *, own: str, **beside: Any) -> None:
    """Event and alarms of one value, in the caller's transaction; `use` is that before it, `own` as nudges say."""
    facts: dict[str, Any] = {
        "field": subject.field, "masked": subject.masked, "reason": why.reason.value, "case": why.case, **beside,
    }  # fmt: skip
    if own:
        facts["own"] = own
    if why.explanation:
        facts |= {"break_glass": True, "explanation": why.explanation}
    event_id = _event(Action.REVEALED, subject, actor, facts)
    if why.explanation:
        BreakGlass.objects.create(
            id=event_id,
            enterprise_id=subject.enterprise_id,
            actor_id=actor.id,
            actor_name=actor.name,
        )
        _alarm(Action.ALARM_BREAK_GLASS, subject, actor, {"explanation": why.explanation})
    if own == nudges.RECORD:
        _alarm(Action.ALARM_OWN_RECORD, subject, actor, {"field": subject.field})
    if use.crosses_soft_cap:
        _alarm(Action.ALARM_REVEAL_CAP, subject, actor, {"cap": settings.REVEALS_SOFT_CAP})
    if use.becomes_unusual:
        _alarm(Action.ALARM_UNUSUAL_REVEALS, subject, actor, {"usual": caps.usual(use.days_before)})


def _event(action: Action, subject: Subject, actor: Actor, details: dict[str, Any]) -> Any:
    return trail.record(
        action,
        actor=actor,
        enterprise_id=subject.enterprise_id,
        target=subject.target,
        request_id=subject.entry_id,
        details=details,
    )


def _alarm(action: Action, subject: Subject, actor: Actor, details: dict[str, Any]) -> None:
    target = Target("user", actor.id, actor.name)
    trail.record(action, actor=actor, enterprise_id=subject.enterprise_id, target=target, details=details)
