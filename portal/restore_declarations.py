"""Declaring a restored database takes a second person: the command asks, and declares once somebody approved.

The approval itself changes nothing: the head and the signing key are out of reach of the process that people approve
in. It is bound to the head that is given up and to what the database has, so it serves one declaration.
"""

from typing import Any

from django.db import transaction

from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import request
from audit.models import ApprovalRequest, Checkpoint
from audit.seals.declaration import Restore
from audit.trail import Actor, Target
from audit.vocabulary import ApprovedAct
from portal.roles import Permission


class NeedsApproval(Exception):
    """A declaration waits for a second person."""

    def __init__(self, waits_for: ApprovalRequest) -> None:
        super().__init__(str(self.__doc__))
        self.waits_for = waits_for


def approved(restore: Restore, *, origin: str, actor: Actor) -> None:
    """The guard of `declare_restore`. Raises NeedsApproval, with the request that waits."""
    parameters = {
        "origin": origin,
        "abandoned": restore.abandoned,
        "found": restore.found,
        "reason": restore.reason,
    }
    granted = ApprovalRequest.objects.filter(
        act=ApprovedAct.DECLARE_RESTORE, state=ApprovalRequest.State.APPROVED, parameters=parameters
    )
    if not granted.exists():
        raise NeedsApproval(
            request(ApprovedAct.DECLARE_RESTORE, parameters, reason=restore.reason, actor=actor)
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
