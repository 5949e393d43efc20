"""The worker's loop: claim a chunk, convert it, commit everything it means in one transaction, take the next.

What goes wrong with a chunk is noted by code, never by text: the text of a database error can quote what was written.
"""

import gc
import time
import uuid
from typing import Final

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from psycopg import errors as postgres

from tokens.bulk import jobs, leases, rejects, slices
from tokens.bulk.errors import ErasedKeys, LeaseLost
from tokens.bulk.holding import Holder
from tokens.bulk.leases import Lease
from tokens.bulk.reading import Reader
from tokens.bulk.writing import Writer
from tokens.models import BulkJob

TRIES: Final = 5
IDLE: Final = 0.5
LONGEST_OUTAGE: Final = 600.0
_TRY_AGAIN: Final = (postgres.DeadlockDetected, postgres.SerializationFailure)
_log = structlog.get_logger(__name__)


class Chunks:
    """Converts chunks of one job."""

    def __init__(self, job: BulkJob) -> None:
        self.job = job
        self.reader = Reader(job)
        self.holder = Holder(job)
        self.writer = Writer(self.reader)

    def convert(self, lease: Lease) -> None:
        """Convert the chunk and finish it. Raises LeaseLost, DatabaseError, CryptoError or VaultError."""
        # A chunk makes many tuples and no cycles: looking for some costs a third of the time.
        gc.disable()
        try:
            self._convert_patiently(lease)
        finally:
            gc.enable()

    def _convert_patiently(self, lease: Lease) -> None:
        erased: frozenset[str] = frozenset()
        for tried in range(1, TRIES + 1):
            try:
                return self._convert(lease, erased)
            except ErasedKeys as error:
                erased |= error.keys
            except OperationalError as error:
                if tried == TRIES or not isinstance(error.__cause__, _TRY_AGAIN):
                    raise
        raise LeaseLost(f"chunk {lease.number}")

    def _convert(self, lease: Lease, erased: frozenset[str]) -> None:
        job = self.job
        text = slices.unseal(job.enterprise_id, job.pk, lease.number, "source", lease.source)
        reading = self.reader.read(text, first_line=lease.first_line, lines=lease.lines)
        with transaction.atomic():
            leases.guard_transaction()
            holding = self.holder.hold(reading, erased)
            output = self.writer.text(reading, holding)
            sealed = slices.seal(job.enterprise_id, job.pk, lease.number, "output", output)
            rejects.store(job, reading)
            leases.finish(lease, sealed, holding.counts)


def work(job_id: uuid.UUID, *, seconds: float) -> bool:
    """Work chunks of a job for about `seconds`; whether there is more to do. Nothing to do is no error."""
    job = BulkJob.objects.select_related("enterprise").get(pk=job_id)
    if job.state != BulkJob.State.RUNNING or leases.live(job) >= job.workers:
        return False
    chunks = Chunks(job)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not work_one(chunks):
            return False
    return leases.some_free(job)


def work_until_done(job_id: uuid.UUID) -> None:
    """Work chunks of a job until it is done, paused or failed; waits for the database, and for other workers."""
    away = 0.0
    while away < LONGEST_OUTAGE:
        try:
            job = BulkJob.objects.select_related("enterprise").get(pk=job_id)
            while job.state == BulkJob.State.RUNNING and work_one(chunks := Chunks(job)):
                while work_one(chunks):
                    away = 0.0
                job.refresh_from_db(fields=["state"])
            if job.state != BulkJob.State.RUNNING or jobs.close_if_done(job):
                return
        except (OperationalError, InterfaceError):
            connection.close()
            away += IDLE
        time.sleep(IDLE)


def work_one(chunks: Chunks) -> bool:
    """Claim one chunk and convert it, or note why it could not be; whether there was one.

    Raises OperationalError or InterfaceError when the database is away; the lease then runs out by itself.
    """
    lease = leases.claim(chunks.job)
    if lease is None:
        return False
    if lease.claims > leases.MOST_CLAIMS:
        _note_failure(chunks.job, lease, "worker_vanished")
        return True
    try:
        chunks.convert(lease)
    except LeaseLost:
        _log.info("bulk.lease-lost", job=str(lease.job_id), chunk=lease.number)
    except (OperationalError, InterfaceError) as error:
        if connection.is_usable():
            _note_failure(chunks.job, lease, _code_of(error), counts=False)
        else:
            connection.close()
            raise
    except Exception as error:  # noqa: BLE001 - whatever a chunk brings about, the others go on
        _note_failure(chunks.job, lease, _code_of(error))
    else:
        jobs.close_if_done(chunks.job)
    return True


def _note_failure(job: BulkJob, lease: Lease, code: str, *, counts: bool = True) -> None:
    _log.error("bulk.chunk-failed", job=str(lease.job_id), chunk=lease.number, epoch=lease.epoch, code=code)
    if leases.give_back(lease, code, counts_as_failure=counts):
        jobs.fail(job, code)


def _code_of(error: Exception) -> str:
    """A code without a value: the kind of the error, and of what caused it in the database."""
    return type(error.__cause__ or error).__name__
