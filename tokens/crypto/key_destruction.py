"""Destroying residue keys when their life ends: what they sealed in the payload log is gone from then on.

Only the wrapped key goes; the row stays and says when. A process that holds the key in memory forgets it within
`keyring.REFRESH_SECONDS`. Backups and WAL keep the wrapped key for as long as they are kept themselves.
"""

import datetime
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from audit import holds, trail
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
        for key in ended:
            cursor.execute(DESTROY, [key[0]])
    for key_id, enterprise_id, day in ended:
        trail.record(
            Action.KEY_DESTROYED,
            actor=SYSTEM,
            enterprise_id=enterprise_id,
            target=Target("data-key", str(key_id), f"residue key of {day}"),
            details={"purpose": Purpose.RESIDUE.value, "day": day.isoformat()},
        )
    return len(ended)
