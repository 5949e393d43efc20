"""Destroying what is kept of a person, and looking again afterwards whether anything is left.

Each store has one function, which destroys and answers how much there was. Called again, later, it must answer none:
what is verified is found by the same search that destroyed it.
"""

import datetime
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from audit.trail import SYSTEM
from audit.vocabulary import Action
from tokens.crypto.keyset import DataKey, Purpose
from tokens.erasure import asking, held, work
from tokens.erasure import scope as scopes
from tokens.erasure.scope import Scope
from tokens.exports import requests as exports
from tokens.models import (
    AttributeSet,
    Contact,
    Erasure,
    Export,
    ExportSlice,
    OptOutChunk,
    QueueBadLine,
    QueueExtract,
)
from tokens.models.mappings import State
from tokens.no_token_queue import erasing as queue
from tokens.vault import find

# A mapping that was superseded before stays so: its token is retired as well.
RETIRE: Final = """
UPDATE tokens_mapping
SET value = NULL, state = CASE WHEN state = %(superseded)s THEN state ELSE %(erased)s END
WHERE id = ANY(%(ids)s) AND value IS NOT NULL
"""
# Sessions of the app see each other only; the owner's never hold a clear value.
OLDER_TRANSACTIONS: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
  AND xact_start IS NOT NULL AND xact_start <= %s
"""


def values(scope: Scope) -> int:
    """Clear values of mappings; in the payload log each hole that refers to one reads "destroyed" from now on."""
    parameters: dict[str, Any] = {
        "ids": scope.mapping_ids,
        "superseded": State.SUPERSEDED.value,
        "erased": State.ERASED.value,
    }
    with connection.cursor() as cursor:
        cursor.execute(RETIRE, parameters)
        return int(cursor.rowcount)


def attributes(scope: Scope) -> int:
    """Every version of the contacts' attributes, for the log as for sending."""
    rows = AttributeSet.objects.filter(contact__in=scope.contact_ids, payload__isnull=False)
    Contact.objects.filter(pk__in=scope.contact_ids).update(
        attributes=None, attributes_job=None, attributes_line=None
    )
    return rows.update(payload=None, digest=None)


def queue_messages(scope: Scope) -> int:
    """Number and text of what they wrote; what was decided of it stays."""
    return queue.forget(scope.enterprise, scope.blind_indexes())


def export_files(scope: Scope) -> int:
    """Whole files in clear that they are in: a file has no row that could go alone. Who wants one asks again."""
    slices = ExportSlice.objects.filter(
        enterprise=scope.enterprise, subjects__overlap=scope.mapping_ids, sealed__isnull=False
    )
    found = Export.objects.select_for_update().filter(pk__in=slices.values("export")).order_by("pk")
    ended = list(found)
    for export in ended:
        Export.objects.filter(pk=export.pk).update(
            state=Export.State.EXPIRED, epoch=F("epoch") + 1, lease_until=None, expires_at=Now()
        )
        ExportSlice.objects.filter(export=export).update(sealed=None)
        exports.record(
            Action.EXPORT_EXPIRED, export, SYSTEM, rows=export.rows, why="somebody in it was erased"
        )
    return len(ended)


# What a receipt names: each is destroyed, and looked for again. Files of bulk jobs are swept apart.
STORES: Final[dict[str, Callable[[Scope], int]]] = {
    "clear values": values,
    "versions of attributes": attributes,
    "messages of the No Token Queue": queue_messages,
    "exports in clear": export_files,
}
BULK_ROWS: Final = "rows in files of bulk jobs"


@transaction.atomic
def destroy(erasure: Erasure) -> dict[str, int]:
    """Destroy everything but the rows of bulk files; how much of what.

    Raises CannotBeDone when a hold keeps it, and TakenOver.
    """
    scope = scopes.of_erasure(erasure, lock=True)
    held.refuse_if_held(scope)
    counts = everything(scope)
    erasure.destroyed = {name: counts[name] + erasure.destroyed.get(name, 0) for name in counts} | {
        BULK_ROWS: erasure.destroyed.get(BULK_ROWS, 0)
    }
    erasure.state, erasure.destroyed_at = Erasure.State.DESTROYED, timezone.now()
    erasure.lives_until = lives_until(scope, erasure.destroyed_at)
    erasure.swept_to = 0
    fields = ("state", "destroyed", "destroyed_at", "lives_until", "swept_to")
    work.note(erasure, *fields, was=Erasure.State.DELETED)
    asking.record(Action.ERASURE_DESTROYED, erasure, SYSTEM, destroyed=erasure.destroyed)
    return counts


def everything(scope: Scope) -> dict[str, int]:
    """Each store, in the caller's transaction."""
    return {name: store(scope) for name, store in STORES.items()}


def moment() -> datetime.datetime:
    """By the database's clock. Whoever begins after one that is taken once it is destroyed sees that it is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime.datetime = cursor.fetchone()[0]
    return found


def others_may_still_write(since: datetime.datetime) -> bool:
    """Whether a transaction is open that began before: it can have read a value, and write it where we looked."""
    with connection.cursor() as cursor:
        cursor.execute(OLDER_TRANSACTIONS, [since])
        return bool(cursor.fetchone()[0])


def lives_until(scope: Scope, destroyed_at: datetime.datetime) -> dict[str, Any]:
    """What an erasure can't reach, and the date on which it ends: sealed remainders of bodies, and backups."""
    residue = _newest_residue(scope)
    backups = destroyed_at.date() + datetime.timedelta(days=settings.BACKUP_DAYS)
    return {
        "residue": residue.isoformat() if residue else "",
        "backups": backups.isoformat(),
        "files": waiting_files(scope),
        "lines": unread_lines(scope),
    }


def waiting_files(scope: Scope) -> int:
    """Files of opt-outs and extracts that were brought in and not taken over: sealed, and nobody can tell who is in."""
    extracts = QueueExtract.objects.filter(enterprise=scope.enterprise, content__isnull=False)
    chunks = OptOutChunk.objects.filter(enterprise=scope.enterprise, source__isnull=False)
    return extracts.count() + chunks.values("file").distinct().count()


def unread_lines(scope: Scope) -> int:
    """Lines of the queue that could not be read and are kept sealed."""
    return QueueBadLine.objects.filter(enterprise=scope.enterprise, content__isnull=False).count()


def _newest_residue(scope: Scope) -> datetime.date | None:
    """The day on which the last key ends that seals a remainder of an exchange with them; None if there is none."""
    newest: datetime.date | None = None
    for mapping in (*scope.mappings, *scope.shared):
        rows = find.exchanges_of(scope.enterprise, mapping).filter(residue__isnull=False)
        at = rows.values_list("at", flat=True).first()
        newest = max(filter(None, (newest, at.date() if at else None)), default=None)
    if newest is None:
        return None
    live = DataKey.objects.filter(
        enterprise=scope.enterprise, purpose=Purpose.RESIDUE, day__lte=newest, wrapped__isnull=False
    )
    last = live.order_by("-day").values_list("day", flat=True).first()
    # Destroyed by the first hourly run of the day after its last.
    return last + datetime.timedelta(days=scope.enterprise.residue_days + 1) if last else None
