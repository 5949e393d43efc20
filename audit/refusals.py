"""Capped counters of callers that could not be named.

Anybody can be refused as often as they like, so a refusal of a stranger writes no entry of its own: it counts by
hour, interface, reason and network (/24 or /48), and once an hour has MOST_ROWS counters the rest count as
"other". A counter that is locked is let go: counting must never slow an answer.
"""

import datetime
import ipaddress
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from audit.models import Api, RefusalCount

MOST_ROWS: Final = 1000
KEPT_FOR: Final = datetime.timedelta(days=90)
OTHER: Final = "other"
UNKNOWN: Final = "unknown"

# Neither waiting for a lock nor for the disk: this is the only statement that a stranger makes us write.
LIMITS: Final = """
SET LOCAL lock_timeout = '50ms'; SET LOCAL statement_timeout = '250ms'; SET LOCAL synchronous_commit = off
"""

# Counts one refusal, under the caller's own network while the hour has room for it.
COUNT: Final = """
INSERT INTO audit_refusalcount AS counter (hour, api, reason, network, count)
SELECT hour, api, reason,
       CASE WHEN EXISTS (SELECT FROM audit_refusalcount known WHERE known.hour = new.hour AND known.api = new.api
                         AND known.reason = new.reason AND known.network = new.network)
              OR (SELECT count(*) FROM audit_refusalcount known WHERE known.hour = new.hour) < %s
            THEN network ELSE %s END, 1
FROM (VALUES (date_trunc('hour', now()), %s, %s, %s)) AS new (hour, api, reason, network)
ON CONFLICT (hour, api, reason, network) DO UPDATE SET count = counter.count + 1
"""


def count(api: Api, reason: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> None:
    """Count a refusal of `api`. Raises django.db.Error when it can't, also when another holds the counter."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LIMITS)
        cursor.execute(COUNT, [MOST_ROWS, OTHER, api.value, reason, network_of(address)])


def network_of(address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> str:
    """The /24 or /48 of an address."""
    if address is None:
        return UNKNOWN
    return str(ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False))


def forget_old(*, using: str = "owner") -> int:
    """Delete counters older than KEPT_FOR; how many is returned."""
    return RefusalCount.objects.using(using).filter(hour__lt=timezone.now() - KEPT_FOR).delete()[0]
