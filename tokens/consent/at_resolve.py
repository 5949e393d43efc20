"""Whether an opt-out of the whole enterprise blocks at Resolve. Letting it through takes a second person.

It is on from birth (design, decision 9). Off, opt-outs are recorded and written back to Marketing Cloud, but bind here
no longer: that is for an officer to agree to, since it is officers who answer for opt-outs.
"""

from typing import Any

from django.db import transaction
from django.db.models import Count

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.trail import Actor, Target
from audit.vocabulary import Action, ApprovedAct
from tokens.models import Enterprise, Suppression


def ask_to_let_through(enterprise: Enterprise, *, reason: str, actor: Actor) -> Outcome:
    """Have opt-outs of an enterprise recorded only; a sandbox's at once. Raises ApprovalError."""
    return perform_or_request(
        ApprovedAct.LET_OPT_OUTS_THROUGH, {"enterprise": enterprise.pk}, reason=reason, actor=actor
    )


@transaction.atomic
def block(enterprise: Enterprise, *, actor: Actor) -> Enterprise:
    """Have them block again, which one person may: it takes nothing from anybody."""
    return _set(enterprise.pk, blocks=True, actor=actor)


def register() -> None:
    """Called once, when the app starts."""
    acts.register(
        Executor(
            ApprovedAct.LET_OPT_OUTS_THROUGH, "enterprises.manage", "unsubscribes.view", _plan, _carry_out
        )
    )


def _plan(parameters: dict[str, Any]) -> Plan:
    enterprise = Enterprise.objects.select_for_update().get(pk=parameters["enterprise"])
    if not enterprise.optout_blocks_resolve:
        raise CannotBeDone("opt-outs do not block at Resolve already")
    # Each is kept under every live index version.
    by_version = Suppression.objects.filter(enterprise=enterprise).values("index_version")
    opted_out = max(by_version.annotate(held=Count("pk")).values_list("held", flat=True), default=0)
    return Plan(
        enterprise_id=enterprise.pk,
        target=Target("enterprise", str(enterprise.pk), enterprise.name),
        difference=(("opt-outs of the whole enterprise", "block at Resolve", "are recorded only"),),
        blast_radius=f"{opted_out:,} addresses and numbers that opted out would be resolved again, and get what is "
        "sent before Marketing Cloud knows of their opt-out.",
        affected=opted_out,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> Enterprise:
    return _set(parameters["enterprise"], blocks=False, actor=actor)


def _set(enterprise_id: int, *, blocks: bool, actor: Actor) -> Enterprise:
    enterprise = Enterprise.objects.select_for_update().get(pk=enterprise_id)
    before = enterprise.optout_blocks_resolve
    if before != blocks:
        enterprise.optout_blocks_resolve = blocks
        enterprise.save(update_fields=["optout_blocks_resolve"])
        trail.record(
            Action.ENTERPRISE_CHANGED,
            actor=actor,
            enterprise_id=enterprise.pk,
            target=Target("enterprise", str(enterprise.pk), enterprise.name),
            details={"optout_blocks_resolve": [before, blocks]},
        )
    return enterprise
