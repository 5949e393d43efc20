"""Asking to drop months, and what was approved: the maintenance process carries it out (audit/retention/dropping.py).

The process that people approve in can't drop anything: it has neither the right nor the key that signs the act. So an
approval changes nothing by itself; it is an order, open for a day, for exactly its months.
"""

import datetime
from dataclasses import dataclass
from typing import Any, Final

from django.utils import timezone

from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.models import ApprovalRequest, RecordKind
from audit.retention import gaps, kept, months, policies
from audit.retention.months import Month
from audit.trail import Actor, Target
from audit.vocabulary import ApprovedAct

# An approval is for now, not for some day: holds and reasons change.
OPEN_FOR: Final = datetime.timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Order:
    """An approved request, and the months of it that have not been dropped yet."""

    approval: ApprovalRequest
    months: list[Month]

    @property
    def until(self) -> datetime.datetime:
        """When it lapses."""
        assert self.approval.decided_at is not None
        return self.approval.decided_at + OPEN_FOR


def ask(wanted: list[Month], *, reason: str, actor: Actor) -> Outcome:
    """Ask a second person to drop months of one kind. Raises ApprovalError."""
    kind = wanted[0].kind
    asked = {"kind": kind.value, "months": sorted(one.label for one in wanted)}
    return perform_or_request(ApprovedAct.DROP_MONTHS, asked, reason=reason, actor=actor)


def waiting() -> list[ApprovalRequest]:
    """Requests that nobody has decided yet."""
    return list(ApprovalRequest.objects.filter(act=ApprovedAct.DROP_MONTHS, state="pending").order_by("pk"))


def open_orders(*, using: str = "default") -> list[Order]:
    """Approved within a day, with something left to do; the oldest first."""
    approved = ApprovalRequest.objects.using(using).filter(
        act=ApprovedAct.DROP_MONTHS,
        state=ApprovalRequest.State.APPROVED,
        decided_at__gt=timezone.now() - OPEN_FOR,
    )
    done = {(act.approval, act.month) for act in gaps.acts(using=using)} if approved else set()
    orders = [
        Order(one, [month for month in months_of(one) if (str(one.pk), month) not in done])
        for one in approved.order_by("decided_at")
    ]
    return [order for order in orders if order.months]


def months_of(asked: ApprovalRequest) -> list[Month]:
    """The months that a request names."""
    kind = RecordKind(asked.parameters["kind"])
    return [months.of_label(kind, label) for label in asked.parameters["months"]]


# -- the act ------------------------------------------------------------------------------------------------
def _plan(parameters: dict[str, Any]) -> Plan:
    kind = RecordKind(parameters["kind"])
    due = {one.label: one for one in policies.due(kind, today=months.today())}
    unfit = sorted(set(parameters["months"]) - due.keys())
    if unfit or not parameters["months"]:
        raise CannotBeDone(
            f"the policy keeps these months, or they are gone: {', '.join(unfit) or 'none named'}"
        )
    wanted = [due[label] for label in parameters["months"]]
    live = {one: kept.holds_on(one) for one in wanted}
    stay = sum(kept.count(one, live[one]) for one in wanted)
    count = months.count(wanted)
    if count.is_exact and count.rows <= stay:
        raise CannotBeDone("all of it is kept: there is nothing to drop")
    going = months.Count(max(count.rows - stay, 0), count.is_exact)
    return Plan(
        enterprise_id=None,
        target=Target("retention", kind.value, kind.label),
        difference=tuple(_difference(one, live[one]) for one in wanted),
        blast_radius=f"{going.in_words} of the {kind.label} of {months.span_in_words(wanted)} will be gone for good"
        f" ({policies.in_words(policies.in_force(kind).months)} are kept by policy); {stay:,} stay",
        affected=going.rows,
    )


def _difference(month: Month, live: list[Any]) -> tuple[str, str, str]:
    cases = ", ".join(sorted({hold.case for hold in live}))
    return month.name, "kept", f"dropped, but for what these holds keep: {cases}" if cases else "dropped"


def _carry_out(parameters: dict[str, Any], actor: Actor) -> None:
    """Nothing here: the maintenance process finds the approval."""


def register() -> None:
    """Make the act known to approvals."""
    acts.register(Executor(ApprovedAct.DROP_MONTHS, "retention.change", "retention.view", _plan, _carry_out))
