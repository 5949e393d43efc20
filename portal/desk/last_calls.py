"""When clients called last, read from the newest entries of the log: a bounded look, however long the log is."""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import connection

LOOK_BACK: Final = 20_000

# The newest entries of each enterprise by its index, then the newest of each client among them.
LAST_CALLS = """
SELECT client_id, max(at), (array_agg(id ORDER BY id DESC))[1], count(*) FILTER (WHERE status >= 400),
       (array_agg(DISTINCT host(remote_address)))[1:5]
FROM unnest(%s::bigint[]) AS enterprise
CROSS JOIN LATERAL (
    SELECT id, at, client_id, status, remote_address FROM audit_payloadentry
    WHERE enterprise_id = enterprise ORDER BY id DESC LIMIT %s
) AS newest
WHERE client_id <> '' AND (%s = '' OR client_id = %s)
GROUP BY client_id
"""


@dataclass(frozen=True, slots=True)
class LastCall:
    """The newest exchange of a client among the newest LOOK_BACK of its enterprise."""

    at: datetime.datetime
    entry_id: uuid.UUID
    errors: int
    addresses: list[str]


def last_calls(enterprise_ids: Sequence[int], client_id: str = "") -> dict[str, LastCall]:
    """By client id; who has not called lately is absent."""
    with connection.cursor() as cursor:
        cursor.execute(LAST_CALLS, [list(enterprise_ids), LOOK_BACK, client_id, client_id])
        return {
            client: LastCall(at, entry, errors, [address for address in addresses if address])
            for client, at, entry, errors, addresses in cursor.fetchall()
        }
