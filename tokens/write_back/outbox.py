"""Rows of the outbox: how they come, who works one, and what comes of it. Every statement commits by itself."""

import datetime
import uuid
from dataclasses import dataclass
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from audit import trail
from audit.trail import Actor
from audit.vocabulary import Action
from tokens.consent import unsubscribes
from tokens.models import Unsubscribe, WriteBack

# Longer than the slowest exchange with all its patience.
LEASE: Final = datetime.timedelta(minutes=10)
FIRST_WAIT, LONGEST_WAIT = datetime.timedelta(seconds=30), datetime.timedelta(hours=1)
State = WriteBack.State

# Of enterprises with a connection in use only: one that is put to use finds the backlog.
FILL: Final = """
WITH handed AS (
    UPDATE tokens_unsubscribe SET to_tell = false
    WHERE event_id IN (
        SELECT row.event_id FROM tokens_unsubscribe row
        WHERE row.to_tell AND row.enterprise_id IN (
            SELECT enterprise_id FROM tokens_connection WHERE in_use_since IS NOT NULL)
        LIMIT 1000
        FOR UPDATE SKIP LOCKED)
    RETURNING event_id, enterprise_id
)
INSERT INTO tokens_writeback (unsubscribe_id, enterprise_id)
SELECT event_id, enterprise_id FROM handed
ON CONFLICT DO NOTHING
"""

# One at a time of a person's channel, in the order in which they came: ids of events are UUIDv7.
CLAIM: Final = """
UPDATE tokens_writeback
SET epoch = epoch + 1, tries = tries + 1, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE unsubscribe_id = (
    SELECT row.unsubscribe_id FROM tokens_writeback row JOIN tokens_consentevent event ON event.id = row.unsubscribe_id
    WHERE row.state = 'pending' AND row.next_try_at <= clock_timestamp()
      AND (row.lease_until IS NULL OR row.lease_until < clock_timestamp())
      AND NOT EXISTS (
        SELECT FROM tokens_consentevent before JOIN tokens_writeback waiting ON waiting.unsubscribe_id = before.id
        WHERE before.blind_index = event.blind_index AND before.kind = event.kind
          AND before.enterprise_id = event.enterprise_id AND before.id < event.id AND waiting.state = 'pending')
    ORDER BY row.next_try_at
    LIMIT 1
    FOR UPDATE OF row SKIP LOCKED)
RETURNING unsubscribe_id, epoch, tries
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to say what came of a row, until somebody claims it anew."""

    unsubscribe_id: uuid.UUID
    epoch: int
    tries: int


def fill() -> int:
    """Add a row for each open unsubscribe that Marketing Cloud can be told of; how many were added."""
    with connection.cursor() as cursor:
        cursor.execute(FILL)
        return int(cursor.rowcount)


def claim() -> Claim | None:
    """The row that waits longest, for ten minutes; None when none is due, or all that are wait for an older one."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"lease": LEASE.total_seconds()})
        row = cursor.fetchone()
    return Claim(*row) if row else None


def finish(claimed: Claim) -> None:
    """It is done."""
    _close(claimed, state=State.DONE, done_at=timezone.now(), trouble="")


def try_later(claimed: Claim, trouble: str, *, wait: float | None = None) -> None:
    """Try again after `wait` seconds, or twice as long as the last time, up to an hour, for as long as it takes."""
    later = datetime.timedelta(seconds=wait) if wait else FIRST_WAIT * 2 ** min(claimed.tries - 1, 10)
    _close(claimed, next_try_at=timezone.now() + min(later, LONGEST_WAIT), trouble=trouble[:64])


def leave_to_people(claimed: Claim, trouble: str) -> None:
    """Trying again would not help: a person looks at it."""
    _close(claimed, state=State.DEAD, trouble=trouble[:64])


@transaction.atomic
def try_again(row: Unsubscribe, *, actor: Actor) -> bool:
    """Somebody mended what was wrong: it is tried at once. Whether there was anything to try."""
    waiting = WriteBack.objects.filter(pk=row.pk).exclude(state=State.DONE)
    if not waiting.update(state=State.PENDING, next_try_at=timezone.now()):
        return False
    trail.record(
        Action.UNSUBSCRIBE_RETRIED,
        actor=actor,
        enterprise_id=row.enterprise_id,
        target=unsubscribes.target(row),
    )
    return True


def _close(claimed: Claim, **changes: object) -> None:
    """A worker whose lease was taken over changes nothing."""
    rows = WriteBack.objects.filter(pk=claimed.unsubscribe_id, epoch=claimed.epoch, state=State.PENDING)
    rows.update(lease_until=None, **changes)
