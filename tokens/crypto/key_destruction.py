"""Destroying residue keys when their life ends: what they sealed in the payload log is gone from then on.

Only the wrapped key goes; the row stays and says when. A process that holds the key in memory forgets it within
`keyring.REFRESH_SECONDS`. Backups and WAL keep the wrapped key for as long as they are kept themselves.
"""

import datetime
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from audit import holds, trail
from audit.models import PayloadEntry, RecordKind
from audit.partitions import first_id_at, month_after
from audit.retention import gaps
from audit.trail import SYSTEM, Target
from audit.vocabulary import Action
from tokens.crypto.keyset import Purpose

# The keys of days that are older than the enterprise keeps its residue.
EXPIRED: Final = """
SELECT key.id, key.enterprise_id, key.day
FROM tokens_datakey AS key JOIN tokens_enterprise AS enterprise ON enterprise.id = key.enterprise_id
WHERE key.purpose = %s AND key.wrapped IS NOT NULL AND key.day + enterprise.residue_days < %s
ORDER BY key.id
"""
OF_DAYS: Final = """
SELECT id, enterprise_id, day FROM tokens_datakey
WHERE purpose = %s AND wrapped IS NOT NULL AND day >= %s AND day < %s ORDER BY id
"""
ONE_DAY: Final = datetime.timedelta(days=1)
DESTROY: Final = """
UPDATE tokens_datakey SET wrapped = NULL, destroyed_at = now() WHERE id = %s AND wrapped IS NOT NULL
"""


@transaction.atomic
def destroy_expired_day_keys(today: datetime.date | None = None) -> int:
    """Destroy the residue keys whose life has ended, each with its event; how many. A job of maintenance.

    A key lives for `Enterprise.residue_days` whole days after the day whose bodies it sealed, and longer while a legal
    hold covers an entry with residue of that day.
    """
    holds.alone()
    with connection.cursor() as cursor:
        cursor.execute(EXPIRED, [Purpose.RESIDUE, today or timezone.now().date()])
        expired = cursor.fetchall()
    ended = [key for key in expired if holds.keeps_residue(key[1], key[2]) is None]
    _destroy(ended, why="end of its life")
    return len(ended)


@transaction.atomic
def destroy_day_keys_of_dropped_months() -> int:
    """Destroy the residue keys of days whose month retention dropped, if they live that long; how many.

    What a hold keeps of such a month has its residue still, and so its key: an entry of that day that is there counts,
    and one of the day before, since an id is made a moment before its entry is sealed.
    """
    holds.alone()
    days = [(month, month_after(month)) for month in gaps.dropped_months(RecordKind.PAYLOAD)]
    ended = []
    with connection.cursor() as cursor:
        for first, before in days:
            cursor.execute(OF_DAYS, [Purpose.RESIDUE, first, before])
            ended += [key for key in cursor.fetchall() if not _is_needed(key[1], key[2])]
    _destroy(ended, why="its month was dropped")
    return len(ended)


def _is_needed(enterprise_id: int, day: datetime.date) -> bool:
    begin = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC) - ONE_DAY
    rows = PayloadEntry.objects.filter(enterprise_id=enterprise_id, residue__isnull=False)
    return rows.filter(pk__gte=first_id_at(begin), pk__lt=first_id_at(begin + 2 * ONE_DAY)).exists()


def _destroy(keys: list[tuple[int, int, datetime.date]], *, why: str) -> None:
    """Each (id, enterprise, day), with its event."""
    for key_id, enterprise_id, day in keys:
        with connection.cursor() as cursor:
            cursor.execute(DESTROY, [key_id])
        trail.record(
            Action.KEY_DESTROYED,
            actor=SYSTEM,
            enterprise_id=enterprise_id,
            target=Target("data-key", str(key_id), f"residue key of {day}"),
            details={"purpose": Purpose.RESIDUE.value, "day": day.isoformat(), "why": why},
        )
