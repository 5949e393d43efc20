"""Making data keys: the keyset of a new enterprise, and the residue key of each day."""

import datetime
import os
import uuid
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, connections
from django.utils import timezone

from tokens.crypto import root_keys
from tokens.crypto.keyset import DataKey, IndexVersion, Purpose

KEY_BYTES: Final = 32
DAYS_AHEAD: Final = 7

INSERT_DAY_KEY = """
INSERT INTO tokens_datakey (enterprise_id, purpose, day, uid, is_primary, wrapped, created_at)
VALUES (%s, %s, %s, %s, true, %s, now())
ON CONFLICT DO NOTHING
"""


def make_key(enterprise_id: int, purpose: Purpose) -> DataKey:
    """Make and store a new primary data key; an older primary of the purpose must have been demoted before."""
    key = _new(enterprise_id, purpose)
    key.save(force_insert=True)
    return key


def ensure_key(enterprise_id: int, purpose: Purpose) -> None:
    """Make the key of a purpose that is younger than the enterprise; two who do so at once make one."""
    there = DataKey.objects.filter(enterprise_id=enterprise_id, purpose=purpose, is_primary=True)
    if not there.exists():
        DataKey.objects.bulk_create([_new(enterprise_id, purpose)], ignore_conflicts=True)


def make_keyset(enterprise_id: int) -> None:
    """Make every key that a new enterprise needs, with blind-index version 1 and the residue keys of a week."""
    for purpose in Purpose:
        if purpose != Purpose.RESIDUE:
            key = make_key(enterprise_id, purpose)
            if purpose == Purpose.INDEX:
                IndexVersion.objects.create(enterprise_id=enterprise_id, number=1, normalisation=1, key=key)
    make_day_keys(enterprise_id)


def make_day_keys(enterprise_id: int) -> None:
    """Make the residue keys from today to DAYS_AHEAD that are missing."""
    days = [timezone.now().date() + datetime.timedelta(days=n) for n in range(DAYS_AHEAD + 1)]
    keys = DataKey.objects.filter(enterprise_id=enterprise_id, purpose=Purpose.RESIDUE, day__in=days)
    there = set(keys.values_list("day", flat=True))
    missing = [_new(enterprise_id, Purpose.RESIDUE, day) for day in days if day not in there]
    # Another process may be doing the same; the unique constraint decides.
    DataKey.objects.bulk_create(missing, ignore_conflicts=True)


def make_day_keys_of_all() -> None:
    """Make the residue keys of the coming week for every enterprise: a job of the maintenance process."""
    for enterprise_id in IndexVersion.objects.order_by().values_list("enterprise_id", flat=True).distinct():
        make_day_keys(enterprise_id)


def make_day_key_apart(enterprise_id: int, day: datetime.date) -> None:
    """Make the residue key of a day in a transaction of its own.

    In the caller's it would vanish with a rollback, while this process goes on sealing under it: what it sealed
    could never be opened again.
    """
    key = _new(enterprise_id, Purpose.RESIDUE, day)
    row: list[Any] = [enterprise_id, key.purpose, day, key.uid, key.wrapped]
    apart = connections.create_connection(DEFAULT_DB_ALIAS) if connection.in_atomic_block else connection
    try:
        with apart.cursor() as cursor:
            if apart is not connection:
                cursor.execute("SET lock_timeout = '2s'")  # should the caller hold what this needs
            cursor.execute(INSERT_DAY_KEY, row)
    except IntegrityError:
        # The enterprise itself is of the caller's transaction, so that both live or neither.
        with connection.cursor() as cursor:
            cursor.execute(INSERT_DAY_KEY, row)
    finally:
        if apart is not connection:
            apart.close()


def _new(enterprise_id: int, purpose: Purpose, day: datetime.date | None = None) -> DataKey:
    key = DataKey(enterprise_id=enterprise_id, purpose=purpose, day=day, uid=uuid.uuid4(), is_primary=True)
    key.wrapped = root_keys.provider().wrap(os.urandom(KEY_BYTES), key.context())
    return key
