"""Leases: how workers share the chunks of a job, and why a worker that was stopped for long does no harm.

A claim is one committed statement: it takes the first free chunk, raises its epoch and notes until when it is held.
Everything that the work writes is in one later transaction, whose last statement finishes the chunk if, and only
if, the epoch is still the claimed one. Who claims a chunk whose lease ran out also ends the database session of its
former holder, if that is still in a transaction from then: a stopped process would block others with its locks.
A worker that is stopped in a transaction which began only after its lease ran out is ended by PostgreSQL itself.
"""

import datetime
import math
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.db import connection
from psycopg.types.json import Jsonb

from tokens.bulk import errors
from tokens.models import BulkJob
from tokens.vault.cursors import binary_cursor

# Waiting longer for somebody's lock means that its holder is stopped: give the chunk back, and come again.
LOCK_TIMEOUT: Final = "10s"
# A chunk that failed waits so long before it is tried again.
BACK_OFF: Final = datetime.timedelta(seconds=3)
MOST_FAILURES: Final = 3
# So often may the worker of a chunk vanish: some chunks kill their workers, by running out of memory for instance.
MOST_CLAIMS: Final = 15


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to finish a chunk, as long as nobody claims it anew."""

    job_id: uuid.UUID
    chunk_id: int
    number: int
    first_line: int
    lines: int
    epoch: int
    claims: int
    source: bytes = field(repr=False)


CLAIM: Final = """
WITH free AS (
    SELECT id, holder, lease_until FROM tokens_bulkchunk
    WHERE job_id = %(job)s AND state = 'pending' AND (lease_until IS NULL OR lease_until < clock_timestamp())
      AND EXISTS (SELECT FROM tokens_bulkjob WHERE id = %(job)s AND state = 'running')
    ORDER BY number
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE tokens_bulkchunk chunk
SET epoch = epoch + 1, claims = claims + 1, lease_until = clock_timestamp() + %(lease)s, holder = pg_backend_pid()
FROM free
WHERE chunk.id = free.id
RETURNING chunk.id, chunk.number, chunk.first_line, chunk.lines, chunk.epoch, chunk.claims, chunk.source,
          free.holder, free.lease_until
"""

# A transaction that began before its lease ran out can't finish its chunk any more; its locks only stand in the way.
END_FORMER_HOLDER: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = %s AND pid <> pg_backend_pid() AND datname = current_database() AND xact_start < %s
"""

GUARD: Final = """
SELECT set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true)
"""

FINISH: Final = """
UPDATE tokens_bulkchunk
SET state = 'done', output = %(output)b, counts = %(counts)b, finished_at = clock_timestamp(),
    lease_until = NULL, holder = NULL, error = ''
WHERE id = %(chunk)s AND state = 'pending' AND epoch = %(epoch)s
"""

GIVE_BACK: Final = """
UPDATE tokens_bulkchunk
SET failures = failures + %(failures)s, error = %(code)s, holder = NULL,
    lease_until = clock_timestamp() + %(back_off)s,
    state = CASE WHEN failures + %(failures)s >= %(most)s THEN 'failed' ELSE 'pending' END
WHERE id = %(chunk)s AND state = 'pending' AND epoch = %(epoch)s
RETURNING state
"""

LIVE: Final = """
SELECT count(*) FROM tokens_bulkchunk
WHERE job_id = %s AND state = 'pending' AND holder IS NOT NULL AND lease_until >= clock_timestamp()
"""

FREE: Final = """
SELECT EXISTS (
    SELECT FROM tokens_bulkchunk
    WHERE job_id = %s AND state = 'pending' AND (lease_until IS NULL OR lease_until < clock_timestamp()))
"""


def claim(job: BulkJob, *, seconds: float | None = None) -> Lease | None:
    """The first free chunk of a running job, for so many seconds (BULK_LEASE_SECONDS); None if there is none now."""
    lease = datetime.timedelta(seconds=settings.BULK_LEASE_SECONDS if seconds is None else seconds)
    with binary_cursor() as cursor:
        cursor.execute(CLAIM, {"job": job.pk, "lease": lease})
        row = cursor.fetchone()
        if row is None:
            return None
        *claimed, holder, expired_at = row
        if holder is not None:
            cursor.execute(END_FORMER_HOLDER, [holder, expired_at])
    return Lease(job.pk, *claimed)


def guard_transaction() -> None:
    """Bound what the transaction of a chunk waits for: a lock LOCK_TIMEOUT, its own worker as long as a lease."""
    with connection.cursor() as cursor:
        cursor.execute(GUARD, [LOCK_TIMEOUT, f"{math.ceil(settings.BULK_LEASE_SECONDS * 1000)}ms"])


def finish(lease: Lease, output: bytes, counts: dict[str, int]) -> None:
    """Mark the chunk done, in the transaction of its work. Raises LeaseLost, and the transaction must be undone."""
    parameters = {"chunk": lease.chunk_id, "epoch": lease.epoch, "output": output, "counts": Jsonb(counts)}
    with binary_cursor() as cursor:
        cursor.execute(FINISH, parameters)
        if cursor.rowcount != 1:
            raise errors.LeaseLost(f"chunk {lease.number}")


def give_back(lease: Lease, code: str, *, counts_as_failure: bool) -> bool:
    """Free a chunk that was not converted; whether it is now given up for failed."""
    parameters: dict[str, Any] = {
        "chunk": lease.chunk_id, "epoch": lease.epoch, "code": code[:64], "back_off": BACK_OFF,
        "failures": int(counts_as_failure),
        "most": MOST_FAILURES if lease.claims < MOST_CLAIMS else 0,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(GIVE_BACK, parameters)
        row = cursor.fetchone()
    return row is not None and row[0] == "failed"


def live(job: BulkJob) -> int:
    """How many chunks are being worked now."""
    with connection.cursor() as cursor:
        cursor.execute(LIVE, [job.pk])
        return int(cursor.fetchone()[0])


def some_free(job: BulkJob) -> bool:
    """Whether a chunk could be claimed if the job is running."""
    with connection.cursor() as cursor:
        cursor.execute(FREE, [job.pk])
        return bool(cursor.fetchone()[0])
