"""How long the residue of logged bodies can be opened: days that its keys live, by enterprise.

It is a policy of retention, so changing it takes a second person, except in a sandbox (docs/retention.md).
"""

from typing import Any, Final

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.trail import Actor, Target
from audit.vocabulary import Action, ApprovedAct
from tokens.crypto.keyset import DataKey, Purpose
from tokens.models import Enterprise

MOST_DAYS: Final = 3650


def ask_to_change(enterprise: Enterprise, days: int, *, reason: str, actor: Actor) -> Outcome:
    """Keep the residue of an enterprise for so many days; a sandbox at once. Raises ApprovalError."""
    asked = {"enterprise": enterprise.pk, "days": days}
    return perform_or_request(ApprovedAct.CHANGE_RESIDUE, asked, reason=reason, actor=actor)


def _plan(parameters: dict[str, Any]) -> Plan:
    enterprise = Enterprise.objects.select_for_update().get(pk=parameters["enterprise"])
    before, days = enterprise.residue_days, parameters["days"]
    if not 0 <= days <= MOST_DAYS:
        raise CannotBeDone(f"residue lives for 0 to {MOST_DAYS:,} days")
    if days == before:
        raise CannotBeDone(f"it lives for {days} days already")
    keys = DataKey.objects.filter(enterprise=enterprise, purpose=Purpose.RESIDUE, wrapped__isnull=False)
    ending = max(keys.count() - days - 1, 0) if days < before else 0
    said = f"within the hour about {ending:,} keys of days end, and what they sealed can't be read any more"
    return Plan(
        enterprise_id=enterprise.pk,
        target=Target("enterprise", str(enterprise.pk), enterprise.name),
        difference=(("sealed remainders of logged bodies live", f"{before} days", f"{days} days"),),
        blast_radius=said if ending else "no key ends earlier than it would today",
        affected=ending,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> Enterprise:
    enterprise = Enterprise.objects.select_for_update().get(pk=parameters["enterprise"])
    before, enterprise.residue_days = enterprise.residue_days, parameters["days"]
    enterprise.save(update_fields=["residue_days"])
    trail.record(
        Action.RETENTION_CHANGED,
        actor=actor,
        enterprise_id=enterprise.pk,
        target=Target("enterprise", str(enterprise.pk), enterprise.name),
        details={
            "kind": "residue",
            "before": f"{before} days",
            "after": f"{enterprise.residue_days} days",
        },
    )
    return enterprise


def register() -> None:
    """Called once, when the app starts."""
    acts.register(
        Executor(ApprovedAct.CHANGE_RESIDUE, "retention.change", "retention.view", _plan, _carry_out)
    )
