"""Months of long ago in an installation with people, for `own_database`."""

import datetime
import uuid
from typing import Any

from audit import holds
from audit.approvals import requests
from audit.models import ApprovalRequest
from audit.retention import orders, policies
from audit.retention.months import Month
from audit.trail import Actor
from portal import retention, sealing
from portal.models import User
from portal.roles import Role
from tests.audit.retention import cast
from tests.portal.desk.cast import somebody
from tests.portal.desk.exchanges import logged
from tokens.models import Enterprise


def logged_in(month: Month, enterprise: Enterprise, **facts: Any) -> uuid.UUID:
    """An entry of that month."""
    entry_id = cast.id_in(month)
    at = datetime.datetime.fromtimestamp((entry_id.int >> 80) / 1000, datetime.UTC)
    return logged(enterprise, id=entry_id, at=at, **facts)


def actor(user: User) -> Actor:
    return Actor(f"user:{user.pk}", user.username)


def approved(asked: ApprovalRequest, by: User) -> ApprovalRequest:
    decided = requests.approve(asked.pk, actor=actor(by))
    assert decided.state == ApprovalRequest.State.APPROVED, decided.failure
    sealing.seal()
    return decided


def ordered(month: Month, asks: User, approves: User) -> ApprovalRequest:
    waiting = orders.ask([month], reason="past the policy", actor=actor(asks)).waits_for
    assert waiting is not None
    return approved(waiting, approves)


def a_scene(enterprise: Enterprise) -> uuid.UUID:
    """Months that are due, held, waiting and dropped, and a policy that was changed; the held copy of a dropped one."""
    asks, approves = (somebody(Role.COMPLIANCE_OFFICER, name=name) for name in ("rosa", "dave"))
    dropped, due, waits, held_whole = (cast.month(ago) for ago in (33, 32, 31, 30))
    held, *_ = [logged_in(dropped, enterprise) for _ in range(3)]
    copies = [held, logged_in(due, enterprise), logged_in(held_whole, enterprise)]
    for month in (due, waits):
        logged_in(month, enterprise)
    for entry_id in copies:
        holds.place(
            enterprise_id=enterprise.pk, scope=holds.Scope.ENTRY, entry_id=entry_id, case="LIT-2026-7", reason="open",
            actor=actor(asks),
        )  # fmt: skip
    changed = policies.ask_to_change(cast.PAYLOAD, 23, reason="the contract", actor=actor(asks)).waits_for
    assert changed is not None
    approved(changed, approves)
    ordered(dropped, asks, approves)
    retention.carry_out()
    orders.ask([waits], reason="past the policy", actor=actor(asks))
    return held
