"""The receipt of an erasure: what was done, what was verified gone, what lives until a named date. No clear value."""

import datetime
from typing import Any

from audit.models import ApprovalRequest
from tokens.erasure.asking import STAYS
from tokens.models import ContactDelete, Erasure


def facts(erasure: Erasure) -> dict[str, Any]:
    """The receipt as JSON; before the end it says how far it is."""
    approved = ApprovalRequest.objects.filter(pk=erasure.approval).first() if erasure.approval else None
    return {
        "receipt": "erasure",
        "version": 1,
        "id": str(erasure.pk),
        "enterprise": erasure.enterprise.name,
        "eid": erasure.enterprise.eid,
        "case": erasure.case,
        "token": erasure.mapping.token,
        "state": erasure.state,
        "requested_by": erasure.requested_by_name,
        "approved_by": approved.decided_by_name if approved else "nobody: a sandbox",
        "approval": str(erasure.approval) if erasure.approval else None,
        "steps": [{"step": step, "at": _moment(at)} for step, at in steps(erasure)],
        "contacts": len(erasure.contacts),
        "kept_for_others": len(erasure.shared),
        "marketing_cloud": [_unit(one) for one in erasure.deletes.order_by("pk")],
        "destroyed": erasure.destroyed,
        "found_again": erasure.verified if erasure.state == Erasure.State.DONE else None,
        "stays": STAYS,
        "lives_until": erasure.lives_until,
        "left_to_customer": erasure.left_to_customer,
        "replayed_at": _moment(erasure.replayed_at),
    }


def steps(erasure: Erasure) -> list[tuple[str, datetime.datetime | None]]:
    """What has to be done, in its order, with the time when it was."""
    return [
        ("approved, and blocked at Resolve", erasure.blocked_at),
        ("deleted in Marketing Cloud", erasure.deleted_at),
        ("known to the erasure ledger", erasure.recorded_at),
        ("destroyed here", erasure.destroyed_at),
        ("looked for again, and not found", erasure.done_at),
    ]


def _unit(one: ContactDelete) -> dict[str, Any]:
    return {
        "mid": one.mid,
        "state": one.state,
        "proof": one.proof or None,
        "shows": one.get_proof_display() if one.proof else None,
        "at": _moment(one.deleted_at),
        "evidence": one.evidence or None,
        "said_by": one.said_by_name or None,
    }


def _moment(moment: datetime.datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
