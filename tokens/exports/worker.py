"""Making an export: claim it, write slice after slice, each committed with the place it reached, and finish it.

A worker that is killed leaves whole slices behind, and whoever claims the export after its lease ran out goes on from
there. One that was stopped meanwhile holds an old epoch, and writes nothing any more.
"""

import datetime
import time
import uuid
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.db.models import DurationField, F, Value
from django.db.models.functions import Now

from audit.trail import SYSTEM
from audit.vocabulary import Action
from tokens.bulk import doorbell, leases
from tokens.crypto.errors import CryptoError
from tokens.errors import VaultError
from tokens.exports import requests, rows, slices
from tokens.models import Export, ExportSlice

ROWS_A_SLICE: Final = 1000
MOST_FAILURES: Final = 3
State = Export.State
_log = structlog.get_logger(__name__)

CLAIM: Final = """
UPDATE tokens_export SET epoch = epoch + 1, lease_until = clock_timestamp() + %(lease)s
WHERE id = (
    SELECT id FROM tokens_export
    WHERE id = %(export)s AND state = 'running' AND (lease_until IS NULL OR lease_until < clock_timestamp())
    FOR UPDATE SKIP LOCKED)
RETURNING epoch
"""


class LeaseLost(Exception):
    """Another worker has claimed the export: this one writes nothing any more."""


def work(export_id: uuid.UUID, *, seconds: float) -> bool:
    """Write slices for about `seconds`; whether there is more to do. Nothing to do is no error."""
    epoch = claim(export_id)
    if epoch is None:
        return False
    deadline = time.monotonic() + seconds
    try:
        while write_one(export_id, epoch):
            if time.monotonic() >= deadline:
                return _give_back(export_id, epoch)
    except LeaseLost:
        _log.warning("export.lease-lost", export=str(export_id))
    except (OperationalError, InterfaceError):
        raise
    except (Error, CryptoError, VaultError, LookupError, TypeError, ValueError) as error:
        _failed(export_id, epoch, type(error).__name__)
    return False


def claim(export_id: uuid.UUID, *, seconds: float | None = None) -> int | None:
    """The epoch of a claim for so many seconds (BULK_LEASE_SECONDS); None when it is held, or done."""
    lease = datetime.timedelta(seconds=settings.BULK_LEASE_SECONDS if seconds is None else seconds)
    parameters: dict[str, Any] = {"export": export_id, "lease": lease}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, parameters)
        row = cursor.fetchone()
    return None if row is None else int(row[0])


@transaction.atomic
def write_one(export_id: uuid.UUID, epoch: int) -> bool:
    """Write the next slice, or finish; whether there may be more. Raises LeaseLost, and then nothing was written."""
    leases.guard_transaction()
    export = Export.objects.select_for_update().filter(pk=export_id, epoch=epoch, state=State.RUNNING).first()
    if export is None:
        raise LeaseLost
    found = rows.batch(export, ROWS_A_SLICE)
    mine, lease = Export.objects.filter(pk=export_id), _seconds(settings.BULK_LEASE_SECONDS)
    if not found.rows:
        life = _seconds(settings.EXPORT_DAYS * 86_400)
        mine.update(state=State.READY, finished_at=Now(), expires_at=Now() + life, lease_until=None)
        requests.record(Action.EXPORT_FINISHED, export, SYSTEM, rows=export.rows)
        return False
    number = export.slices + 1
    ExportSlice.objects.create(
        enterprise_id=export.enterprise_id,
        export=export,
        number=number,
        sealed=slices.seal(export, number, found.rows),
        subjects=found.subjects,
    )
    mine.update(
        slices=number,
        rows=F("rows") + len(found.rows),
        after=found.last,
        lease_until=Now() + lease,
        failures=0,
    )
    return True


def sweep() -> None:
    """Ring for exports that nobody makes: a message was lost, or a worker."""
    for export_id in Export.objects.filter(state=State.RUNNING).values_list("pk", flat=True):
        doorbell.ring(export_id, task=requests.WORK)


def _give_back(export_id: uuid.UUID, epoch: int) -> bool:
    Export.objects.filter(pk=export_id, epoch=epoch, state=State.RUNNING).update(lease_until=None)
    return True


@transaction.atomic
def _failed(export_id: uuid.UUID, epoch: int, code: str) -> None:
    """Note why by code, never by text, and leave it to the next sweep; three times, and it has failed."""
    export = Export.objects.select_for_update().filter(pk=export_id, epoch=epoch, state=State.RUNNING).first()
    if export is None:
        return
    export.failures, export.failure, export.lease_until = export.failures + 1, code[:64], None
    if export.failures >= MOST_FAILURES:
        export.state = State.FAILED
        requests.record(Action.EXPORT_FAILED, export, SYSTEM, code=export.failure)
    export.save(update_fields=["failures", "failure", "lease_until", "state"])
    _log.warning("export.failed", export=str(export_id), code=export.failure)


def _seconds(seconds: float) -> Value:
    return Value(datetime.timedelta(seconds=seconds), output_field=DurationField())
