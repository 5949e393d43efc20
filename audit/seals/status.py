"""What the portal tells of seals: where an entry is sealed, and whether sealing goes on. Reads as the app."""

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db import connection
from django.utils import timezone

from audit.partitions import first_id_at

LATE: Final = datetime.timedelta(minutes=5)

# The first checkpoint over a leaf is when it was sealed.
SEALED: Final = """
SELECT leaf.entry_id, leaf.index, first.number, first.at FROM audit_sealedleaf leaf CROSS JOIN LATERAL (
    SELECT number, at FROM audit_checkpoint WHERE size > leaf.index ORDER BY size, number LIMIT 1
) first WHERE leaf.kind = %s AND leaf.entry_id = ANY(%s)
"""
# Without any checkpoint, an event that old should have had one. Both sides are the end of an index.
NEWEST: Final = """
SELECT (SELECT at FROM audit_checkpoint ORDER BY number DESC LIMIT 1),
    EXISTS (SELECT FROM audit_auditevent WHERE id < %s)
"""


@dataclass(frozen=True, slots=True)
class Seal:
    """Where an entry stands in the tree, and since when a signature covers it."""

    index: int
    checkpoint: int
    at: datetime.datetime


def seals_of(kind: int, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Seal]:
    """The seals of entries of one kind, by id; one that waits is missing."""
    with connection.cursor() as cursor:
        cursor.execute(SEALED, [int(kind), list(ids)])
        return {entry_id: Seal(*where) for entry_id, *where in cursor.fetchall()}


def late_since() -> datetime.datetime | None:
    """When the newest checkpoint is too old, its time, or 1970 when there is none; None when all is well."""
    due = timezone.now() - LATE
    with connection.cursor() as cursor:
        cursor.execute(NEWEST, [first_id_at(due)])
        newest, is_expected = cursor.fetchone()
    if newest is None:
        return datetime.datetime.fromtimestamp(0, datetime.UTC) if is_expected else None
    return newest if newest < due else None


def lateness() -> str:
    """What is wrong with sealing, in words; empty when it goes on."""
    since = late_since()
    if since is None:
        return ""
    if since.year == 1970:
        return "nothing has been sealed yet: is the maintenance process running?"
    return (
        f"the newest checkpoint is of {since:%Y-%m-%d %H:%M} UTC: look at the log of the maintenance process "
        "(docs/evidence.md, when sealing stops)"
    )
