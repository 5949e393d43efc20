"""The act: a month of one kind leaves the database, but for what is kept, and the trail says so under a seal.

One transaction as the owner: the kept rows are copied to a table of their own, the partition is dropped, that table
takes its place, the event is recorded and sealed. So whoever reads the log finds held copies where the entries were,
and a kill at any moment leaves the month as it was. First every row is compared with its leaf: a drop must not hide
an edit.
"""

import contextlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import OperationalError, connections, transaction
from psycopg import sql
from psycopg.errors import LockNotAvailable

from audit import holds, trail
from audit.models import Checkpoint, LegalHold
from audit.retention import copies, errors, examining, kept, months, orders, policies
from audit.retention.months import Month
from audit.retention.orders import Order
from audit.retention.statement import Statement
from audit.seals.declaration import ALONE
from audit.seals.errors import HeadMoved
from audit.seals.sequencer import Sequencer, leaf_of_event
from audit.trail import Actor, Target
from audit.vocabulary import Action

# Dropping a partition locks the whole log for a moment. Calls queue behind whoever waits for that lock, so it waits
# this long at a time, and so often: a report that reads for minutes makes it give up, not Marketing Cloud.
PATIENCE: Final = "1500ms"
# For locks that no call waits behind.
LONG_PATIENCE: Final = "60s"
TRIES: Final = 6
PAUSE: Final = 0.5


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
    approved = examining.approval_event(order, seals)
    _freeze(cursor, month)
    base = examining.sealed(cursor, month, seals)
    there = examining.examine(cursor, month, base, seals)
    live = list(holds.live().using(seals.using).order_by("pk"))
    copies.choose(cursor, month, live, seals.using)
    left = copies.digest(cursor, month)
    if left[0] >= there:
        raise errors.NothingToDrop(month.name)
    said = Statement(month.kind.value, str(month.first), str(month.before), there - left[0], *left)
    event = _record(month, order, said, live, seals, approved=approved, base=base)
    if said.kept:
        copies.copy(cursor, month)
        copies.keep_proofs(cursor, month, event, base, seals)
    # From here on nothing takes long: no hold is placed, and nothing sealed, until the end.
    _be_patient(cursor, LONG_PATIENCE)
    holds.alone(using=seals.using)
    if set(holds.live().using(seals.using)) - set(live):
        raise errors.Busy
    cursor.execute(ALONE)
    known, newest = examining.whole(seals)
    _replace(cursor, month, is_empty=not said.kept, using=seals.using)
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


def _freeze(cursor: Any, month: Month) -> None:
    """Nobody writes to the month any more; reading it goes on, and so do calls: they write to other partitions."""
    _be_patient(cursor, PATIENCE)
    cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier(month.partition)))


def _be_patient(cursor: Any, limit: str) -> None:
    """How long to wait for a lock from now on, in this transaction."""
    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [limit])


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
        "copy": sql.Identifier(copies.name_of_copy(month)), "first": sql.Literal(str(month.first)),
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
