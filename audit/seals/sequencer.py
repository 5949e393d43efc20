"""The one sequencer: turns what waits in the queue into leaves, and signs checkpoints. Runs as the owner.

A batch is one transaction: leaves, checkpoint and the emptied queue live or die together. The head outside is advanced
after the commit. An entry whose columns are not what its leaf says is sealed as it was queued, since that is what was
written, and the difference is an alarm, recorded in the same transaction.
"""

import datetime
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.db import connections, transaction
from django.utils import timezone

from audit import trail
from audit.models import Checkpoint
from audit.seals import rows
from audit.seals.errors import HeadMoved, SealError, SealingStopped
from audit.seals.head import Head
from audit.seals.merkle import CompactRange
from audit.seals.notes import Head as State
from audit.seals.signing import SigningKey
from audit.seals.tree import StoredTree
from audit.trail import SYSTEM, Target
from audit.vocabulary import Action

log = structlog.get_logger(__name__)
BATCH: Final = 1000
# A period without entries is sealed too: who looks can tell a quiet log from one that nobody seals.
QUIET: Final = datetime.timedelta(seconds=60)
# One turn works so long at most, so that the process hears when it is told to end.
LONGEST_TURN: Final = 20.0

ONLY_ONE: Final = "SELECT pg_try_advisory_xact_lock(hashtext('token-portal sequencer'))"
# A checkpoint that the head names must not be lost with the machine.
DURABLE: Final = "SET LOCAL synchronous_commit = on"
WAITING: Final = "SELECT id, kind, entry_id, leaf_hash FROM audit_sealqueueentry ORDER BY id LIMIT %s"
WAITING_FOR: Final = (
    "SELECT id, kind, entry_id, leaf_hash FROM audit_sealqueueentry WHERE entry_id = %s ORDER BY id LIMIT 1"
)
TAKEN: Final = "DELETE FROM audit_sealqueueentry WHERE id = ANY(%s)"
SEALED: Final = """
INSERT INTO audit_sealedleaf (index, kind, entry_id, leaf_hash, nodes)
SELECT * FROM unnest(%s::bigint[], %s::smallint[], %s::uuid[], %s::bytea[], %s::bytea[])
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row of the queue."""

    id: int
    kind: int
    entry_id: uuid.UUID
    leaf_hash: bytes


class Sequencer:
    """Seals with `key`, and keeps the newest checkpoint in `head`."""

    def __init__(self, key: SigningKey, head: Head, *, using: str = "owner") -> None:
        self.key, self.head, self.using = key, head, using
        self.tree = StoredTree(using)
        self._grown = CompactRange()
        self._grown_to: str | None = None  # the note of the checkpoint that `_grown` belongs to
        self._alarmed = ""

    def run(self) -> int:
        """Seal all that waits; the number of leaves is returned. Raises SealError when that cannot go on."""
        sealed, until = 0, time.monotonic() + LONGEST_TURN
        try:
            while True:
                taken = self.turn()
                sealed += taken
                if taken < BATCH or time.monotonic() > until:
                    self._alarmed = ""
                    return sealed
        except HeadMoved:
            return sealed  # another process seals; what it does is checked at the next turn
        except SealError as stopped:
            self._alarm_once(stopped)
            raise

    def turn(self) -> int:
        """Seal one batch, or a quiet minute; the number of queue rows taken is returned."""
        with transaction.atomic(using=self.using), connections[self.using].cursor() as cursor:
            cursor.execute(ONLY_ONE)
            if not cursor.fetchone()[0]:
                return 0
            known, newest = self.head.read(), self.tree.newest()
            self._check(known, newest)
            cursor.execute(DURABLE)
            cursor.execute(WAITING, [BATCH])
            waiting = [Waiting(row[0], row[1], row[2], bytes(row[3])) for row in cursor.fetchall()]
            note = newest.note if newest else None
            if waiting or newest is None or timezone.now() - newest.at >= QUIET:
                note = self.seal(cursor, waiting, newest)
        if note is not None and note != known:
            self.head.advance(known, note)
        return len(waiting)

    def seal(self, cursor: Any, waiting: list[Waiting], newest: Checkpoint | None) -> str:
        """Leaves and a checkpoint of `waiting`, in the caller's transaction; the note is returned."""
        grown = self._range(newest)
        leaves = self._examined(cursor, waiting)
        first, nodes = grown.size, [b"".join(grown.append(leaf.leaf_hash)) for leaf in leaves]
        if leaves:
            cursor.execute(
                SEALED,
                [
                    list(range(first, grown.size)),
                    [leaf.kind for leaf in leaves],
                    [leaf.entry_id for leaf in leaves],
                    [leaf.leaf_hash for leaf in leaves],
                    nodes,
                ],
            )
        if waiting:
            cursor.execute(TAKEN, [[one.id for one in waiting]])
        return self._sign(grown, newest)

    def _sign(self, grown: CompactRange, newest: Checkpoint | None) -> str:
        number = newest.number + 1 if newest else 0
        # A clock that was set back makes no checkpoint that is older than the one before it.
        at = max(timezone.now(), newest.at) if newest else timezone.now()
        state = State(self.key.verifier.name, grown.size, grown.root(), number, at)
        note = self.key.sign(state)
        Checkpoint.objects.using(self.using).create(
            number=number, size=grown.size, root=state.root, at=at, note=note
        )
        self._grown, self._grown_to = grown, note
        return note

    def _examined(self, cursor: Any, waiting: list[Waiting]) -> list[Waiting]:
        """What is to be sealed of `waiting`. What is odd about it is recorded."""
        there = {
            (kind, entry_id): row
            for kind in {one.kind for one in waiting}
            for entry_id, row in rows.read(
                kind, [one.entry_id for one in waiting if one.kind == kind], using=self.using
            ).items()
        }
        cursor.execute(
            "SELECT kind, entry_id FROM audit_sealedleaf WHERE entry_id = ANY(%s)",
            [[one.entry_id for one in waiting]],
        )
        sealed, leaves = set(cursor.fetchall()), []
        for one in waiting:
            place = (one.kind, one.entry_id)
            if place in sealed or len(one.leaf_hash) != 32 or one.kind not in rows.HEADED:
                self._report(one, "it waited twice" if place in sealed else "what waited is no leaf")
                continue
            sealed.add(place)
            leaves.append(one)
            row = there.get(place)
            if row is None:
                self._report(one, "the row is missing")
            elif not row.is_what_was_written(one.leaf_hash):
                self._report(one, "the row is not what was written", row.differences() or ["header"])
        return leaves

    def _report(self, one: Waiting, what: str, fields: list[str] | None = None) -> None:
        kind = rows.HEADED.get(rows.Kind(one.kind), "") if one.kind in rows.HEADED else str(one.kind)
        details = {"kind": kind, "what": what, "fields": fields or [], "queued": one.leaf_hash[:64].hex()}
        target = Target("entry" if kind == "payload" else kind, str(one.entry_id))
        trail.record(
            Action.ALARM_TAMPERING,
            actor=SYSTEM,
            enterprise_id=None,
            target=target,
            details=details,
            using=self.using,
        )
        log.error("tampering", entry=str(one.entry_id), kind=kind, what=what, fields=fields or [])

    def _range(self, newest: Checkpoint | None) -> CompactRange:
        """The tree of the newest checkpoint, to grow: from memory, or from the database once that proves to be it."""
        if newest is None:
            return CompactRange()
        if self._grown_to == newest.note:
            return self._grown.copy()
        stored = self.tree.compact_range(newest.size)
        if stored.root() != bytes(newest.root):
            raise SealingStopped(
                f"The leaves of the database do not lead to the root of checkpoint {newest.number}."
            )
        return stored

    def _check(self, known: str | None, newest: Checkpoint | None) -> None:
        """Whether the database holds all that was sealed. Raises SealingStopped, which says what is missing."""
        check(known, newest, self.key, self.tree, trusted=self._grown_to)

    def _alarm_once(self, stopped: SealError) -> None:
        """Tell the trail at the first turn that fails, not at each."""
        said = str(stopped)
        log.error("sealing stopped", reason=said)
        if said != self._alarmed:
            self._alarmed = said
            trail.record(
                Action.ALARM_SEALS_STOPPED,
                actor=SYSTEM,
                enterprise_id=None,
                details={"reason": said},
                using=self.using,
            )


def check(
    known: str | None,
    newest: Checkpoint | None,
    key: SigningKey,
    tree: StoredTree,
    *,
    trusted: str | None = None,
) -> None:
    """Whether the database holds what the head `known` names. `trusted` is a note that was checked before."""
    leaves = tree.leaves()
    if newest is None:
        if known is not None:
            raise SealingStopped(
                "The head outside the database names a checkpoint, and the database has none."
            )
        if leaves:
            raise SealingStopped(f"The database has {leaves} leaves and no checkpoint.")
        return
    if leaves != newest.size:
        raise SealingStopped(
            f"The newest checkpoint covers {newest.size} leaves, and the database has {leaves}."
        )
    if known is None:
        raise SealingStopped("The head outside the database is gone, and the database has checkpoints.")
    if known == newest.note == trusted:
        return
    said, held = key.verifier.open(newest.note), key.verifier.open(known)
    if (said.size, said.root, said.number) != (newest.size, bytes(newest.root), newest.number):
        raise SealingStopped(f"Checkpoint {newest.number} is not what was signed.")
    if not Checkpoint.objects.using(tree.using).filter(number=held.number, note=known).exists():
        raise SealingStopped(
            f"The head outside the database is checkpoint {held.number} over {held.size} leaves of {held.at:%F %T} "
            f"UTC, and the database does not hold it: its newest is {newest.number} over {newest.size} leaves."
        )
    if (
        tree.compact_range(held.size).root() != held.root
        or tree.compact_range(newest.size).root() != said.root
    ):
        raise SealingStopped("The leaves of the database do not lead to the roots that were signed.")


def leaf_of_event(cursor: Any, event_id: uuid.UUID) -> Waiting:
    """The queue row of an event that this transaction recorded."""
    cursor.execute(WAITING_FOR, [event_id])
    row = cursor.fetchone()
    return Waiting(row[0], row[1], row[2], bytes(row[3]))
