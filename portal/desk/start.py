"""The start page: figures of the last hour and day by role, two plots, and what is next to do."""

import datetime
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEvent, Outcome
from audit.partitions import first_id_at
from portal.desk import figures
from portal.desk.figures import Count, Day
from portal.desk.unsubscribe_work import open_ones
from portal.desk.visit import Visit
from portal.reveals import break_glass
from portal.roles import Permission
from portal.templatetags.desk import milliseconds
from tokens.models import BulkJob

_DAY: Final = datetime.timedelta(hours=24)
MOST_COUNTED: Final = 1000


@dataclass(frozen=True, slots=True)
class Card:
    """A figure, what it means, and the list behind it ("" when the person may not see that)."""

    name: str
    value: str
    note: str
    url: str = ""
    tone: str = ""


def start(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/"""
    scope = figures.Scope(visit.everywhere, tuple(visit.enterprise_ids))
    hour, day = figures.last_hour(scope), figures.last_day(scope)
    log_url = reverse("admin:log") if visit.may(Permission.VIEW_LOG) else ""
    context = {
        "title": "Start",
        "cards": [*_exchange_cards(hour, day.sum(), log_url), *_role_cards(visit)],
        "day": day,
        "slots": _slots(day, log_url),
        "plots": _plots(day, log_url),
        "is_quiet": day.is_whole and not day.sum().total,
        "may_unsubscribe": visit.may(Permission.UNSUBSCRIBE),
        "may_run_bulk": visit.may(Permission.RUN_BULK),
        "may_manage_clients": visit.may(Permission.MANAGE_CLIENTS),
    }
    return render(request, "desk/start.html", context)


def _exchange_cards(hour: Count, day: Count, log_url: str) -> list[Card]:
    unresolved = day.resolve_asked - day.resolve_answered
    share = 100 * unresolved / day.resolve_asked if day.resolve_asked else 0
    troubled = sorted(day.troubled.values(), key=lambda client: -client[1])
    trouble = sum(number for _, number in troubled)
    return [
        Card(
            "Exchanges, last hour",
            f"{hour.total:,}",
            f"{day.total:,} in 24 hours",
            _log(log_url, within="1h"),
        ),
        Card(
            "p95 latency, last hour",
            milliseconds(hour.p95),
            f"half are under {milliseconds(hour.p50)}" if hour.p50 else "no answered call",
            _log(log_url, within="1h", status="200"),
        ),
        Card(
            "Unresolved, 24 h",
            f"{share:.2f} %" if day.resolve_asked else "–",
            f"{unresolved:,} of {day.resolve_asked:,} tokens asked",
            _log(log_url, within="24h", api="resolve", outcome="partial") if unresolved else "",
        ),
        Card(
            "Failing clients, 24 h",
            f"{len(troubled)}",
            f"{trouble:,} refused or failed; most by {troubled[0][0]}"
            if troubled
            else "no refused or failed call",
            _log(log_url, within="24h", outcome="refused" if day.outcomes[Outcome.REFUSED] else "failed")
            if troubled
            else "",
            "bad" if troubled else "",
        ),
    ]


def _role_cards(visit: Visit) -> list[Card]:
    since = first_id_at(timezone.now() - _DAY)
    cards = []
    if visit.may(Permission.DECIDE_APPROVALS):
        note = "colleagues wait for you" if visit.to_decide else "nobody waits for you"
        tone = "warn" if visit.to_decide else ""
        cards.append(Card("To approve", f"{visit.to_decide}", note, reverse("admin:approvals"), tone))
    if visit.may(Permission.VIEW_EVENTS):
        alarms = visit.evidence(AuditEvent.objects.filter(pk__gte=since, action__startswith="alarm.")).count()
        url = reverse("admin:events") + "?within=24h&action=alarm"
        cards.append(
            Card(
                "Alarms, 24 h",
                f"{alarms}",
                "look at them" if alarms else "all quiet",
                url,
                "bad" if alarms else "",
            )
        )
    if visit.may(Permission.VIEW_REVEALS):
        cards += _break_glass_cards(visit)
    if visit.may(Permission.VIEW_UNSUBSCRIBES):
        cards.append(_unsubscribe_card(visit))
    if visit.may(Permission.VIEW_BULK):
        running = BulkJob.objects.filter(state=BulkJob.State.RUNNING, enterprise__in=visit.enterprise_ids)
        names = list(running.values_list("name", flat=True)[:100])
        note = (
            f"{names[0]}{' and others' if len(names) > 1 else ''}" if names else "nothing is being converted"
        )
        cards.append(Card("Bulk jobs running", f"{len(names)}", note, reverse("admin:bulk")))
    return cards


def _unsubscribe_card(visit: Visit) -> Card:
    """What must still be told to Marketing Cloud, and how much of it is late."""
    waiting = open_ones(visit).order_by("due_at").values_list("due_at", flat=True)
    due = list(waiting.filter(paused_at__isnull=True)[: MOST_COUNTED + 1])
    late = sum(at <= timezone.now() for at in due)
    number = f"{MOST_COUNTED:,}+" if len(due) > MOST_COUNTED else f"{len(due):,}"
    note = f"{late:,} overdue: see to them now" if late else "none is overdue" if due else "nothing is open"
    return Card("To unsubscribe", number, note, reverse("admin:unsubscribe-work"), "bad" if late else "")


def _break_glass_cards(visit: Visit) -> list[Card]:
    """What waits for a second person, if anything does."""
    waiting = list(break_glass.waiting(visit.enterprise_ids)[:100])
    if not waiting:
        return []
    overdue = sum(map(break_glass.is_overdue, waiting))
    note = f"{overdue} overdue: review them now" if overdue else "somebody else reviews it within a day"
    tone = "bad" if overdue else "warn"
    return [Card("Broken glass to review", f"{len(waiting)}", note, reverse("admin:reveals"), tone)]


def _log(log_url: str, **filters: str) -> str:
    return f"{log_url}?{urlencode(filters)}" if log_url else ""


def _between(log_url: str, start: datetime.datetime, **filters: str) -> str:
    span = {"since": f"{start:%Y-%m-%dT%H:%M:%S}", "until": f"{start + figures.SLOT:%Y-%m-%dT%H:%M:%S}"}
    return _log(log_url, **span, **filters)


def _slots(day: Day, log_url: str) -> list[dict[str, Any]]:
    """Rows of the table twins, newest first, without quarters in which nothing happened."""
    return [
        {"start": start, "count": count, "url": _between(log_url, start)}
        for start, count in reversed(list(zip(day.starts, day.counts, strict=True)))
        if count and count.total
    ]


def _plots(day: Day, log_url: str) -> dict[str, Any]:
    """What charts.js draws; latencies in milliseconds, null where nothing was measured."""
    return {
        "starts": [start.isoformat() for start in day.starts],
        "urls": [_between(log_url, start) for start in day.starts] if log_url else [],
        "outcomes": {
            outcome: [count.outcomes[outcome] if count else None for count in day.counts]
            for outcome in Outcome.values
        },
        "latency": {
            name: [_milliseconds(getattr(count, name)) if count else None for count in day.counts]
            for name in ("p50", "p95", "p99")
        },
    }


def _milliseconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1000, 3)
