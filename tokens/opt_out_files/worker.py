"""The worker's loop: claim a chunk, take its lines over in one transaction with its end, and take the next.

Killed anywhere it leaves whole chunks behind. What goes wrong is noted by code, never by text: the text of a database
error can quote what was written.
"""

import time
import uuid
from typing import Final

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from tokens.bulk import leases
from tokens.models import OptOutFile
from tokens.opt_out_files import chunks, files
from tokens.opt_out_files.chunks import Lease, LeaseLost
from tokens.opt_out_files.taking import Taker

State = OptOutFile.State
IDLE: Final = 0.5
_log = structlog.get_logger(__name__)


def work(file_id: uuid.UUID, *, seconds: float) -> bool:
    """Take chunks of a file over for about `seconds`; whether there may be more to do. Nothing to do is no error."""
    file = OptOutFile.objects.select_related("enterprise").get(pk=file_id)
    if file.state != State.RUNNING:
        return False
    taker = Taker(file)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not work_one(taker):
            return False
    return True


def work_until_done(file_id: uuid.UUID) -> OptOutFile:
    """Take chunks over until the file is finished or failed, beside whoever else works at it.

    Raises OperationalError or InterfaceError when the database goes away: trying again is safe.
    """
    while True:
        work(file_id, seconds=60)
        file = OptOutFile.objects.select_related("enterprise").get(pk=file_id)
        if file.state != State.RUNNING or files.close_if_done(file):
            file.refresh_from_db()
            return file
        time.sleep(IDLE)


def work_one(taker: Taker) -> bool:
    """Claim one chunk and take it over, or note why it could not be; whether there was one.

    Raises OperationalError or InterfaceError when the database is away; the lease then runs out by itself.
    """
    file = taker.file
    lease = chunks.claim(file.pk)
    if lease is None:
        files.close_if_done(file)
        return False
    try:
        take(taker, lease)
    except LeaseLost:
        _log.warning("opt-out-file.lease-lost", file=str(file.pk), chunk=lease.number)
    except (OperationalError, InterfaceError):
        if not connection.is_usable():
            connection.close()
            raise
        _note(file, lease, "database", counts=False)
    except Exception as error:  # noqa: BLE001 - whatever a chunk brings about, the others go on
        _note(file, lease, type(error.__cause__ or error).__name__)
    return True


@transaction.atomic
def take(taker: Taker, lease: Lease) -> None:
    """Take a chunk over and finish it. Raises LeaseLost, and then nothing was written."""
    leases.guard_transaction()
    counts = taker.take(chunks.records_of(taker.file, lease.number, lease.source))
    chunks.finish(lease, counts)


def sweep() -> None:
    """Ring for files that nobody works at, because a message or a worker was lost."""
    for file in OptOutFile.objects.filter(state=State.RUNNING):
        if not files.close_if_done(file):
            files.ring(file.pk)


def _note(file: OptOutFile, lease: Lease, code: str, *, counts: bool = True) -> None:
    _log.error("opt-out-file.chunk-failed", file=str(file.pk), chunk=lease.number, code=code)
    if chunks.give_back(lease, counts_as_failure=counts):
        files.fail(file, code)
