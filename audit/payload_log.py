"""The payload log: one entry for each exchange with Marketing Cloud (decision 6).

`record` writes the entry and its place in the seal queue in one statement, inside the caller's transaction: no
log, no answer. It takes bodies from which the caller has cut every clear value, and never sees a key.
"""

import datetime
import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from audit import headers
from audit.models import Api, Direction, Outcome, SealQueueEntry


@dataclass(slots=True, kw_only=True)
class Exchange:
    """What is known of one exchange. Bodies are compressed skeletons, residue is an envelope of the caller's."""

    id: uuid.UUID
    at: datetime.datetime
    direction: Direction
    api: Api
    status: int
    outcome: Outcome
    enterprise_id: int | None = None
    client_id: str = ""
    client_name: str = ""
    remote_address: str | None = None
    error: str = ""
    items_asked: int = 0
    items_answered: int = 0
    duration_us: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    user_agent: str = ""
    anomalies: list[tuple[int, str]] = field(default_factory=list)
    request_skeleton: bytes | None = None
    response_skeleton: bytes | None = None
    residue: bytes | None = None
    digest_key: int | None = None
    request_digest: bytes | None = None
    response_digest: bytes | None = None
    links: list[int] = field(default_factory=list)
    blind_indexes: list[bytes] = field(default_factory=list)


# One round trip: the entry, and its leaf for the sequencer. Both live or neither.
RECORD = """
WITH entry AS (
    INSERT INTO audit_payloadentry (
        id, at, enterprise_id, direction, api, client_id, client_name, remote_address, status, outcome, error,
        items_asked, items_answered, duration_us, request_bytes, response_bytes, user_agent, anomalies,
        request_skeleton, response_skeleton, residue, digest_key, request_digest, response_digest,
        links, blind_indexes, header, leaf_hash)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s::inet, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
            %s, %s, %s, %s, %s, %s, %s::bigint[], %s::bytea[], %s, %s)
)
INSERT INTO audit_sealqueueentry (kind, entry_id, leaf_hash) VALUES (%s, %s, %s)
"""


def record(exchange: Exchange) -> None:
    """Write `exchange` to the log and the seal queue. Raises django.db.Error when it can't: then nothing was said."""
    header = header_of(exchange)
    leaf = headers.leaf_hash(header)
    e = exchange
    links = "{" + ",".join(map(str, e.links)) + "}"  # psycopg takes ten times as long for a list of 500
    values: list[Any] = [
        e.id, e.at, e.enterprise_id, e.direction.value, e.api.value, e.client_id, e.client_name, e.remote_address,
        e.status, e.outcome.value, e.error, e.items_asked, e.items_answered, e.duration_us, e.request_bytes,
        e.response_bytes, e.user_agent, Jsonb(e.anomalies), e.request_skeleton, e.response_skeleton, e.residue,
        e.digest_key, e.request_digest, e.response_digest, links, e.blind_indexes, header, leaf,
        SealQueueEntry.Kind.PAYLOAD.value, e.id, leaf,
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(RECORD, values)


def header_of(exchange: Exchange) -> bytes:
    """The canonical header of an entry, version 1. docs/payload-log.md lists its keys."""
    e = exchange
    return headers.canonical(
        "payload",
        {
            "id": e.id,
            "at": e.at,
            "enterprise": e.enterprise_id,
            "direction": e.direction.value,
            "api": e.api.value,
            "client": e.client_id,
            "client_name": e.client_name,
            "address": e.remote_address,
            "status": e.status,
            "outcome": e.outcome.value,
            "error": e.error,
            "asked": e.items_asked,
            "answered": e.items_answered,
            "duration_us": e.duration_us,
            "request_bytes": e.request_bytes,
            "response_bytes": e.response_bytes,
            "user_agent": e.user_agent,
            "anomalies": e.anomalies,
            "request_sha256": headers.body_hash(e.request_skeleton),
            "response_sha256": headers.body_hash(e.response_skeleton),
            "residue_sha256": headers.body_hash(e.residue),
            "digest_key": e.digest_key,
            "request_digest": e.request_digest,
            "response_digest": e.response_digest,
            "links_sha256": hashlib.sha256(",".join(map(str, e.links)).encode()).hexdigest(),
            "blind_indexes_sha256": hashlib.sha256(b"".join(e.blind_indexes)).hexdigest(),
        },
    )
