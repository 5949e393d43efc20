"""The event trail: who did what, recorded by explicit calls in the transaction of the act."""

import datetime
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import uuid_utils.compat
from django.db import connections
from django.utils import timezone

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


# The events and their leaves for the sequencer, in one statement.
RECORD = """
WITH event AS (
    INSERT INTO audit_auditevent (
        id, at, enterprise_id, action, actor_id, actor_name, target_type, target_id, target_name, request_id,
        remote_address, details, header, leaf_hash)
    SELECT new.id, %(at)s, %(enterprise)s::bigint, %(action)s, %(actor)s, %(actor_name)s, new.target_type,
        new.target_id, new.target_name, %(request)s::uuid, %(address)s::inet, new.details::jsonb, new.header, new.leaf
    FROM unnest(%(ids)b::uuid[], %(types)b::text[], %(targets)b::text[], %(names)b::text[], %(details)b::text[],
                %(headers)b::bytea[], %(leaves)b::bytea[])
         AS new (id, target_type, target_id, target_name, details, header, leaf)
)
INSERT INTO audit_sealqueueentry (kind, entry_id, leaf_hash)
SELECT %(kind)s, new.id, new.leaf FROM unnest(%(ids)b::uuid[], %(leaves)b::bytea[]) AS new (id, leaf)
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
    act = (target or Target("", ""), details or {})
    [event_id] = record_several(
        action, [act], actor=actor, enterprise_id=enterprise_id, request_id=request_id, using=using
    )
    return event_id


def record_several(
    action: Action,
    acts: Sequence[tuple[Target, dict[str, Any]]],
    *,
    actor: Actor,
    enterprise_id: int | None,
    request_id: uuid.UUID | None = None,
    using: str = "default",
) -> list[uuid.UUID]:
    """`record` for each (target, details) of a set, in one statement."""
    at = timezone.now()
    ids = [uuid_utils.compat.uuid7() for _ in acts]
    rows = [
        header_of(event_id, at, action, actor, enterprise_id, target, request_id, details)
        for event_id, (target, details) in zip(ids, acts, strict=True)
    ]
    targets = [target for target, _ in acts]
    parameters: dict[str, Any] = {
        "at": at, "enterprise": enterprise_id, "action": action.value, "actor": actor.id, "actor_name": actor.name,
        "request": request_id, "address": actor.remote_address, "kind": SealQueueEntry.Kind.EVENT.value,
        "ids": ids, "types": [one.type for one in targets], "targets": [one.id for one in targets],
        "names": [one.name for one in targets], "details": [json.dumps(details) for _, details in acts],
        "headers": rows, "leaves": [headers.leaf_hash(row) for row in rows],
    }  # fmt: skip
    with connections[using].cursor() as cursor:
        cursor.execute(RECORD, parameters)
    return ids


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
