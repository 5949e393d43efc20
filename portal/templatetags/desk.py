"""How the pages write times, durations, outcomes and names."""

import datetime
from typing import Any, Final

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from audit.models import AuditEvent, Outcome
from audit.vocabulary import Action
from portal.roles import Permission
from tokens import errors as vault_errors
from tokens.marketing_cloud import errors as marketing_cloud_errors

register = template.Library()

# Pages that show what an event speaks of, by the type of its target.
TARGET_PAGES: Final = {
    "entry": "admin:log-entry",
    "mapping": "admin:person",
    "consent-event": "admin:unsubscribe-event",
    "unsubscribe": "admin:unsubscribe-event",
    "client": "admin:client",
    "enterprise": "admin:enterprise",
    "bulk-job": "admin:bulk-job",
    "file-transfer": "admin:sftp",
    "approval": "admin:approval",
    "queue-message": "admin:queue-message",
    "queue-line": "admin:queue-line",
}
_ACTS: Final = dict(Action.choices)

_OUTCOMES: Final[dict[str, tuple[str, str, str]]] = {
    Outcome.COMPLETE: ("good", "check_circle", "complete"),
    Outcome.PARTIAL: ("warn", "incomplete_circle", "partial"),
    Outcome.NONE: ("warn", "circle", "none answered"),
    Outcome.REFUSED: ("bad", "block", "refused"),
    Outcome.FAILED: ("bad", "error", "failed"),
}


@register.filter
def clock(moment: datetime.datetime | None) -> SafeString | str:
    """A moment to the second in UTC, as <time>: `21 Nov 2026 23:11:05`."""
    return _time(moment, "%-d %b %Y %H:%M:%S")


@register.filter
def short_clock(moment: datetime.datetime | None) -> SafeString | str:
    """The same without the year, for long lists whose rows lie close together."""
    return _time(moment, "%-d %b %H:%M:%S")


@register.filter
def day(moment: datetime.datetime | None) -> SafeString | str:
    """The day of a moment in UTC, as <time>: `21 Nov 2026`."""
    return _time(moment, "%-d %b %Y")


def _time(moment: datetime.datetime | None, form: str) -> SafeString | str:
    if moment is None:
        return "–"
    moment = moment.astimezone(datetime.UTC)
    return format_html(
        '<time datetime="{}">{}</time>', moment.isoformat(timespec="milliseconds"), format(moment, form)
    )


@register.filter
def ago(moment: datetime.datetime) -> str:
    """How long ago a moment was, roughly: `just now`, `12 min ago`, `3 days ago`."""
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 60:
        return "just now"
    return f"{duration(seconds)} ago" if seconds < 86_400 else f"{seconds // 86_400:.0f} days ago"


@register.filter
def percent(share: float) -> str:
    """A share of one as people read it: `98 %`."""
    return f"{100 * share:.0f} %"


@register.filter
def duration(seconds: float) -> str:
    """Seconds as people read them: `40 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


@register.filter
def long_duration(seconds: float) -> str:
    """The same where days matter: `9 days 4 h`, `2 h 30 min`."""
    days, rest = divmod(seconds, 86_400)
    return f"{days:.0f} day{'s' if days > 1 else ''} {rest // 3600:.0f} h" if days else duration(seconds)


@register.filter
def size(number: int) -> str:
    """Bytes as people read them: `40 B`, `11.8 kB`, `1.2 MB`."""
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"


@register.filter
def milliseconds(microseconds: int | None) -> str:
    """Microseconds as people read them: `0.84 ms`, `12.3 ms`, `1.25 s`."""
    if microseconds is None:
        return "–"
    if microseconds >= 1_000_000:
        return f"{microseconds / 1_000_000:.2f} s"
    value = microseconds / 1000
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


@register.filter
def outcome_badge(outcome: str) -> SafeString:
    """The outcome of an exchange as a badge: icon, word and colour."""
    tone, icon, word = _OUTCOMES.get(outcome, ("", "help", outcome))
    return badge(word, tone, icon)


@register.simple_tag
def badge(word: str, tone: str = "", icon: str = "") -> SafeString:
    """A badge: never colour alone."""
    sign = format_html('<span class="icon" aria-hidden="true">{}</span>', icon) if icon else ""
    return format_html('<span class="badge{}">{}{}</span>', f" badge--{tone}" if tone else "", sign, word)


_TROUBLES: Final = {
    "no_subscriber_key": "No subscriber key of this person is known here, and Marketing Cloud is told by key.",
    "no_such_subscription": "Marketing Cloud has no text subscription of theirs: look there whether anything is sent.",
    "no_such_subscriber": "Marketing Cloud has no subscriber under any of their keys.",
    "no_connection_of_the_account": "No connection of the account itself is in use; a unit's ends its own mail only.",
    "StillSubscribed": "Marketing Cloud took the unsubscribe, and still reads back that the person is subscribed.",
    "no_such_business_unit": "The business unit of the opt-out is not among those of the enterprise.",
}


_WAITS: Final = {
    "held": "A legal hold keeps it: it goes on once the hold is released.",
    "ledger": "The erasure ledger does not have it yet: the maintenance process writes it within seconds.",
    "another_delete_runs": "Another contact delete runs in this account, and Marketing Cloud takes one at a time.",
    "delete_runs": "Marketing Cloud is deleting.",
    "delete_failed": "Marketing Cloud says that the delete failed: it is begun again.",
    "still_there": "Marketing Cloud says that it is done, and still knows the subscriber key: it is read back again.",
    "files": "Files of bulk jobs are being searched.",
    "older_transactions": "Somebody may still write what they read before: it is searched again when they are done.",
    "found_more": "Something was written while it was destroyed. It is gone too, and everything is searched once more.",
}


@register.filter
def trouble(code: str) -> str:
    """Why Marketing Cloud could not be told, in words, by the code that was kept."""
    known = getattr(marketing_cloud_errors, code, None)
    return _TROUBLES.get(code) or " ".join((getattr(known, "__doc__", None) or code).split())


@register.filter
def waits_for(code: str) -> str:
    """What an erasure waits for, in words, by the code that was kept."""
    known = getattr(vault_errors, code, None)
    return _WAITS.get(code) or " ".join((getattr(known, "__doc__", None) or "").split()) or trouble(code)


@register.filter
def of(mapping: dict[Any, Any], key: Any) -> Any:
    """A value of a mapping by a key that the template knows."""
    return mapping.get(key)


@register.filter
def short_id(identifier: Any) -> str:
    """The end of a UUIDv7, where neighbours differ; the whole id is in the link."""
    return f"…{str(identifier)[-12:]}"


@register.simple_tag(takes_context=True)
def export_address(context: Any, what: str) -> str:
    """Where a list is exported with its filter; empty for who may not."""
    request = context["request"]
    visit = getattr(request, "visit", None)
    if visit is None or not visit.may(Permission.MAKE_EXPORTS):
        return ""
    query = request.GET.copy()
    for name in ("older", "newer"):
        query.pop(name, None)
    given = "&" + query.urlencode() if query else ""
    return f"{reverse('admin:export-new')}?what={what}{given}"


@register.simple_tag
def event_act(event: AuditEvent) -> SafeString | str:
    """What was done, in words; an alarm stands out."""
    words = str(_ACTS.get(event.action, event.action))
    return badge(words, "bad", "notifications_active") if event.action.startswith("alarm.") else words


@register.simple_tag
def event_target(event: AuditEvent) -> SafeString | str:
    """What it was done to, linked where a page shows it."""
    if not event.target_type:
        return "–"
    kind = event.target_type.replace("-", " ")
    name = event.target_name or (short_id(event.target_id) if event.target_id else "")
    text = format_html('{} <span class="faint">{}</span>', name, kind) if name else kind
    page = TARGET_PAGES.get(event.target_type)
    try:
        return (
            format_html('<a href="{}">{}</a>', reverse(page, args=[event.target_id]), text) if page else text
        )
    except NoReverseMatch:  # an id that the page of today does not know
        return text


@register.simple_tag
def event_details(event: AuditEvent) -> SafeString | str:
    """The details as `name: value`, a pair as before → after."""
    lines = [
        (name.replace("_", " "), _plain(value))
        for name, value in event.details.items()
        if value not in ("", None, [])
    ]
    return format_html_join("", '<span class="tag"><span class="faint">{}</span> {}</span> ', lines) or "–"


def _plain(value: Any) -> str:
    if isinstance(value, list) and len(value) == 2 and not all(isinstance(part, str) for part in value):
        return f"{_plain(value[0])} → {_plain(value[1])}"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "nothing" if value in (None, "") else str(value)
