"""What a verifier reads: the log as records, in the order of its leaves (docs/evidence.md has the format).

One snapshot of the database is read, so that a log that grows meanwhile is no contradiction. What is read is not
judged here: `audit.seals.verify_evidence` does that, the same file that works offline.
"""

import itertools
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from django.db import connections, transaction
from django.db.models.fields.json import KT
from psycopg.pq import Format

from audit.models import AuditEvent, Checkpoint, SealedLeaf
from audit.seals import rows
from audit.seals.errors import SealError
from audit.seals.signing import VerifierKey
from audit.seals.tree import StoredTree
from audit.seals.verify_evidence import FORMAT, VERSION
from audit.vocabulary import Action

Record = dict[str, Any]
PAGE: Final = 1000
KINDS: Final = {kind.value: name for kind, name in rows.HEADED.items()}

ONE_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
LEAVES: Final = """
SELECT index, kind, entry_id, leaf_hash, nodes FROM audit_sealedleaf WHERE index >= %s ORDER BY index LIMIT %s
"""
# Rows that no leaf speaks of, nor the queue: written past the portal, or their leaf was taken away.
STRAYS: Final = """
SELECT entry.id FROM {table} entry
WHERE NOT EXISTS (SELECT FROM audit_sealedleaf leaf WHERE leaf.entry_id = entry.id AND leaf.kind = {kind})
AND NOT EXISTS (SELECT FROM audit_sealqueueentry waiting WHERE waiting.entry_id = entry.id AND waiting.kind = {kind})
"""
STRAYS_BY_KIND: Final = {
    kind: STRAYS.format(table=table, kind=kind.value)
    for kind, table in ((rows.Kind.PAYLOAD, "audit_payloadentry"), (rows.Kind.EVENT, "audit_auditevent"))
}


GAP: Final = ("kind", "first", "before", "rows", "kept", "kept_sha256", "signature")
# The newest copy of each of these entries that retention kept.
COPIES: Final = """
SELECT DISTINCT ON (copy.entry_id) copy.entry_id, copy.act, copy.proof, signed.note
FROM audit_heldcopy copy LEFT JOIN audit_checkpoint signed ON signed.number = copy.checkpoint
WHERE copy.entry_id = ANY(%s) ORDER BY copy.entry_id, copy.id DESC
"""


class NoSuchEntry(SealError):
    """There is no entry or event of that id among the leaves: it waits for its seal, or it never was."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where records come from: the database behind `using`, and `head`, the note that was kept outside of it.

    Read the head first: it never is ahead of a database that is read later. Without `bodies` only the headers of
    rows are read.
    """

    key: VerifierKey
    head: str | None
    using: str = "owner"
    bodies: bool = True

    def log(self, *, after: int | None = None) -> Generator[Record, None, None]:
        """The whole log, or what came after the checkpoint of that number. Raises SealError."""
        with self._snapshot():
            begun = self._checkpoint(after) if after is not None else None
            yield self._first("log")
            yield from self._gaps()
            if begun is not None:
                yield {"type": "start", "note": begun.note, "peaks": self._peaks(begun.size)}
            counts = {"leaf": 0, "checkpoint": 0}
            for record in self._merged(begun):
                counts[record["type"]] += 1
                yield record
            yield from self._strays()
            yield {"type": "end", "leaves": counts["leaf"], "checkpoints": counts["checkpoint"]}

    def entry(self, entry_id: uuid.UUID) -> Generator[Record, None, None]:
        """One entry with its inclusion proof under the newest checkpoint. Raises NoSuchEntry."""
        with self._snapshot():
            leaf = SealedLeaf.objects.using(self.using).filter(entry_id=entry_id).first()
            newest = StoredTree(self.using).newest()
            if leaf is None or newest is None or newest.size <= leaf.index:
                raise NoSuchEntry
            found = rows.read(leaf.kind, [leaf.entry_id], using=self.using, bodies=False)
            yield self._first("entry")
            if not found:
                yield from self._explained(leaf, newest)
            yield self._proven(leaf, newest)
            yield {"type": "end", "leaves": 0, "checkpoints": 0}

    def _proven(self, leaf: SealedLeaf, newest: Checkpoint) -> Record:
        """A record of one entry, its row included if it is there."""
        proof = [one.hex() for one in StoredTree(self.using).inclusion(leaf.index, newest.size)]
        found = rows.read(leaf.kind, [leaf.entry_id], using=self.using, bodies=self.bodies)
        place = (leaf.index, leaf.kind, leaf.entry_id, bytes(leaf.leaf_hash), b"")
        record = _leaf(place, found) | {"type": "entry", "proof": proof, "note": newest.note}
        del record["nodes"]
        return record | self._copies([leaf.entry_id]).get(leaf.entry_id, {})

    def _explained(self, leaf: SealedLeaf, newest: Checkpoint) -> Iterator[Record]:
        """The acts that say that they dropped the month of a leaf, each with its own proof."""
        for gap in self._gaps():
            if gap["kind"] == KINDS.get(leaf.kind) and gap["first"] <= str(leaf.entry_id) < gap["before"]:
                act = SealedLeaf.objects.using(self.using).filter(entry_id=gap["event"]).first()
                if act is not None and act.index < newest.size:
                    yield gap
                    yield self._proven(act, newest)

    def _copies(self, ids: list[uuid.UUID]) -> dict[uuid.UUID, Record]:
        """Of entries that retention kept: by which act, and the proof that was kept with them."""
        with connections[self.using].cursor() as cursor:
            cursor.execute(COPIES, [ids])
            return {
                entry_id: {"held": {"event": str(act), "proof": bytes(proof).hex(), "note": note or ""}}
                for entry_id, act, proof, note in cursor.fetchall()
            }

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        if connections[self.using].in_atomic_block:
            yield  # the caller looks at a transaction of their own
            return
        with transaction.atomic(using=self.using):
            with connections[self.using].cursor() as cursor:
                cursor.execute(ONE_SNAPSHOT)
            yield

    def _first(self, mode: str) -> Record:
        with connections[self.using].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM audit_sealqueueentry")
            waiting = cursor.fetchone()[0]
        return {
            "type": "bundle",
            "format": FORMAT,
            "version": VERSION,
            "mode": mode,
            "origin": self.key.name,
            "vkey": str(self.key),
            "head": self.head,
            "waiting": waiting,
        }

    def _merged(self, begun: Checkpoint | None) -> Iterator[Record]:
        """Leaves, and each checkpoint after the last leaf that it covers."""
        wanted = Checkpoint.objects.using(self.using).order_by("size", "number")
        if begun is not None:
            wanted = wanted.filter(number__gt=begun.number)
        checkpoints = wanted.iterator(chunk_size=2000)
        coming = next(checkpoints, None)
        stored = StoredPeaks(self, begun.size if begun else 0)
        for place, record in self._leaves(stored.size):
            while coming is not None and coming.size <= place[0]:
                yield self._signed(coming, stored)
                coming = next(checkpoints, None)
            stored.add(place)
            yield record
        for one in itertools.chain([coming] if coming else [], checkpoints):
            yield self._signed(one, stored)

    def _leaves(self, first: int) -> Iterator[tuple["Place", Record]]:
        with connections[self.using].cursor() as cursor:
            cursor.cursor.format = Format.BINARY
            while True:
                cursor.execute(LEAVES, [first, PAGE])
                page: list[Place] = [(*row[:3], bytes(row[3]), bytes(row[4])) for row in cursor.fetchall()]
                found: dict[uuid.UUID, rows.Row] = {}
                for kind in {place[1] for place in page}:
                    ids = [place[2] for place in page if place[1] == kind]
                    found |= rows.read(kind, ids, using=self.using, bodies=self.bodies)
                copies = self._copies([place[2] for place in page])
                for place in page:
                    yield place, _leaf(place, found) | copies.get(place[2], {})
                if len(page) < PAGE:
                    return
                first = page[-1][0] + 1

    def _signed(self, one: Checkpoint, stored: "StoredPeaks") -> Record:
        return {
            "type": "checkpoint",
            "number": one.number,
            "size": one.size,
            "root": bytes(one.root).hex(),
            "at": one.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "note": one.note,
            "peaks": stored.at(one.size),
        }

    def _checkpoint(self, number: int) -> Checkpoint:
        found = Checkpoint.objects.using(self.using).filter(number=number).first()
        if found is None:
            raise SealError(f"There is no checkpoint {number} in the database.")
        return found

    def _peaks(self, size: int) -> list[str]:
        """The complete subtrees of the first `size` leaves as they are stored; none when one is missing."""
        try:
            return [peak.hex() for peak in StoredTree(self.using).compact_range(size).peaks]
        except SealError:
            return []

    def _gaps(self) -> Iterator[Record]:
        """What acts say that they dropped. The verifier believes those that are sealed themselves."""
        # Texts, and not the details as they are: one planted event that can't be read must not stop a verification.
        acts = AuditEvent.objects.using(self.using).filter(action=Action.PARTITION_DROPPED).order_by("id")
        for event_id, *said in acts.values_list("id", *(KT(f"details__{name}") for name in GAP)):
            if None not in said:
                yield {"type": "gap", "event": str(event_id)} | dict(zip(GAP, said, strict=True))

    def _strays(self) -> Iterator[Record]:
        with connections[self.using].cursor() as cursor:
            for kind, statement in STRAYS_BY_KIND.items():
                cursor.execute(statement)
                for (entry_id,) in cursor.fetchall():
                    yield {"type": "stray", "kind": rows.HEADED[kind], "id": str(entry_id)}


Place = tuple[int, int, uuid.UUID, bytes, bytes]


class StoredPeaks:
    """The peaks that the database stores for the leaves read so far, followed along so that none is asked for."""

    def __init__(self, source: Source, size: int) -> None:
        self.source, self.size = source, size
        self.peaks: list[str] = source._peaks(size) if size else []

    def add(self, place: Place) -> None:
        """The next leaf, with the subtrees that it completes."""
        completed = ((self.size + 1) & -(self.size + 1)).bit_length() - 1
        if place[0] != self.size or len(place[4]) != 32 * completed or len(self.peaks) < completed:
            self.size, self.peaks = place[0] + 1, self.source._peaks(place[0] + 1)
            return
        self.size += 1
        del self.peaks[len(self.peaks) - completed :]
        self.peaks.append((place[4][-32:] if completed else place[3]).hex())

    def at(self, size: int) -> list[str]:
        """The peaks of `size` leaves."""
        return list(self.peaks) if size == self.size else self.source._peaks(size)


def _leaf(place: Place, found: Mapping[uuid.UUID, rows.Row]) -> Record:
    index, kind, entry_id, leaf, nodes = place
    record: Record = {
        "type": "leaf",
        "index": index,
        "kind": KINDS.get(kind, str(kind)),
        "id": str(entry_id),
        "leaf": leaf.hex(),
        "nodes": nodes.hex(),
    }
    row = found.get(entry_id)
    if row is None:
        return record
    if row.made is not None:
        record["row"] = row.made.decode("utf-8", "surrogateescape")
    if row.made != row.header:
        record["header"] = row.header.decode("utf-8", "surrogateescape")
    if row.leaf_hash != leaf:
        record["row_leaf"] = row.leaf_hash.hex()
    return record
