"""How much one person may reveal in 24 hours, and what is unusual for them. Counted from the trail itself."""

import datetime
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import connection
from django.db.models import Count, Max, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from audit.models import AuditEvent
from audit.partitions import first_id_at
from audit.vocabulary import Action

DAY: Final = datetime.timedelta(hours=24)
MONTH: Final = datetime.timedelta(days=30)
# Whoever rarely reveals has a small median, of which three times is soon reached.
UNUSUAL_FROM: Final = 10
UNUSUAL_TIMES: Final = 3


@dataclass(frozen=True, slots=True)
class Use:
    """What a person revealed in the last 24 hours, before this, and on each day of the month before that had any."""

    in_a_day: int
    days_before: tuple[int, ...]

    @property
    def is_over_hard_cap(self) -> bool:
        """Whether one more is refused."""
        return bool(self.in_a_day >= settings.REVEALS_HARD_CAP)

    @property
    def crosses_soft_cap(self) -> bool:
        """Whether one more is the first beyond the soft cap."""
        return bool(self.in_a_day == settings.REVEALS_SOFT_CAP)

    @property
    def becomes_unusual(self) -> bool:
        """Whether one more is the first beyond what is usual for this person."""
        return self.in_a_day == usual(self.days_before)


def usual(days: Sequence[int]) -> int:
    """How many in 24 hours are nothing unusual: three times the median of the days that had any, and at least ten."""
    return max(UNUSUAL_FROM, round(UNUSUAL_TIMES * statistics.median(days)) if days else 0)


def locked(actor_id: str) -> Use:
    """The use of a person, whose reveals then wait for each other until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"reveals of {actor_id}"])
    return use_of(actor_id)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who revealed in the last 24 hours, and what was usual for them before."""

    name: str
    count: int
    median: float
    usual: int

    @property
    def is_unusual(self) -> bool:
        """Whether it is more than usual."""
        return self.count > self.usual


def viewers(rows: "QuerySet[AuditEvent]", most: int) -> list[Viewer]:
    """Who revealed most in the last 24 hours, of `rows`: of those reveals that whoever asks may see."""
    now = timezone.now()
    since = first_id_at(now - DAY)
    recent = rows.filter(pk__gte=since).values("actor_id").annotate(count=Count("pk"), name=Max("actor_name"))
    found = list(recent.order_by("-count", "actor_id")[:most])
    before = rows.filter(pk__gte=first_id_at(now - MONTH), pk__lt=since)
    days: dict[str, list[int]] = {}
    for actor_id, _, count in (
        before.filter(actor_id__in=[one["actor_id"] for one in found])
        .annotate(day=TruncDate("at"))
        .values("actor_id", "day")
        .annotate(count=Count("pk"))
        .values_list("actor_id", "day", "count")
    ):
        days.setdefault(actor_id, []).append(count)
    return [
        Viewer(one["name"], one["count"], statistics.median(held) if held else 0, usual(held))
        for one in found
        for held in [days.get(one["actor_id"], [])]
    ]


def use_of(actor_id: str) -> Use:
    """The same without waiting, for pages."""
    now = timezone.now()
    rows = AuditEvent.objects.filter(action=Action.REVEALED, actor_id=actor_id)
    since = first_id_at(now - DAY)
    days = (
        rows.filter(pk__gte=first_id_at(now - MONTH), pk__lt=since)
        .annotate(day=TruncDate("at"))
        .values("day")
        .annotate(count=Count("pk"))
        .values_list("count", flat=True)
    )
    return Use(rows.filter(pk__gte=since).count(), tuple(days))
