"""How long each kind of record is kept: versions of a policy, of which the newest is in force.

A partition holds a month of every enterprise, so a policy is one of the whole installation, and changing it always
takes a second person. A month is due when that many whole months have passed since its end.
"""

import datetime
from typing import Any, Final

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.models import ApprovalRequest, RecordKind, RetentionPolicy
from audit.retention import months
from audit.retention.months import Month
from audit.trail import Actor, Target
from audit.vocabulary import Action, ApprovedAct

DEFAULTS: Final[dict[RecordKind, int]] = {RecordKind.PAYLOAD: 24, RecordKind.EVENT: 84}
# The trail explains the log, and limits look back on it.
LEAST: Final[dict[RecordKind, int]] = {RecordKind.PAYLOAD: 1, RecordKind.EVENT: 12}
MOST: Final = 600


def in_force(kind: RecordKind, *, using: str = "default") -> RetentionPolicy:
    """The newest version; one that was never saved stands for the default."""
    newest = RetentionPolicy.objects.using(using).filter(kind=kind).order_by("-pk").first()
    return newest or RetentionPolicy(kind=kind, months=DEFAULTS[kind])


def due_before(kind: RecordKind, keep: int | None, today: datetime.date) -> datetime.date | None:
    """Months that begin before this day are past a policy of so many months; None when it keeps for ever."""
    return None if keep is None else months.back(today.replace(day=1), keep)


def due(kind: RecordKind, *, today: datetime.date, using: str = "default") -> list[Month]:
    """The months that are there and past the policy in force, the oldest first."""
    limit = due_before(kind, in_force(kind, using=using).months, today)
    return [] if limit is None else [one for one in months.present(kind, using=using) if one.day < limit]


def in_words(keep: int | None) -> str:
    """A policy as people read it."""
    if keep is None:
        return "for ever"
    return "1 month" if keep == 1 else f"{keep} months"


# -- changing: approved ---------------------------------------------------------------------------------------
def ask_to_change(kind: RecordKind, keep: int | None, *, reason: str, actor: Actor) -> Outcome:
    """Ask a second person to keep a kind for so many months (None: for ever). Raises ApprovalError."""
    asked = {"kind": kind.value, "months": keep}
    return perform_or_request(ApprovedAct.CHANGE_RETENTION, asked, reason=reason, actor=actor)


def _plan(parameters: dict[str, Any]) -> Plan:
    kind, keep = RecordKind(parameters["kind"]), parameters["months"]
    if keep is not None and not LEAST[kind] <= keep <= MOST:
        raise CannotBeDone(f"the {kind.label} is kept for {LEAST[kind]} to {MOST} months, or for ever")
    before = in_force(kind).months
    if before == keep:
        raise CannotBeDone(f"the {kind.label} is kept {in_words(keep)} already")
    radius, affected = _blast_radius(kind, before, keep)
    return Plan(
        enterprise_id=None,
        target=Target("retention", kind.value, kind.label),
        difference=((f"the {kind.label} is kept", in_words(before), in_words(keep)),),
        blast_radius=radius,
        affected=affected,
    )


def _blast_radius(kind: RecordKind, before: int | None, after: int | None) -> tuple[str, int]:
    today = months.today()
    was, will = due_before(kind, before, today), due_before(kind, after, today)
    there = months.present(kind)
    newly = [one for one in there if will and one.day < will and not (was and one.day < was)]
    if newly:
        count = months.count(newly)
        span = months.span_in_words(newly)
        return (
            f"{count.in_words} of {span} could be dropped at once, by an act that is approved too",
            count.rows,
        )
    if will is None or (was is not None and will < was):
        return "nothing is dropped earlier than before; what was dropped stays so", 0
    return "no month becomes due by it today", 0


def _carry_out(parameters: dict[str, Any], actor: Actor) -> RetentionPolicy:
    kind = RecordKind(parameters["kind"])
    before = in_force(kind).months
    approval = ApprovalRequest.objects.filter(
        act=ApprovedAct.CHANGE_RETENTION, state=ApprovalRequest.State.APPROVED, parameters=parameters
    ).latest("decided_at")
    policy = RetentionPolicy.objects.create(
        kind=kind,
        months=parameters["months"],
        approval_id=approval.pk,
        set_by_id=actor.id,
        set_by_name=actor.name,
    )
    trail.record(
        Action.RETENTION_CHANGED,
        actor=actor,
        enterprise_id=None,
        target=Target("retention", kind.value, kind.label),
        details={
            "before": in_words(before),
            "after": in_words(policy.months),
            "approval": str(approval.pk),
            "approved_by": approval.decided_by_name,
        },
    )
    return policy


def register() -> None:
    """Make the act known to approvals."""
    acts.register(
        Executor(ApprovedAct.CHANGE_RETENTION, "retention.change", "retention.view", _plan, _carry_out)
    )
