"""Months of long ago in an installation with people, for `own_database`."""

import datetime
import uuid
from typing import Any

from audit.approvals import requests
from audit.models import ApprovalRequest
from audit.retention import orders
from audit.retention.months import Month
from audit.trail import Actor
from portal import sealing
from portal.models import User
from tests.audit.retention import cast
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
