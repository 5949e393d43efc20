"""Asking for an erasure. A second person approves it, and from that moment nothing of the person resolves."""

from collections.abc import Collection
from typing import Any, Final

import uuid_utils.compat

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.free_text import refuse_clear_values
from audit.models import ApprovalRequest
from audit.trail import Actor, Target
from audit.vocabulary import Action, ApprovedAct
from tokens.erasure import held, scope
from tokens.erasure.scope import Scope
from tokens.formats.kinds import Kind
from tokens.models import (
    AttributeSet,
    BusinessUnit,
    ContactDelete,
    ContactMapping,
    Erasure,
    LedgerLine,
    Mapping,
)
from tokens.models.mappings import State

STAYS: Final = (
    "token, blind index, subscriber keys, opt-outs with their evidence, and what the event trail says"
)


def ask(mapping: Mapping, contact_ids: Collection[int], *, case: str, reason: str, actor: Actor) -> Outcome:
    """Ask a second person to erase these contacts of a mapping; in a sandbox it begins at once.

    `contact_ids` are contacts that hold the mapping, all of them unless others share it; none for a mapping that
    nobody holds. Raises ApprovalError, and ClearValueInText for the case.
    """
    refuse_clear_values(case)
    parameters = {"mapping": mapping.pk, "contacts": sorted(contact_ids), "case": case}
    return perform_or_request(ApprovedAct.ERASE_PERSON, parameters, reason=reason, actor=actor)


def holders(mapping: Mapping) -> list[ContactMapping]:
    """The links of a mapping whose contacts can be erased, the primary one first."""
    rows = mapping.links.select_related("contact").filter(contact__erased_at=None, blocked_at=None)
    return list(rows.order_by("-is_primary", "pk"))


def target(mapping: Mapping) -> Target:
    """How events speak of whom an erasure is about: they stand in the person's timeline."""
    return Target("mapping", str(mapping.pk), mapping.token)


def register() -> None:
    """Called once, when the app starts."""
    acts.register(Executor(ApprovedAct.ERASE_PERSON, "people.erase", "people.search", _plan, _carry_out))


# -- the act ----------------------------------------------------------------------------------------------------
def _plan(parameters: dict[str, Any]) -> Plan:
    mapping, found = _found(parameters)
    contacts, mappings = len(found.contacts), len(found.mappings)
    return Plan(
        enterprise_id=mapping.enterprise_id,
        target=target(mapping),
        difference=(*_difference(found), ("case", "", parameters["case"])),
        blast_radius=f"One person of {found.enterprise.name} ({contacts} subscriber keys, {mappings} addresses and"
        " numbers) is not resolved from this moment on, is deleted in Marketing Cloud and then destroyed here, in the"
        " payload log too. It can't be undone.",
        affected=contacts + mappings,
    )


def _difference(found: Scope) -> list[tuple[str, str, str]]:
    sets = AttributeSet.objects.filter(contact__in=found.contact_ids, payload__isnull=False).count()
    return [
        *(
            (f"subscriber key {key}", "in use", "deleted in Marketing Cloud, never used again")
            for key in found.keys
        ),
        *(
            (_shown(one), one.get_state_display(), "destroyed; its token is retired")
            for one in found.mappings
        ),
        *((_shown(one), "held by others too", "stays, for them") for one in found.shared),
        ("versions of their attributes", f"{sets:,}", "0"),
        ("stays", "", STAYS),
    ]


def _carry_out(parameters: dict[str, Any], actor: Actor) -> Erasure:
    mapping, found = _found(parameters)
    scope.block(found)
    approved = ApprovalRequest.objects.filter(
        act=ApprovedAct.ERASE_PERSON, state=ApprovalRequest.State.APPROVED, parameters=parameters
    ).order_by("-pk")
    erasure = Erasure.objects.create(
        id=uuid_utils.compat.uuid7(),
        enterprise=found.enterprise,
        mapping=mapping,
        case=parameters["case"],
        requested_by_id=actor.id,
        requested_by_name=actor.name,
        approval=approved.values_list("pk", flat=True).first(),
        contacts=found.contact_ids,
        mappings=found.mapping_ids,
        shared=[one.pk for one in found.shared],
    )
    ContactDelete.objects.bulk_create(
        ContactDelete(enterprise=found.enterprise, erasure=erasure, mid=mid) for mid in _units(found)
    )
    # From now on the ledger must know of it: deletes may take two weeks, and a backup is restored meanwhile.
    LedgerLine.objects.create(kind=LedgerLine.Kind.ERASURE, subject=erasure.pk)
    record(Action.ERASURE_BEGUN, erasure, actor, keys=len(found.contacts), mappings=len(found.mappings))
    return erasure


def record(action: Action, erasure: Erasure, actor: Actor, **details: Any) -> None:
    """An event of an erasure, upon whom it is about."""
    trail.record(
        action,
        actor=actor,
        enterprise_id=erasure.enterprise_id,
        target=target(erasure.mapping),
        details={"case": erasure.case, "erasure": str(erasure.pk)} | details,
    )


def _units(found: Scope) -> list[str]:
    """The account itself first, then its business units; nowhere without a subscriber key."""
    if not found.contacts:
        return []
    units = (
        BusinessUnit.objects.filter(enterprise=found.enterprise).order_by("pk").values_list("mid", flat=True)
    )
    return list(dict.fromkeys([found.enterprise.eid, *units]))


def _found(parameters: dict[str, Any]) -> tuple[Mapping, Scope]:
    """The mapping and what would be erased, locked. Raises CannotBeDone."""
    mapping = Mapping.objects.select_related("enterprise").filter(pk=parameters["mapping"]).first()
    if mapping is None:
        raise CannotBeDone("there is no such person")
    chosen = set(parameters["contacts"])
    found = scope.of_contacts(mapping, chosen)
    mapping.refresh_from_db(fields=["state"])
    if mapping.state in (State.BLOCKED, State.ERASED):
        raise CannotBeDone(f"this value is {mapping.get_state_display()} already")
    free = {link.contact_id for link in holders(mapping)}
    if not chosen <= free or (free and not chosen):
        raise CannotBeDone("choose contacts that hold this address or number and are not erased yet")
    if not found.contacts and not found.mappings:
        raise CannotBeDone("there is nothing to erase")
    held.refuse_if_held(found)
    return mapping, found


def _shown(mapping: Mapping) -> str:
    """Without its mask: what stands in a request stays, and the page of the person shows it while it is there."""
    return f"{Kind(mapping.kind).label}, token {mapping.token}"
