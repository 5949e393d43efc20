"""Declaring a restored database takes a second person: the command asks, and declares once somebody approved.

That somebody did is read from the event of it and not from the request's row alone, which whoever writes to the
database could make say so: the event must be what waits for its seal, and is sealed together with the declaration.

The approval itself changes nothing: the head and the signing key are out of reach of the process that people approve
in. It is bound to the head that is given up and to what the database has, so it serves one declaration.
"""

import uuid
from typing import Any

from django.db import transaction

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import request
from audit.models import ApprovalRequest, AuditEvent, Checkpoint, SealQueueEntry
from audit.seals import rows
from audit.seals.declaration import Restore
from audit.trail import SYSTEM, Actor, Target
from audit.vocabulary import Action, ApprovedAct
from portal.database_roles import OWNER
from portal.roles import Permission


class NeedsApproval(Exception):
    """A declaration waits for a second person."""

    def __init__(self, waits_for: ApprovalRequest) -> None:
        super().__init__(str(self.__doc__))
        self.waits_for = waits_for


def approved(restore: Restore, *, origin: str, actor: Actor) -> uuid.UUID:
    """The guard of `declare_restore`: the event of the approval. Raises NeedsApproval, with the request that waits."""
    parameters = {
        "origin": origin,
        "abandoned": restore.abandoned,
        "found": restore.found,
        "reason": restore.reason,
    }
    granted = ApprovalRequest.objects.filter(
        act=ApprovedAct.DECLARE_RESTORE, state=ApprovalRequest.State.APPROVED, parameters=parameters
    )
    for asked in granted:
        event_id = event_of(asked)
        if event_id is not None:
            return event_id
        _alarm(asked)
    raise NeedsApproval(request(ApprovedAct.DECLARE_RESTORE, parameters, reason=restore.reason, actor=actor))


def event_of(asked: ApprovalRequest) -> uuid.UUID | None:
    """The event that this request was approved, while it waits for its seal; None where there is none that holds.

    Nothing is sealed before the declaration, so an event that is sealed already is older than the restore.
    """
    events = AuditEvent.objects.using(OWNER).filter(
        action=Action.APPROVAL_APPROVED, target_type="approval", target_id=str(asked.pk),
        actor_id=asked.decided_by_id, details__digest=bytes(asked.digest).hex(),
    )  # fmt: skip
    for event_id in events.exclude(actor_id=asked.requester_id).values_list("pk", flat=True):
        waits = SealQueueEntry.objects.using(OWNER).filter(kind=rows.Kind.EVENT, entry_id=event_id).first()
        row = rows.read(rows.Kind.EVENT, [event_id]).get(event_id)
        if row is not None and waits is not None and row.is_what_was_written(bytes(waits.leaf_hash)):
            return event_id
    return None


def _alarm(asked: ApprovalRequest) -> None:
    what = "its row says that it was approved, and no event does"
    target = Target("approval", str(asked.pk), asked.target_name)
    trail.record(
        Action.ALARM_TAMPERING, actor=SYSTEM, enterprise_id=None, target=target, details={"what": what}
    )


def register() -> None:
    """Called once, when the app starts."""
    acts.register(
        Executor(
            ApprovedAct.DECLARE_RESTORE, Permission.VIEW_EVENTS, Permission.VIEW_EVENTS, _plan, _carry_out
        )
    )


@transaction.atomic
def _plan(parameters: dict[str, Any]) -> Plan:
    found, abandoned = parameters["found"], parameters["abandoned"]
    newest = Checkpoint.objects.order_by("-number").first()
    if (newest.number if newest else None) != (found["number"] if found else None):
        raise CannotBeDone("the database has another newest checkpoint now")
    size, sealed = _size(found), _size(abandoned)
    return Plan(
        enterprise_id=None,
        target=Target("log", parameters["origin"], parameters["origin"]),
        difference=(("newest checkpoint of the log", _said(abandoned), _said(found)),),
        blast_radius=f"{max(sealed - size, 0):,} sealed entries and events are given up: they are not in the database",
        affected=max(sealed - size, 0),
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> None:
    """Nothing here: `manage.py declare_restore` is run again, and finds the approval."""


def _size(checkpoint: dict[str, Any] | None) -> int:
    return int((checkpoint or {}).get("size", 0))


def _said(checkpoint: dict[str, Any] | None) -> str:
    if checkpoint is None:
        return "none"
    if "unreadable" in checkpoint:
        return "one that can't be read"
    return f"number {checkpoint['number']}, {checkpoint['size']:,} leaves, {checkpoint['at']}"
