"""The event trail: who did what, read-only."""

import datetime
from typing import Any, Final

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from audit.models import AuditEvent, RecordKind, SealQueueEntry
from audit.partitions import first_id_at
from audit.retention import gaps
from audit.seals.status import seals_of
from audit.vocabulary import Action
from portal.desk.keyset import Sheet
from portal.desk.patience import TookTooLong, patience
from portal.desk.planted import readable_sheet
from portal.desk.visit import Visit
from portal.roles import Permission

_SPANS: Final = {
    "24h": ("last 24 hours", datetime.timedelta(hours=24)),
    "7d": ("last 7 days", datetime.timedelta(days=7)),
    "30d": ("last 30 days", datetime.timedelta(days=30)),
}
COLUMNS: Final = (
    "id", "at", "enterprise_id", "action", "actor_id", "actor_name", "target_type", "target_id", "target_name",
    "request_id", "remote_address", "details",
)  # fmt: skip


def _actions() -> list[tuple[str, Any]]:
    """Single acts in groups by their thing, and the group as a whole ("alarm")."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for value, label in Action.choices:
        groups.setdefault(value.split(".")[0], []).append((value, str(label)))
    return [("", "any")] + [
        (thing.replace("-", " ").capitalize(), [(thing, f"any act on: {thing.replace('-', ' ')}"), *acts])
        for thing, acts in groups.items()
    ]


class EventFilter(forms.Form):
    """What the address of the page says."""

    within = forms.ChoiceField(
        label="Time",
        required=False,
        choices=[("", "any")] + [(key, label) for key, (label, _) in _SPANS.items()],
    )
    enterprise = forms.ChoiceField(required=False)
    action = forms.ChoiceField(label="Act", required=False, choices=_actions)
    actor = forms.CharField(label="Who (name)", required=False, max_length=200)
    target = forms.CharField(label="On what (id)", required=False, max_length=255)

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(str(enterprise.pk), enterprise.name) for enterprise in visit.enterprises]
        self.fields["enterprise"].choices = [("", "any"), *names]  # type: ignore[attr-defined]
        if len(names) < 2:
            del self.fields["enterprise"]

    def apply(self, events: "QuerySet[AuditEvent]") -> "QuerySet[AuditEvent]":
        """`events` that match."""
        wanted = self.cleaned_data
        if wanted["within"]:
            events = events.filter(pk__gte=first_id_at(timezone.now() - _SPANS[wanted["within"]][1]))
        if "." in wanted["action"]:
            events = events.filter(action=wanted["action"])
        elif wanted["action"]:
            events = events.filter(action__startswith=wanted["action"] + ".")
        exact = {
            "enterprise_id": wanted.get("enterprise"),
            "actor_name": wanted["actor"],
            "target_id": wanted["target"],
        }
        return events.filter(**{name: value for name, value in exact.items() if value})


def events(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/events/"""
    form = EventFilter(request.GET, visit=visit)
    page, too_slow = Sheet([], "", ""), False
    if form.is_valid():
        try:
            with patience():
                page = readable_sheet(form.apply(visit.evidence(AuditEvent.objects.only(*COLUMNS))), request)
                seals = seals_of(SealQueueEntry.Kind.EVENT, [event.pk for event in page.rows])
                for event in page.rows:
                    event.seal = seals.get(event.pk)
        except TookTooLong:
            too_slow = True
    context = {
        "title": "Event trail",
        "form": form,
        "sheet": page,
        "dropped": gaps.in_words(RecordKind.EVENT),
        "may_see_retention": visit.may(Permission.VIEW_RETENTION),
        "too_slow": too_slow,
        "filtered": any(value for name, value in request.GET.items() if name not in ("older", "newer")),
    }
    return render(request, "desk/events.html", context)
