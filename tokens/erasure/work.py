"""Erasures as work: claimed with a lease, moved on by whoever holds it, tried again for as long as it takes."""

import datetime
import uuid
from dataclasses import dataclass
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from audit.trail import Actor
from audit.vocabulary import Action
from tokens.erasure import asking
from tokens.models import Erasure

# Longer than the slowest step with all its patience.
LEASE: Final = datetime.timedelta(minutes=10)
FIRST_WAIT, LONGEST_WAIT = datetime.timedelta(seconds=10), datetime.timedelta(hours=1)

CLAIM: Final = """
UPDATE tokens_erasure
SET epoch = epoch + 1, tries = tries + 1, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE id = (
    SELECT id FROM tokens_erasure
    WHERE state <> 'done' AND next_try_at <= clock_timestamp()
      AND (lease_until IS NULL OR lease_until < clock_timestamp())
    ORDER BY next_try_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED)
RETURNING id, epoch, tries
"""


class TakenOver(Exception):
    """The lease ran out and somebody else claimed the erasure: what this worker still does must not count."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to move an erasure on, until somebody claims it anew."""

    erasure_id: uuid.UUID
    epoch: int
    tries: int


def claim() -> Claim | None:
    """The erasure that waits longest, for ten minutes; None when none is due."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"lease": LEASE.total_seconds()})
        row = cursor.fetchone()
    return Claim(*row) if row else None


def go_on(claimed: Claim) -> None:
    """A step was done: the next one follows at once."""
    _give_back(claimed, tries=0, trouble="")


def wait(claimed: Claim, trouble: str, *, seconds: float | None = None) -> None:
    """Try again after `seconds`, or twice as long as the last time, up to an hour."""
    later = datetime.timedelta(seconds=seconds) if seconds else FIRST_WAIT * 2 ** min(claimed.tries - 1, 10)
    _give_back(claimed, next_try_at=timezone.now() + min(later, LONGEST_WAIT), trouble=trouble[:64])


@transaction.atomic
def try_again(erasure: Erasure, *, actor: Actor) -> bool:
    """Somebody mended what was wrong: it is tried at once. Whether there was anything to try."""
    if not hasten(erasure.pk):
        return False
    asking.record(Action.ERASURE_RETRIED, erasure, actor)
    return True


def hasten(erasure_id: uuid.UUID) -> bool:
    """What it waited for has come; whether it still waits for anything."""
    waiting = Erasure.objects.filter(pk=erasure_id).exclude(state=Erasure.State.DONE)
    return bool(waiting.update(next_try_at=timezone.now(), tries=0))


def note(erasure: Erasure, *fields: str, was: Erasure.State | None = None) -> None:
    """Save fields of an erasure as it was claimed, from the state `was` (the one that it has).

    The last statement of a step's transaction: whoever was taken over changes nothing. Raises TakenOver.
    """
    mine = Erasure.objects.filter(pk=erasure.pk, epoch=erasure.epoch, state=was or erasure.state)
    if not mine.update(**{name: getattr(erasure, name) for name in fields}):
        raise TakenOver


def _give_back(claimed: Claim, **changes: object) -> None:
    """A worker whose lease was taken over changes nothing."""
    Erasure.objects.filter(pk=claimed.erasure_id, epoch=claimed.epoch).update(lease_until=None, **changes)
