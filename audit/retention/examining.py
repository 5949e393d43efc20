"""Before a month is dropped: who approved it, and whether it is what was sealed. A drop must not hide an edit."""

import uuid
from collections.abc import Iterator
from typing import Any, Final

from psycopg import sql

from audit.models import AuditEvent, Checkpoint, RecordKind, SealedLeaf, SealQueueEntry
from audit.retention import errors, gaps, statement
from audit.retention.months import Month
from audit.retention.orders import Order
from audit.seals import rows
from audit.seals.errors import SealError
from audit.seals.sequencer import Sequencer, check
from audit.vocabulary import Action

KINDS: Final = {RecordKind.PAYLOAD: SealQueueEntry.Kind.PAYLOAD, RecordKind.EVENT: SealQueueEntry.Kind.EVENT}
PAGE: Final = 1000
WAITS: Final = (
    "SELECT EXISTS (SELECT FROM audit_sealqueueentry WHERE kind = %s AND entry_id >= %s AND entry_id < %s)"
)
LEAVES: Final = """
SELECT index, entry_id, leaf_hash FROM audit_sealedleaf
WHERE kind = %s AND entry_id > %s AND entry_id < %s ORDER BY entry_id LIMIT %s
"""


def approval_event(order: Order, seals: Sequencer) -> uuid.UUID:
    """The sealed event of the approval. A row that says so is not believed: a database user could make it say so."""
    asked = order.approval
    events = AuditEvent.objects.using(seals.using).filter(
        action=Action.APPROVAL_APPROVED, target_type="approval", target_id=str(asked.pk),
        actor_id=asked.decided_by_id, details__digest=bytes(asked.digest).hex(),
    )  # fmt: skip
    if not asked.decided_by_delay:  # alone by declaration: then a day had to pass
        events = events.exclude(actor_id=asked.requester_id)
    for event in events.values_list("pk", flat=True):
        leaf = SealedLeaf.objects.using(seals.using).filter(entry_id=event, kind=rows.Kind.EVENT).first()
        if leaf is None:
            raise errors.Busy("its approval waits for its seal")
        row = rows.read(rows.Kind.EVENT, [event], using=seals.using).get(event)
        if row is not None and row.is_what_was_written(bytes(leaf.leaf_hash)):
            return event
    raise errors.NotApproved("its request says so, and no sealed event does")


def whole(seals: Sequencer) -> tuple[str | None, Checkpoint]:
    """The head and the newest checkpoint of a log that contradicts neither. Raises NotSealed."""
    known, newest = seals.head.read(), seals.tree.newest()
    try:
        check(known, newest, seals.key, seals.tree)
    except SealError as stopped:
        raise errors.NotSealed(str(stopped)) from None
    if newest is None:
        raise errors.NotSealed
    return known, newest


def sealed(cursor: Any, month: Month, seals: Sequencer) -> Checkpoint:
    """The checkpoint under which every row of the month stands. Raises NotSealed."""
    _, newest = whole(seals)
    cursor.execute(WAITS, [KINDS[month.kind], month.first, month.before])
    if cursor.fetchone()[0]:
        raise errors.NotSealed(month.name)
    return newest


def examine(cursor: Any, month: Month, base: Checkpoint, seals: Sequencer) -> int:
    """How many rows there are, each of which is what its leaf says. Raises NotAsSealed and NotSealed."""
    there = gone = 0
    for page in _leaves(cursor, month):
        if any(index >= base.size for index, _, _ in page):
            raise errors.NotSealed(month.name)
        found = rows.read(KINDS[month.kind], [entry_id for _, entry_id, _ in page], using=seals.using)
        for index, entry_id, leaf in page:
            row = found.get(entry_id)
            if row is not None and not row.is_what_was_written(leaf):
                raise errors.NotAsSealed(f"{month.kind} {entry_id}, leaf #{index}")
        there, gone = there + len(found), gone + len(page) - len(found)
    if gone != _lawfully_gone(month, seals):
        raise errors.NotAsSealed(f"{gone:,} rows of the {month.name} are gone that no act dropped")
    cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(month.partition)))
    if cursor.fetchone()[0] != there:
        raise errors.NotAsSealed(f"rows of the {month.name} were inserted without a seal")
    return there


def _leaves(cursor: Any, month: Month) -> Iterator[list[tuple[int, uuid.UUID, bytes]]]:
    # Before the smallest id of the month: its own first id can be one of an entry.
    last = uuid.UUID(int=max(month.first.int - 1, 0))
    while True:
        cursor.execute(LEAVES, [KINDS[month.kind], last, month.before, PAGE])
        page = [(index, entry_id, bytes(leaf)) for index, entry_id, leaf in cursor.fetchall()]
        if page:
            yield page
        if len(page) < PAGE:
            return
        last = page[-1][1]


def _lawfully_gone(month: Month, seals: Sequencer) -> int:
    """How many rows earlier acts of this log dropped from the month."""
    earlier = [act for act in gaps.acts(month.kind, using=seals.using) if act.month == month]
    found = rows.read(SealQueueEntry.Kind.EVENT, [act.event for act in earlier], using=seals.using)
    signed = (statement.of_header(row.header, seals.key.verifier) for row in found.values())
    return sum(one.rows for one in signed if one is not None)
