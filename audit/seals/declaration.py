"""Declaring that the database was restored to an older state: the one act after which sealing goes on.

The event is the first leaf after the gap, so that nothing is sealed before it says what was lost and who says so.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.db import connections, transaction

from audit import trail
from audit.free_text import REFUSED, names_a_person
from audit.models import Checkpoint
from audit.seals.errors import NothingToDeclare, SealError, SealingStopped
from audit.seals.sequencer import Sequencer, check, leaf_of_event
from audit.trail import Actor, Target
from audit.vocabulary import Action

ALONE: Final = "SELECT pg_advisory_xact_lock(hashtext('token-portal sequencer'))"


@dataclass(frozen=True, slots=True)
class Restore:
    """What is about to be declared: why sealing stopped, the head that is given up, and what the database has."""

    why: str
    abandoned: dict[str, Any] | None
    found: dict[str, Any] | None
    reason: str


# Raises to refuse; answers the event of the approval, which is then sealed with the declaration.
Guard = Callable[[Restore], uuid.UUID | None]


def anybody(restore: Restore) -> None:
    """No guard: for logs whose keeper asks for approval elsewhere."""


def declare_restore(
    sequencer: Sequencer, *, actor: Actor, reason: str, allowed: Guard = anybody
) -> uuid.UUID:
    """Record the declaration, seal it first and move the head to it; the id of the event is returned.

    `allowed` is called in the transaction, with exactly what will be recorded.

    Raises NothingToDeclare, and SealingStopped when the database contradicts itself: restore another backup then.
    """
    if not reason.strip():
        raise SealError("A declaration needs a reason.")
    if names_a_person(reason):
        raise SealError(f"The reason can't be kept. {REFUSED}")
    using = sequencer.using
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(ALONE)
        known, newest = sequencer.head.read(), sequencer.tree.newest()
        restore = Restore(
            _why(sequencer, known, newest), _said(sequencer, known), _found(newest), reason.strip()
        )
        _is_whole(sequencer, newest)
        approval = allowed(restore)
        event_id = trail.record(
            Action.RESTORE_DECLARED,
            actor=actor,
            enterprise_id=None,
            target=Target("log", sequencer.key.verifier.name),
            details={
                "reason": restore.reason,
                "why": restore.why,
                "abandoned": restore.abandoned,
                "found": restore.found,
                "approval": str(approval) if approval else None,
            },
            using=using,
        )
        leaves = [leaf_of_event(cursor, one) for one in (event_id, approval) if one is not None]
        note = sequencer.seal(cursor, leaves, newest)
    sequencer.head.advance(known, note)
    return event_id


def _why(sequencer: Sequencer, known: str | None, newest: Checkpoint | None) -> str:
    try:
        check(known, newest, sequencer.key, sequencer.tree)
    except SealError as stopped:
        return str(stopped)
    raise NothingToDeclare


def _is_whole(sequencer: Sequencer, newest: Checkpoint | None) -> None:
    """What the database holds must be a log in itself: a declaration explains a gap, it mends nothing."""
    size = newest.size if newest else 0
    if sequencer.tree.leaves() != size or (
        newest is not None and sequencer.tree.compact_range(size).root() != bytes(newest.root)
    ):
        raise SealingStopped(
            "The leaves of the database contradict its own checkpoints: restore a backup first."
        )


def _said(sequencer: Sequencer, known: str | None) -> dict[str, Any] | None:
    if known is None:
        return None
    try:
        head = sequencer.key.verifier.open(known)
    except SealError as error:
        return {"unreadable": str(error)}
    return {"number": head.number, "size": head.size, "root": head.root.hex(), "at": head.at.isoformat()}


def _found(newest: Checkpoint | None) -> dict[str, Any] | None:
    if newest is None:
        return None
    root = bytes(newest.root).hex()
    return {"number": newest.number, "size": newest.size, "root": root, "at": newest.at.isoformat()}
