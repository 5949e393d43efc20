"""Events that somebody must look at, written in the transaction of the exchange that gave rise to them."""

import datetime
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from audit import trail
from audit.partitions import first_id_at
from audit.trail import Target
from audit.vocabulary import Action
from tokens.api.call import Call

_MOST_NAMED: Final = 20

# One caller at a time: the lock goes with the transaction, and who does not get it leaves the alarm to the other.
CLAIM: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"

# Whether this alarm of this client was raised within the hour; ids of events are ordered by time.
RAISED_LATELY: Final = """
SELECT EXISTS (
    SELECT FROM audit_auditevent
    WHERE enterprise_id = %s AND action = %s AND target_type = 'client' AND target_id = %s
      AND id >= %s AND at >= %s
)
"""


def cannot_open(call: Call, mapping_ids: list[int]) -> None:
    """Sealed values did not open: they were altered, moved or planted."""
    _record(
        call,
        Action.ALARM_CANNOT_OPEN,
        Target("mapping", ",".join(map(str, mapping_ids[:_MOST_NAMED]))),
        {"items": len(mapping_ids)},
    )


def once_an_hour(call: Call, action: Action, details: dict[str, Any]) -> None:
    """An alarm about a client, unless it was raised within the hour."""
    client = call.proven
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [f"{action.value} {client.pk}"])
        if not cursor.fetchone()[0]:
            return
        since = timezone.now() - datetime.timedelta(hours=1)
        asked: list[Any] = [client.enterprise_id, action.value, client.client_id, first_id_at(since), since]
        cursor.execute(RAISED_LATELY, asked)
        if cursor.fetchone()[0]:
            return
    _record(call, action, Target("client", client.client_id, client.name), details)


def _record(call: Call, action: Action, target: Target, details: dict[str, Any]) -> None:
    trail.record(
        action,
        actor=call.actor,
        enterprise_id=call.proven.enterprise_id,
        target=target,
        request_id=call.id,
        details=details,
    )
