"""Where no connection can delete: an officer deletes the contacts in Marketing Cloud by hand, and another confirms it.

In a sandbox one word is enough, as everywhere.
"""

from typing import Any

from django.utils import timezone

from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.free_text import refuse_clear_values
from audit.trail import Actor
from audit.vocabulary import Action, ApprovedAct
from tokens.erasure import asking, work
from tokens.models import ContactDelete

State, Proof = ContactDelete.State, ContactDelete.Proof


def confirm(delete: ContactDelete, *, evidence: str, reason: str, actor: Actor) -> Outcome:
    """Say that the contacts were deleted in this unit by hand; `evidence` is what shows it, without a clear value.

    Raises ApprovalError and ClearValueInText.
    """
    refuse_clear_values(evidence)
    parameters = {"delete": delete.pk, "evidence": evidence.strip()[:500]}
    return perform_or_request(ApprovedAct.CONFIRM_DELETE, parameters, reason=reason, actor=actor)


def register() -> None:
    """Called once, when the app starts."""
    acts.register(Executor(ApprovedAct.CONFIRM_DELETE, "people.erase", "people.search", _plan, _carry_out))


def _plan(parameters: dict[str, Any]) -> Plan:
    one = _found(parameters)
    return Plan(
        enterprise_id=one.enterprise_id,
        target=asking.target(one.erasure.mapping),
        difference=(
            (f"contact delete in business unit {one.mid}, case {one.erasure.case}", one.state, State.DELETED),
            ("proof", "", Proof.SECOND_PERSON),
            ("evidence", "", parameters["evidence"]),
        ),
        blast_radius="The contacts of this erasure count as deleted in this unit of Marketing Cloud. You looked there"
        " and none of their subscriber keys is found. What is kept here is destroyed once every unit is done.",
        affected=len(one.erasure.contacts),
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> ContactDelete:
    one = _found(parameters)
    one.state, one.proof, one.deleted_at = State.DELETED, Proof.SECOND_PERSON, timezone.now()
    one.evidence, one.said_by_id, one.said_by_name = parameters["evidence"], actor.id, actor.name
    one.save(update_fields=["state", "proof", "deleted_at", "evidence", "said_by_id", "said_by_name"])
    asking.record(Action.ERASURE_CONFIRMED, one.erasure, actor, unit=one.mid, evidence=one.evidence)
    work.hasten(one.erasure_id)
    return one


def _found(parameters: dict[str, Any]) -> ContactDelete:
    rows = ContactDelete.objects.select_for_update(of=("self",)).select_related("erasure__mapping")
    one = rows.filter(pk=parameters["delete"]).first()
    if one is None:
        raise CannotBeDone("there is no such contact delete")
    if one.state == State.DELETED:
        raise CannotBeDone("these contacts were deleted there already")
    if not parameters["evidence"]:
        raise CannotBeDone("say what shows that they were deleted: a screenshot's file, a ticket")
    return one
