"""Entries and events as their rows stand now, and the header that these columns make.

What a row was when it was written says its sealed leaf; what it is says `facts`. Bodies are read and hashed here, not
by the database, which is whom we ask about.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import DataError, connections
from psycopg.pq import Format

from audit import headers
from audit.models import SealQueueEntry

Kind = SealQueueEntry.Kind
HEADED: Final = {Kind.PAYLOAD: "payload", Kind.EVENT: "event"}

# Columns under the keys that version 1 of the header gives them (docs/payload-log.md).
PAYLOAD: Final = """
SELECT id, at, enterprise_id AS enterprise, direction, api, client_id AS client, client_name,
    remote_address AS address, status, outcome, error, items_asked AS asked, items_answered AS answered,
    duration_us, request_bytes, response_bytes, user_agent, anomalies, request_skeleton AS request_sha256,
    response_skeleton AS response_sha256, residue AS residue_sha256, digest_key, request_digest, response_digest,
    links AS links_sha256, blind_indexes AS blind_indexes_sha256, header, leaf_hash
FROM audit_payloadentry WHERE id = ANY(%s)
"""
EVENT: Final = """
SELECT id, at, enterprise_id AS enterprise, action, actor_id AS actor, actor_name, remote_address AS address,
    target_type, target_id AS target, target_name, request_id AS request, details, header, leaf_hash
FROM audit_auditevent WHERE id = ANY(%s)
"""
STATEMENTS: Final = {Kind.PAYLOAD: PAYLOAD, Kind.EVENT: EVENT}
HEADERS_ONLY: Final = {
    Kind.PAYLOAD: "SELECT id, header, leaf_hash FROM audit_payloadentry WHERE id = ANY(%s)",
    Kind.EVENT: "SELECT id, header, leaf_hash FROM audit_auditevent WHERE id = ANY(%s)",
}
# What a planted row raises when it is read: a time of `infinity`, a list without a value, JSON too deep to parse.
# It is one bad row, and must not keep those beside it from their seals.
UNREADABLE: Final = (DataError, ValueError, TypeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True)
class Row:
    """A row: the header that its columns make (None when they were not read, empty when they can't be), and its own."""

    made: bytes | None
    header: bytes
    leaf_hash: bytes

    def differences(self) -> list[str]:
        """Which facts of the stored header the columns contradict; `header` when that is unreadable."""
        return [] if self.made in {None, self.header} else differing(self.header, self.made or b"")

    def is_what_was_written(self, leaf: bytes) -> bool:
        """Whether columns, header and the leaf hash beside them all are what `leaf` was made from."""
        return self.leaf_hash == leaf == headers.leaf_hash(self.header) and not self.differences()


def read(
    kind: int, ids: Iterable[uuid.UUID], *, using: str = "owner", bodies: bool = True
) -> dict[uuid.UUID, Row]:
    """The rows of `ids` that are there. Without `bodies` only their headers are read."""
    wanted = list(ids)
    if not wanted or kind not in HEADED:
        return {}
    try:
        return _read(kind, wanted, using=using, bodies=bodies)
    except UNREADABLE:
        if len(wanted) == 1:
            alone = _read(kind, wanted, using=using, bodies=False)
            return {one: Row(b"", row.header, row.leaf_hash) for one, row in alone.items()}
    half = len(wanted) // 2
    first, second = wanted[:half], wanted[half:]
    return read(kind, first, using=using, bodies=bodies) | read(kind, second, using=using, bodies=bodies)


def _read(kind: int, wanted: list[uuid.UUID], *, using: str, bodies: bool) -> dict[uuid.UUID, Row]:
    with connections[using].cursor() as cursor:
        cursor.cursor.format = Format.BINARY
        cursor.execute((STATEMENTS if bodies else HEADERS_ONLY)[Kind(kind)], [wanted])
        names = [column.name for column in cursor.description]
        found = [dict(zip(names, values, strict=True)) for values in cursor]
    return {row["id"]: _row(HEADED[Kind(kind)], row, made=bodies) for row in found}


def _row(kind: str, row: dict[str, Any], *, made: bool) -> Row:
    header, leaf = bytes(row.pop("header")), bytes(row.pop("leaf_hash"))
    return Row(headers.canonical(kind, _facts(row)) if made else None, header, leaf)


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    """The facts of a header: bodies and lists by their hash."""
    if "links_sha256" in row:
        links, blind_indexes = row["links_sha256"], row["blind_indexes_sha256"]
        row["links_sha256"] = hashlib.sha256(",".join(map(str, links)).encode()).hexdigest()
        row["blind_indexes_sha256"] = hashlib.sha256(b"".join(blind_indexes)).hexdigest()
        for body in ("request_sha256", "response_sha256", "residue_sha256"):
            row[body] = headers.body_hash(row[body])
    return row


def differing(written: bytes, made: bytes) -> list[str]:
    """Keys under which two headers disagree. Other spellings of one number or address are no disagreement."""
    try:
        before, now = json.loads(written), json.loads(made)
        if not isinstance(before, dict):
            return ["header"]
        keys = sorted(before.keys() | now.keys())
        return [key for key in keys if not headers.means_the_same(before.get(key), now.get(key), key)]
    except (ValueError, RecursionError):
        return ["header"]
