"""Alarms reach people: every event `alarm.…` of the trail is sent by e-mail and to a webhook, each at least once.

An alarm is an event first, in the transaction of what raised it; here it is only told. What was told is noted for each
channel by itself, so a mail server that is down delays its own messages and no others. Events hold no clear values, and
so do messages.
"""

import datetime
import smtplib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx2
import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from audit.models import AuditEvent
from audit.partitions import first_id_at
from audit.vocabulary import Action
from portal.models import AlarmNotice
from tokens.models import Enterprise

# What is older was told, or stood on the start page for a week.
LOOK_BACK: Final = datetime.timedelta(days=7)
AT_ONCE: Final = 100
MOST_OVERDUE: Final = 5000
FEW: Final = 5
ANSWER_WITHIN: Final = 10.0
FAILURES: Final = (OSError, smtplib.SMTPException, httpx2.HTTPError, httpx2.InvalidURL)
_ACTS: Final = dict(Action.choices)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """An alarm as it is told."""

    id: str
    at: str
    action: str
    says: str
    enterprise: str
    target: str
    details: dict[str, Any]

    def line(self) -> str:
        """For people."""
        where = f" ({self.enterprise})" if self.enterprise else ""
        return f"{self.at}  {self.says}{where}  {self.target}".rstrip()


def channels() -> dict[str, Callable[[Sequence[Told]], None]]:
    """Where alarms are told, by name; as the settings say."""
    found: dict[str, Callable[[Sequence[Told]], None]] = {}
    if settings.ALARM_EMAILS:
        found["e-mail"] = _mail
    if settings.ALARM_WEBHOOK:
        found["webhook"] = _post
    return found


def tell() -> int:
    """Tell what was not told yet, on each channel; how many messages went out. One teller at a time."""
    return sum(_tell_on(name, send) for name, send in channels().items())


def test() -> dict[str, str]:
    """Send a test on every channel; what went wrong by channel, "" where nothing did."""
    now = timezone.now().isoformat(timespec="seconds")
    one = Told("test", now, "alarm.test", "this is a test of the alarms, nothing happened", "", "", {})
    results = {}
    for name, send in channels().items():
        try:
            send([one])
            results[name] = ""
        except FAILURES as error:
            results[name] = type(error).__name__
    return results


@transaction.atomic
def _tell_on(name: str, send: Callable[[Sequence[Told]], None]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('token-portal alarms ' || %s))", [name])
        row = cursor.fetchone()
    waiting = _waiting(name) if row and row[0] else []
    if not waiting:
        return 0
    try:
        send(_messages(waiting))
    except FAILURES as error:
        _log.error("alarms.not-told", channel=name, waiting=len(waiting), code=type(error).__name__)
        return 0
    AlarmNotice.objects.bulk_create(
        [AlarmNotice(event_id=event.pk, channel=name) for event in waiting], ignore_conflicts=True
    )
    return 1


def _waiting(channel: str) -> list[AuditEvent]:
    told = AlarmNotice.objects.filter(event_id=OuterRef("pk"), channel=channel)
    since = first_id_at(timezone.now() - LOOK_BACK)
    events = AuditEvent.objects.filter(pk__gte=since, action__startswith="alarm.").exclude(Exists(told))
    others = list(events.exclude(action=Action.ALARM_OVERDUE).order_by("pk")[:AT_ONCE])
    # Thousands can be overdue at once, after a file of old opt-outs: they must not stand before the others.
    return [*others, *events.filter(action=Action.ALARM_OVERDUE).order_by("pk")[:MOST_OVERDUE]]


def _messages(waiting: Sequence[AuditEvent]) -> list[Told]:
    """One for each alarm; many overdue unsubscribes are one."""
    overdue = [event for event in waiting if event.action == Action.ALARM_OVERDUE]
    if len(overdue) <= FEW:
        return [_told(event) for event in waiting]
    told = _told(overdue[0])
    many = replace(
        told, says=f"{len(overdue):,} unsubscribes passed their due instant", target="", details={}
    )
    return [*(_told(event) for event in waiting if event.action != Action.ALARM_OVERDUE), many]


def _told(event: AuditEvent) -> Told:
    enterprise = Enterprise.objects.filter(pk=event.enterprise_id).first() if event.enterprise_id else None
    return Told(
        id=str(event.pk),
        at=event.at.isoformat(timespec="seconds"),
        action=event.action,
        says=_ACTS.get(event.action, event.action),
        enterprise=enterprise.name if enterprise else "",
        target=f"{event.target_type} {event.target_id}".strip(),
        details=event.details,
    )


def _mail(alarms: Sequence[Told]) -> None:
    subject = alarms[0].says if len(alarms) == 1 else f"{len(alarms)} alarms"
    lines = [one.line() for one in alarms]
    send_mail(
        f"[Token Governance Portal, {settings.ENVIRONMENT}] {subject}",
        "\n".join(
            [*lines, "", "Each stands in the event trail of the portal, under Alarms on the start page."]
        ),
        settings.ALARM_FROM,
        settings.ALARM_EMAILS,
    )


def _post(alarms: Sequence[Told]) -> None:
    """JSON with `text`, which chats show, and `alarms`, for machines."""
    body = {
        "text": "\n".join(one.line() for one in alarms),
        "alarms": [{name: getattr(one, name) for name in one.__slots__} for one in alarms],
    }
    answer = httpx2.post(settings.ALARM_WEBHOOK, json=body, timeout=ANSWER_WITHIN, follow_redirects=False)
    answer.raise_for_status()
