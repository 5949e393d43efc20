"""What stays of a month: chosen, copied byte for byte into a table that takes the partition's place, and proven."""

import itertools
import uuid
from collections.abc import Sequence
from typing import Any, Final

from psycopg import sql

from audit.models import Checkpoint, HeldCopy, LegalHold
from audit.retention import kept, statement
from audit.retention.examining import KINDS, PAGE
from audit.retention.months import Month
from audit.seals.sequencer import Sequencer

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


def choose(cursor: Any, month: Month, live: Sequence[LegalHold], using: str) -> None:
    """Write down which rows are kept, and for which hold."""
    cursor.execute(KEPT)
    why = [(hold.pk, kept.by_hold(hold, month, using=using)) for hold in live]
    for hold_id, found in [*why, (NO_HOLD, kept.needed(month, using=using))]:
        ids = found.values_list("pk", flat=True).iterator(chunk_size=PAGE)
        while page := list(itertools.islice(ids, PAGE)):
            cursor.execute(KEEP, [page, hold_id])


def digest(cursor: Any, month: Month) -> tuple[int, str]:
    """How many rows are kept, and the SHA-256 over their leaf hashes, by index."""
    cursor.execute(KEPT_LEAVES, [KINDS[month.kind]])
    return statement.digest_of(bytes(leaf) for (leaf,) in cursor)


def copy(cursor: Any, month: Month) -> None:
    """The kept rows in a table like the partition, to be hung in its place: every column as it is stored."""
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum",
        [month.parent],
    )
    columns = sql.SQL(", ").join(sql.Identifier(name) for (name,) in cursor.fetchall())
    named = {
        "copy": sql.Identifier(name_of_copy(month)), "parent": sql.Identifier(month.parent), "columns": columns,
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


def name_of_copy(month: Month) -> str:
    """The table of the copies, until it takes the place of the partition."""
    return f"{month.partition}_kept"


def keep_proofs(cursor: Any, month: Month, event: uuid.UUID, base: Checkpoint, seals: Sequencer) -> None:
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
