"""Live figures of the payload log: what came of the exchanges, and how long they took, by quarter of an hour.

A quarter that is over never changes again, so it is counted once and kept in the cache; a page counts the running
one, and what is missing while its time lasts. Nobody waits for a count of everything.
"""

import datetime
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.core.cache import cache
from django.db import connection
from django.utils import timezone
from redis.exceptions import RedisError

from audit.models import Api, Direction, Outcome
from audit.partitions import first_id_at

SLOT: Final = datetime.timedelta(minutes=15)
SLOTS: Final = 96
# An exchange is recorded within the longest time that a call may take; only then a quarter is over.
GRACE: Final = datetime.timedelta(minutes=2)
_CHUNK: Final = 8
_BUDGET_SECONDS: Final = 2.0
_KEPT_SECONDS: Final = 26 * 3600

# One scan for both: each slot as a whole, and the refused and failed exchanges of each client in it.
COUNT = """
SELECT width_bucket(id, %(bounds)s::uuid[]) - 1 AS slot, GROUPING(client_id) AS whole, client_id, max(client_name),
       count(*) FILTER (WHERE outcome = 'complete'), count(*) FILTER (WHERE outcome = 'partial'),
       count(*) FILTER (WHERE outcome = 'none'), count(*) FILTER (WHERE outcome = 'refused'),
       count(*) FILTER (WHERE outcome = 'failed'),
       coalesce(sum(items_asked) FILTER (WHERE api = %(resolve)s AND status = 200), 0),
       coalesce(sum(items_answered) FILTER (WHERE api = %(resolve)s AND status = 200), 0),
       percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_us)
           FILTER (WHERE status = 200 AND api <> ALL (%(other)s))
FROM audit_payloadentry
WHERE id >= %(first)s AND id < %(end)s AND direction = %(inbound)s
  AND (%(everywhere)s OR enterprise_id = ANY(%(enterprises)s))
GROUP BY GROUPING SETS ((1), (1, client_id))
"""


@dataclass(slots=True)
class Count:
    """What happened in a span of time. Latencies are microseconds of answered Resolve and Get Token calls."""

    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Outcome.values, 0))
    resolve_asked: int = 0
    resolve_answered: int = 0
    p50: int | None = None
    p95: int | None = None
    p99: int | None = None
    # Refused and failed exchanges by client: {client id: [name, how many]}.
    troubled: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Exchanges."""
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose exchanges are counted: `enterprises`, or everybody's."""

    everywhere: bool
    enterprises: tuple[int, ...]

    @property
    def key(self) -> str:
        """Its part of a cache key."""
        return "all" if self.everywhere else ",".join(map(str, sorted(self.enterprises)))


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours: the start of each quarter, oldest first, and its count (None: not counted yet)."""

    starts: list[datetime.datetime]
    counts: list[Count | None]

    @property
    def is_whole(self) -> bool:
        """Whether every quarter has been counted."""
        return None not in self.counts

    def sum(self) -> Count:
        """All quarters together, without percentiles: these can't be added."""
        whole = Count()
        for count in self.counts:
            if count is None:
                continue
            for outcome, number in count.outcomes.items():
                whole.outcomes[outcome] += number
            whole.resolve_asked += count.resolve_asked
            whole.resolve_answered += count.resolve_answered
            for client, (name, number) in count.troubled.items():
                whole.troubled.setdefault(client, [name, 0])[1] += number
        return whole


def last_hour(scope: Scope) -> Count:
    """The last sixty minutes."""
    now = timezone.now()
    return _count([now - datetime.timedelta(hours=1)], now + SLOT, scope)[0]


def last_day(scope: Scope) -> Day:
    """The running quarter and the 95 before it."""
    now = timezone.now()
    running = datetime.datetime.fromtimestamp(now.timestamp() // SLOT.seconds * SLOT.seconds, datetime.UTC)
    starts = [running - SLOT * back for back in range(SLOTS)]
    known = _from_cache(starts, scope)
    deadline = time.monotonic() + _BUDGET_SECONDS
    for chunk in _chunks([start for start in starts if start not in known]):
        if time.monotonic() > deadline:
            break
        found = dict(zip(chunk, _count(chunk, chunk[-1] + SLOT, scope), strict=True))
        known |= found
        _to_cache({start: count for start, count in found.items() if start + SLOT + GRACE < now}, scope)
    starts.reverse()
    return Day(starts, [known.get(start) for start in starts])


def _chunks(missing: list[datetime.datetime]) -> list[list[datetime.datetime]]:
    """Newest first, each of neighbouring quarters in ascending order, as `width_bucket` wants them."""
    chunks: list[list[datetime.datetime]] = []
    for start in missing:
        if chunks and len(chunks[-1]) < _CHUNK and chunks[-1][0] - start == SLOT:
            chunks[-1].insert(0, start)
        else:
            chunks.append([start])
    return chunks


def _count(starts: Sequence[datetime.datetime], end: datetime.datetime, scope: Scope) -> list[Count]:
    bounds = [first_id_at(start) for start in starts]
    counts = [Count() for _ in starts]
    with connection.cursor() as cursor:
        cursor.execute(COUNT, _parameters(bounds, first_id_at(end), scope))
        for slot, whole, client, name, *numbers, percentiles in cursor.fetchall():
            count = counts[slot]
            if whole:
                count.outcomes = dict(
                    zip(("complete", "partial", "none", "refused", "failed"), numbers, strict=False)
                )
                count.resolve_asked, count.resolve_answered = int(numbers[5]), int(numbers[6])
                count.p50, count.p95, count.p99 = percentiles or (None, None, None)
            elif client and numbers[3] + numbers[4]:
                count.troubled[client] = [name, numbers[3] + numbers[4]]
    return counts


def _parameters(bounds: list[uuid.UUID], end: uuid.UUID, scope: Scope) -> dict[str, Any]:
    return {
        "bounds": [str(bound) for bound in bounds],
        "first": bounds[0],
        "end": end,
        "everywhere": scope.everywhere,
        "enterprises": list(scope.enterprises),
        "resolve": Api.RESOLVE.value,
        "other": [Api.OAUTH.value, Api.EVENTS.value, Api.OPT_OUTS.value],
        "inbound": Direction.INBOUND.value,
    }


def _cache_key(start: datetime.datetime, scope: Scope) -> str:
    return f"figures:1:{scope.key}:{int(start.timestamp())}"


def _from_cache(starts: list[datetime.datetime], scope: Scope) -> dict[datetime.datetime, Count]:
    keys = {_cache_key(start, scope): start for start in starts}
    try:
        return {keys[key]: Count(**stored) for key, stored in cache.get_many(keys).items()}
    except RedisError:  # figures are only slower without it
        return {}


def _to_cache(counts: dict[datetime.datetime, Count], scope: Scope) -> None:
    stored = {_cache_key(start, scope): asdict(count) for start, count in counts.items()}
    try:
        cache.set_many(stored, _KEPT_SECONDS)
    except RedisError:
        return
