"""The act: a month of one kind leaves the database, but for what is kept, and the trail says so under a seal.

One transaction as the owner: the kept rows are copied to a table of their own, the partition is dropped, that table
takes its place, the event is recorded and sealed. So whoever reads the log finds held copies where the entries were,
and a kill at any moment leaves the month as it was. First every row is compared with its leaf: a drop must not hide
an edit.
"""

import contextlib
import itertools
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import OperationalError, connections, transaction
from psycopg import sql
from psycopg.errors import LockNotAvailable

from audit import holds, trail
from audit.models import AuditEvent, Checkpoint, HeldCopy, LegalHold, RecordKind, SealedLeaf, SealQueueEntry
from audit.retention import errors, gaps, kept, months, orders, policies, statement
from audit.retention.months import Month
from audit.retention.orders import Order
from audit.retention.statement import Statement
from audit.seals import rows
from audit.seals.declaration import ALONE
from audit.seals.errors import HeadMoved, SealError
from audit.seals.sequencer import Sequencer, check, leaf_of_event
from audit.trail import Actor, Target
from audit.vocabulary import Action

KINDS: Final = {RecordKind.PAYLOAD: SealQueueEntry.Kind.PAYLOAD, RecordKind.EVENT: SealQueueEntry.Kind.EVENT}
PAGE: Final = 1000
# Dropping a partition locks the whole log for a moment. Calls queue behind whoever waits for that lock, so it waits
# this long at a time, and so often: a report that reads for minutes makes it give up, not Marketing Cloud.
PATIENCE: Final = "1500ms"
# For locks that no call waits behind.
LONG_PATIENCE: Final = "60s"
TRIES: Final = 6
PAUSE: Final = 0.5

WAITS: Final = (
    "SELECT EXISTS (SELECT FROM audit_sealqueueentry WHERE kind = %s AND entry_id >= %s AND entry_id < %s)"
)
LEAVES: Final = """
SELECT index, entry_id, leaf_hash FROM audit_sealedleaf
WHERE kind = %s AND entry_id > %s AND entry_id < %s ORDER BY entry_id LIMIT %s
"""
KEPT: Final = (
    "CREATE TEMPORARY TABLE retention_kept (id uuid, hold uuid, PRIMARY KEY (id, hold)) ON COMMIT DROP"
)
KEEP: Final = "INSERT INTO retention_kept SELECT unnest(%s::uuid[]), %s ON CONFLICT DO NOTHING"
KEPT_LEAVES: Final = """
SELECT leaf.leaf_hash FROM audit_sealedleaf leaf
WHERE leaf.kind = %s AND leaf.entry_id IN (SELECT id FROM retention_kept) ORDER BY leaf.index
"""
KEPT_ROWS: Final = """
SELECT leaf.index, leaf.entry_id, entry.enterprise_id,
    ARRAY(SELECT hold FROM retention_kept why WHERE why.id = entry.id AND why.hold <> %s ORDER BY hold)
FROM audit_sealedleaf leaf JOIN {table} entry ON entry.id = leaf.entry_id
WHERE leaf.kind = %s AND leaf.entry_id IN (SELECT id FROM retention_kept) AND leaf.index > %s
ORDER BY leaf.index LIMIT %s
"""
NO_HOLD: Final = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What came of it."""

    month: Month
    event: uuid.UUID
    rows: int
    kept: int


def drop(month: Month, order: Order, *, sequencer: Sequencer) -> Dropped:
    """Drop a month that the policy and an open order allow. Raises RetentionError, and then nothing was done."""
    using = sequencer.using
    try:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            done, known, note = _drop(cursor, month, order, sequencer)
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise errors.Busy from None
        raise
    # Should the sequencer of another process have gone on from here, the head is newer already.
    with contextlib.suppress(HeadMoved):
        sequencer.head.advance(known, note)
    return done


def _drop(cursor: Any, month: Month, order: Order, seals: Sequencer) -> tuple[Dropped, str | None, str]:
    _allowed(month, order, seals.using)
    approved = _approval_event(order, seals)
    _freeze(cursor, month)
    base = _sealed(cursor, month, seals)
    there = _examine(cursor, month, base, seals)
    live = list(holds.live().using(seals.using).order_by("pk"))
    _choose(cursor, month, live, seals.using)
    left = _digest_of_kept(cursor, month)
    if left[0] >= there:
        raise errors.NothingToDrop(month.name)
    if left[0]:
        _copy(cursor, month)
    # From here on nothing takes long: no hold is placed, and nothing sealed, until the end.
    _be_patient(cursor, LONG_PATIENCE)
    holds.alone(using=seals.using)
    if set(holds.live().using(seals.using)) - set(live):
        raise errors.Busy
    cursor.execute(ALONE)
    known, newest = _whole(seals)
    said = Statement(month.kind.value, str(month.first), str(month.before), there - left[0], *left)
    event = _record(month, order, said, live, seals, approved=approved, base=base)
    _keep_proofs(cursor, month, event, base, seals)
    _replace(cursor, month, is_empty=not left[0], using=seals.using)
    note = seals.seal(cursor, [leaf_of_event(cursor, event)], newest)
    return Dropped(month, event, said.rows, said.kept), known, note


# -- may it be dropped ----------------------------------------------------------------------------------------
def _allowed(month: Month, order: Order, using: str) -> None:
    if month not in policies.due(month.kind, today=months.today(), using=using):
        raise errors.NotDue(month.name)
    # Asked again, since an order may have been read a while ago.
    now_open = [one for one in orders.open_orders(using=using) if one.approval.pk == order.approval.pk]
    if not any(month in one.months for one in now_open):
        raise errors.NotApproved(month.name)


def _approval_event(order: Order, seals: Sequencer) -> uuid.UUID:
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


def _freeze(cursor: Any, month: Month) -> None:
    """Nobody writes to the month any more; reading it goes on, and so do calls: they write to other partitions."""
    _be_patient(cursor, PATIENCE)
    cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier(month.partition)))


def _be_patient(cursor: Any, limit: str) -> None:
    """How long to wait for a lock from now on, in this transaction."""
    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [limit])


def _whole(seals: Sequencer) -> tuple[str | None, Checkpoint]:
    """The head and the newest checkpoint of a log that contradicts neither. Raises NotSealed."""
    known, newest = seals.head.read(), seals.tree.newest()
    try:
        check(known, newest, seals.key, seals.tree)
    except SealError as stopped:
        raise errors.NotSealed(str(stopped)) from None
    if newest is None:
        raise errors.NotSealed
    return known, newest


def _sealed(cursor: Any, month: Month, seals: Sequencer) -> Checkpoint:
    """The checkpoint under which every row of the month stands. Raises NotSealed."""
    _, newest = _whole(seals)
    cursor.execute(WAITS, [KINDS[month.kind], month.first, month.before])
    if cursor.fetchone()[0]:
        raise errors.NotSealed(month.name)
    return newest


def _examine(cursor: Any, month: Month, base: Checkpoint, seals: Sequencer) -> int:
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


# -- what is kept ---------------------------------------------------------------------------------------------
def _choose(cursor: Any, month: Month, live: Sequence[LegalHold], using: str) -> None:
    """Write down which rows are kept, and for which hold."""
    cursor.execute(KEPT)
    why = [(hold.pk, kept.by_hold(hold, month, using=using)) for hold in live]
    for hold_id, found in [*why, (NO_HOLD, kept.needed(month, using=using))]:
        ids = found.values_list("pk", flat=True).iterator(chunk_size=PAGE)
        while page := list(itertools.islice(ids, PAGE)):
            cursor.execute(KEEP, [page, hold_id])


def _digest_of_kept(cursor: Any, month: Month) -> tuple[int, str]:
    cursor.execute(KEPT_LEAVES, [KINDS[month.kind]])
    return statement.digest_of(bytes(leaf) for (leaf,) in cursor)


def _copy(cursor: Any, month: Month) -> None:
    """The kept rows in a table like the partition, to be hung in its place: every column as it is stored."""
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum",
        [month.parent],
    )
    columns = sql.SQL(", ").join(sql.Identifier(name) for (name,) in cursor.fetchall())
    named = {
        "copy": sql.Identifier(_copy_of(month)), "parent": sql.Identifier(month.parent), "columns": columns,
        "partition": sql.Identifier(month.partition), "first": sql.Literal(str(month.first)),
        "before": sql.Literal(str(month.before)),
    }  # fmt: skip
    for statement_of in (
        "CREATE TABLE {copy} (LIKE {parent} INCLUDING ALL)",
        "INSERT INTO {copy} ({columns}) SELECT {columns} FROM {partition} WHERE id IN (SELECT id FROM retention_kept)",
        # With this PostgreSQL need not read it again while the log is locked.
        "ALTER TABLE {copy} ADD CONSTRAINT of_this_month CHECK (id >= {first} AND id < {before})",
    ):
        cursor.execute(sql.SQL(statement_of).format(**named))


def _copy_of(month: Month) -> str:
    return f"{month.partition}_kept"


def _keep_proofs(cursor: Any, month: Month, event: uuid.UUID, base: Checkpoint, seals: Sequencer) -> None:
    """For each kept row the proof of its leaf under a checkpoint that is there, and the holds that kept it."""
    read = KEPT_ROWS.format(table=month.partition)
    last = -1
    while True:
        cursor.execute(read, [NO_HOLD, KINDS[month.kind], last, PAGE])
        page = cursor.fetchall()
        proofs = seals.tree.inclusions([row[0] for row in page], base.size)
        HeldCopy.objects.using(seals.using).bulk_create(
            HeldCopy(
                act=event, kind=month.kind, entry_id=entry_id, enterprise_id=enterprise, holds=why, index=index,
                checkpoint=base.number, proof=b"".join(proofs[index]),
            )
            for index, entry_id, enterprise, why in page
        )  # fmt: skip
        if len(page) < PAGE:
            return
        last = page[-1][0]


# -- the act itself -------------------------------------------------------------------------------------------
def _record(
    month: Month,
    order: Order,
    said: Statement,
    live: Sequence[LegalHold],
    seals: Sequencer,
    *,
    approved: uuid.UUID,
    base: Checkpoint,
) -> uuid.UUID:
    approval = order.approval
    policy = policies.in_force(month.kind, using=seals.using)
    return trail.record(
        Action.PARTITION_DROPPED,
        actor=Actor(approval.requester_id, approval.requester_name),
        enterprise_id=None,
        target=Target("month", f"{month.kind.value} {month.label}", month.name),
        details=said.signed_with(seals.key)
        | {
            "month": month.label,
            "policy": policies.in_words(policy.months),
            "approval": str(approval.pk),
            "approved_by": approval.decided_by_name,
            "approved_with": str(approved),
            "holds": sorted({hold.case for hold in live if _keeps(hold, month, seals.using)}),
            "checkpoint": base.number,
        },
        using=seals.using,
    )


def _keeps(hold: LegalHold, month: Month, using: str) -> bool:
    return kept.by_hold(hold, month, using=using).exists()


def _replace(cursor: Any, month: Month, *, is_empty: bool, using: str) -> None:
    """Drop the partition, and hang what is kept in its place."""
    _be_patient(cursor, PATIENCE)
    named = {
        "parent": sql.Identifier(month.parent), "partition": sql.Identifier(month.partition),
        "copy": sql.Identifier(_copy_of(month)), "first": sql.Literal(str(month.first)),
        "before": sql.Literal(str(month.before)),
    }  # fmt: skip
    _dropped_patiently(cursor, sql.SQL("DROP TABLE {partition}").format(**named), using)
    if is_empty:
        return
    for step in (
        "ALTER TABLE {copy} RENAME TO {partition}",
        "ALTER TABLE {parent} ATTACH PARTITION {partition} FOR VALUES FROM ({first}) TO ({before})",
        "ALTER TABLE {partition} DROP CONSTRAINT of_this_month",
    ):
        cursor.execute(sql.SQL(step).format(**named))


def _dropped_patiently(cursor: Any, drop_table: sql.Composed, using: str) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            with transaction.atomic(using=using):
                cursor.execute(drop_table)
            return
        except OperationalError as error:
            if attempt == TRIES or not isinstance(error.__cause__, LockNotAvailable):
                raise
        time.sleep(PAUSE)
