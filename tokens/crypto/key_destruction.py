"""Destroying residue keys when their life ends: what they sealed in the payload log is gone from then on.

Only the wrapped key goes; the row stays and says when. A process that holds the key in memory forgets it within
`keyring.REFRESH_SECONDS`. Backups and WAL keep the wrapped key for as long as they are kept themselves.
"""

import datetime
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from audit import trail
from audit.trail import SYSTEM, Target
from audit.vocabulary import Action
from tokens.crypto.keyset import Purpose

# The keys of days that are older than the enterprise keeps its residue.
DESTROY_EXPIRED: Final = """
UPDATE tokens_datakey AS key
SET wrapped = NULL, destroyed_at = now()
FROM tokens_enterprise AS enterprise
WHERE enterprise.id = key.enterprise_id AND key.purpose = %s AND key.wrapped IS NOT NULL
  AND key.day + enterprise.residue_days < %s
RETURNING key.id, key.enterprise_id, key.day
"""


@transaction.atomic
def destroy_expired_day_keys(today: datetime.date | None = None) -> int:
    """Destroy the residue keys whose life has ended, each with its event; how many. A job of maintenance.

    A key lives for `Enterprise.residue_days` whole days after the day whose bodies it sealed.
    """
    with connection.cursor() as cursor:
        cursor.execute(DESTROY_EXPIRED, [Purpose.RESIDUE, today or timezone.now().date()])
        destroyed = cursor.fetchall()
    for key_id, enterprise_id, day in destroyed:
        trail.record(
            Action.KEY_DESTROYED,
            actor=SYSTEM,
            enterprise_id=enterprise_id,
            target=Target("data-key", str(key_id), f"residue key of {day}"),
            details={"purpose": Purpose.RESIDUE.value, "day": day.isoformat()},
        )
    return len(destroyed)
