"""The event trail: who did what, recorded by explicit calls in the transaction of the act."""

import datetime
import uuid
from dataclasses import dataclass
from typing import Any

import uuid_utils.compat
from django.db import connections
from django.utils import timezone
from psycopg.types.json import Jsonb

from audit import headers
from audit.models import SealQueueEntry
from audit.vocabulary import Action


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person, an API client, or the system itself. The name is kept as text and outlives the row."""

    id: str
    name: str
    remote_address: str | None = None


SYSTEM = Actor("system", "system")


@dataclass(frozen=True, slots=True)
class Target:
    """What was acted upon: its type, its id, and a name without a clear value."""

    type: str
    id: str
    name: str = ""


# The event and its leaf for the sequencer, in one statement.
RECORD = """
WITH event AS (
    INSERT INTO audit_auditevent (
        id, at, enterprise_id, action, actor_id, actor_name, target_type, target_id, target_name, request_id,
        remote_address, details, header, leaf_hash)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::inet, %s, %s, %s)
)
INSERT INTO audit_sealqueueentry (kind, entry_id, leaf_hash) VALUES (%s, %s, %s)
"""


def record(
    action: Action,
    *,
    actor: Actor,
    enterprise_id: int | None,
    target: Target | None = None,
    request_id: uuid.UUID | None = None,
    details: dict[str, Any] | None = None,
    using: str = "default",
) -> uuid.UUID:
    """Record an act in the caller's transaction; its id is returned. `details` never holds a clear value.

    `using` is the alias of that transaction: `owner` for acts of the maintenance process.
    """
    event_id, at = uuid_utils.compat.uuid7(), timezone.now()
    target, details = target or Target("", ""), details or {}
    header = header_of(event_id, at, action, actor, enterprise_id, target, request_id, details)
    leaf = headers.leaf_hash(header)
    row: list[Any] = [
        event_id, at, enterprise_id, action.value, actor.id, actor.name, target.type, target.id, target.name,
        request_id, actor.remote_address, Jsonb(details), header, leaf,
        SealQueueEntry.Kind.EVENT.value, event_id, leaf,
    ]  # fmt: skip
    with connections[using].cursor() as cursor:
        cursor.execute(RECORD, row)
    return event_id


def header_of(
    event_id: uuid.UUID,
    at: datetime.datetime,
    action: Action,
    actor: Actor,
    enterprise_id: int | None,
    target: Target,
    request_id: uuid.UUID | None,
    details: dict[str, Any],
) -> bytes:
    """The canonical header of an event, version 1. Details are small and stand in it whole."""
    return headers.canonical(
        "event",
        {
            "id": event_id,
            "at": at,
            "enterprise": enterprise_id,
            "action": action.value,
            "actor": actor.id,
            "actor_name": actor.name,
            "address": actor.remote_address,
            "target_type": target.type,
            "target": target.id,
            "target_name": target.name,
            "request": request_id,
            "details": details,
        },
    )
