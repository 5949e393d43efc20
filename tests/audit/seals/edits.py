"""Fifteen ways in which an administrator of the database edits a log, and what must be named for each.

Each runs in a transaction of the owner with the triggers off, and is rolled back.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import uuid_utils.compat
from django.db import connections, transaction

from audit.models import Checkpoint, SealedLeaf
from audit.seals import merkle, notes
from audit.seals.verify_evidence import Report
from tests.audit.seals import cast

BATCH = 4  # leaves under each checkpoint of the log that is edited
TABLES = {1: "audit_payloadentry", 2: "audit_auditevent"}


@dataclass
class Named:
    """What a verifier must name: entries by id, places in the log, checkpoints."""

    ids: list[UUID] = field(default_factory=list)
    fields: list[str] | None = None
    places: list[int] = field(default_factory=list)
    within: int = BATCH  # how many leaves a range may have that names a place
    checkpoints: list[int] = field(default_factory=list)

    def missing(self, report: Report) -> list[str]:
        """What the report does not name."""
        found = report.findings
        gone = [f"id {one}" for one in self.ids if not any(f.id == str(one) for f in found)]
        gone += [f"#{place}" for place in self.places if not any(self._names(f, place) for f in found)]
        gone += [
            f"checkpoint {one}" for one in self.checkpoints if not any(f.checkpoint == one for f in found)
        ]
        if self.fields is not None and not any(f.fields == self.fields for f in found):
            gone.append(f"fields {self.fields}")
        return gone

    def _names(self, finding: Any, place: int) -> bool:
        if finding.index == place:
            return True
        return (
            finding.first is not None and finding.first <= place < finding.end <= finding.first + self.within
        )


@contextmanager
def edited(edit: "Edit", place: int) -> Iterator[Named]:
    """The log as the edit leaves it at leaf `place`; afterwards it is as it was."""
    with transaction.atomic(using="owner"):
        cast.as_superuser()
        with connections["owner"].cursor() as cursor:
            for table in ("audit_payloadentry", "audit_auditevent", "audit_sealedleaf", "audit_checkpoint"):
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield edit(place)
        transaction.set_rollback(True, using="owner")


Edit = Callable[[int], Named]


def run(statement: str, *values: Any) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement, list(values))


def leaf(place: int) -> SealedLeaf:
    return SealedLeaf.objects.using("owner").get(index=place)


def payload_at(place: int) -> SealedLeaf:
    """The leaf of the nearest log entry."""
    leaves = SealedLeaf.objects.using("owner").filter(kind=1)
    found = leaves.filter(index__gte=place).order_by("index").first() or leaves.order_by("-index").first()
    assert found is not None
    return found


def change(place: int, assignment: str, name: str) -> Named:
    one = payload_at(place)
    run(f"UPDATE audit_payloadentry SET {assignment} WHERE id = %s", one.entry_id)
    return Named([one.entry_id], [name])


def field_of_a_row(place: int) -> Named:
    return change(place, "items_answered = items_answered + 1", "answered")


def ciphertext(place: int) -> Named:
    return change(place, "residue = residue || 'x'", "residue_sha256")


def key_id(place: int) -> Named:
    return change(place, "digest_key = digest_key + 1", "digest_key")


def timestamp(place: int) -> Named:
    return change(place, "at = at + interval '1 microsecond'", "at")


def swap(place: int) -> Named:
    """Bodies of two entries change places."""
    one, two = payload_at(place), payload_at(place + 1 if place < 3 else 0)
    if one == two:
        two = payload_at(3)
    statement = "UPDATE audit_payloadentry SET request_skeleton = %s WHERE id = %s"
    bodies = dict(
        cast.asked(
            "SELECT id, request_skeleton FROM audit_payloadentry WHERE id IN (%s, %s)",
            one.entry_id,
            two.entry_id,
        )
    )
    run(statement, bodies[two.entry_id], one.entry_id)
    run(statement, bodies[one.entry_id], two.entry_id)
    return Named([one.entry_id, two.entry_id], ["request_sha256"])


def delete(place: int) -> Named:
    one = leaf(place)
    run(f"DELETE FROM {TABLES[one.kind]} WHERE id = %s", one.entry_id)
    return Named([one.entry_id], places=[place])


def insert(place: int) -> Named:
    """A row that copies another under an id of its own."""
    new = uuid_utils.compat.uuid7()
    columns = [name for (name,) in cast.asked(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'audit_payloadentry'"
        " AND column_name <> 'id' ORDER BY ordinal_position"
    )]  # fmt: skip
    names = ", ".join(columns)
    run(
        f"INSERT INTO audit_payloadentry (id, {names}) SELECT %s, {names} FROM audit_payloadentry WHERE id = %s",
        new,
        payload_at(place).entry_id,
    )
    return Named([new])


def reorder(place: int) -> Named:
    """Two leaves change places, each with all that is stored beside it."""
    size = SealedLeaf.objects.using("owner").count()
    other = (place + size // 2) % size
    for before, after in ((place, size), (other, place), (size, other)):
        run("UPDATE audit_sealedleaf SET index = %s WHERE index = %s", after, before)
    return Named(places=[place, other])


def cut_tail(place: int) -> Named:
    """Everything from a leaf on, with the checkpoints that cover it."""
    size = SealedLeaf.objects.using("owner").count()
    remove(place, size)
    run("DELETE FROM audit_checkpoint WHERE size > %s", place)
    return Named(places=list(range(place, size)), within=size)


def older_backup(place: int) -> Named:
    """The database of an earlier checkpoint."""
    size = SealedLeaf.objects.using("owner").count()
    at = place // BATCH * BATCH
    remove(at, size)
    run("DELETE FROM audit_checkpoint WHERE size > %s", at)
    return Named(places=list(range(at, size)), within=size)


def drop_a_day(place: int) -> Named:
    """Some entries after each other, rows and leaves."""
    end = min(place + 5, SealedLeaf.objects.using("owner").count())
    remove(place, end)
    return Named(places=list(range(place, end)), within=5)


def remove(first: int, end: int) -> None:
    for table in TABLES.values():
        run(
            f"DELETE FROM {table} WHERE id IN (SELECT entry_id FROM audit_sealedleaf WHERE index >= %s AND index < %s)",
            first,
            end,
        )
    run("DELETE FROM audit_sealedleaf WHERE index >= %s AND index < %s", first, end)


def checkpoint_over(place: int) -> Checkpoint:
    found = Checkpoint.objects.using("owner").filter(size__gt=place).order_by("number").first()
    assert found is not None
    return found


def edit_checkpoint(place: int) -> Named:
    one = checkpoint_over(place)
    run("UPDATE audit_checkpoint SET at = at - interval '1 hour' WHERE number = %s", one.number)
    return Named(checkpoints=[one.number])


def edit_signature(place: int) -> Named:
    one = checkpoint_over(place)
    head, signatures = notes.parse(one.note)
    note = notes.joined(head, signatures[0][1][:-1] + bytes([signatures[0][1][-1] ^ 1]))
    run("UPDATE audit_checkpoint SET note = %s WHERE number = %s", note, one.number)
    return Named(checkpoints=[one.number])


def rewrite(place: int, *, sign: bool) -> None:
    """A row, its header, its leaf and all subtrees above are rewritten; with the key, checkpoints too."""
    one = leaf(place)
    table = TABLES[one.kind]
    header = bytes(cast.asked(f"SELECT header FROM {table} WHERE id = %s", one.entry_id)[0][0])
    old, new = ("192.0.2.1", "192.0.2.9") if one.kind == 1 else ("2001:db8::7", "2001:db8::9")
    header = header.replace(f'"address":"{old}"'.encode(), f'"address":"{new}"'.encode())
    forged = hashlib.sha256(b"\0" + header).digest()
    assert forged != bytes(one.leaf_hash)
    run(
        f"UPDATE {table} SET header = %s, leaf_hash = %s, remote_address = %s::inet WHERE id = %s",
        header,
        forged,
        new,
        one.entry_id,
    )
    run("UPDATE audit_sealedleaf SET leaf_hash = %s WHERE index = %s", forged, place)
    tree = merkle.CompactRange()
    roots = {0: tree.root()}
    for index, value in cast.asked("SELECT index, leaf_hash FROM audit_sealedleaf ORDER BY index"):
        nodes = b"".join(tree.append(bytes(value)))
        roots[tree.size] = tree.root()
        if index >= place:
            run("UPDATE audit_sealedleaf SET nodes = %s WHERE index = %s", nodes, index)
    for checkpoint in Checkpoint.objects.using("owner").filter(size__gt=place) if sign else []:
        said, _ = notes.parse(checkpoint.note)
        root = roots[checkpoint.size]
        note = cast.KEY.sign(notes.Head(said.origin, said.size, root, said.number, said.at))
        run(
            "UPDATE audit_checkpoint SET root = %s, note = %s WHERE number = %s",
            root,
            note,
            checkpoint.number,
        )


def leaf_with_its_ancestors(place: int) -> Named:
    rewrite(place, sign=False)
    return Named(places=[place])


def fork(place: int) -> Named:
    """With the stolen key everything can be signed anew: only a checkpoint kept outside tells."""
    rewrite(place, sign=True)
    return Named(places=[place], within=1_000_000)


KINDS: dict[str, Edit] = {
    edit.__name__: edit
    for edit in (
        field_of_a_row, ciphertext, key_id, swap, delete, insert, reorder, cut_tail, drop_a_day, timestamp,
        edit_checkpoint, edit_signature, fork, older_backup, leaf_with_its_ancestors,
    )
}  # fmt: skip
