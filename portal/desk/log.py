"""The payload log: every exchange with Marketing Cloud, filtered and paged. Nothing here edits or deletes."""

import datetime
from typing import Any, Final

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from audit.models import Api, Outcome, PayloadEntry, RecordKind
from audit.partitions import first_id_at
from audit.retention import gaps
from portal.desk.keyset import Sheet, sheet
from portal.desk.patience import TookTooLong, patience
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.models import ApiClient

# What the list shows. Bodies and evidence columns stay in the database.
COLUMNS: Final = (
    "id", "at", "api", "direction", "client_id", "client_name", "remote_address", "status", "outcome", "error",
    "items_asked", "items_answered", "duration_us", "request_bytes", "response_bytes", "anomalies", "enterprise_id",
)  # fmt: skip
WITHIN: Final = {"1h": "last hour", "24h": "last 24 hours", "7d": "last 7 days", "30d": "last 30 days"}
SPANS: Final = {
    "1h": datetime.timedelta(hours=1),
    "24h": datetime.timedelta(hours=24),
    "7d": datetime.timedelta(days=7),
    "30d": datetime.timedelta(days=30),
}
STATUSES: Final = {
    "2xx": "2xx answered", "4xx": "4xx refused", "5xx": "5xx failed",
    "200": "200", "400": "400", "401": "401", "403": "403", "404": "404", "405": "405", "413": "413", "415": "415",
    "500": "500", "503": "503",
}  # fmt: skip


def _choices(values: dict[str, str]) -> list[tuple[str, str]]:
    return [("", "any"), *values.items()]


def _moment(label: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput({"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")
    return forms.DateTimeField(label=label, required=False, widget=widget)


class LogFilter(forms.Form):
    """What the address of the page says. Times are UTC."""

    within = forms.ChoiceField(label="Time", required=False, choices=_choices(WITHIN))
    since = _moment("From (UTC)")
    until = _moment("To (UTC)")
    enterprise = forms.ChoiceField(required=False)
    api = forms.ChoiceField(label="API", required=False, choices=_choices(dict(Api.choices)))
    client = forms.ChoiceField(required=False)
    status = forms.ChoiceField(required=False, choices=_choices(STATUSES))
    outcome = forms.ChoiceField(required=False, choices=_choices(dict(Outcome.choices)))
    address = forms.GenericIPAddressField(label="Caller's address", required=False)
    id = forms.UUIDField(label="Request id", required=False)
    odd = forms.BooleanField(label="Only with anomalies", required=False)

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {str(enterprise.pk): enterprise.name for enterprise in visit.enterprises}
        clients = ApiClient.objects.filter(enterprise__in=visit.enterprise_ids).order_by("name")
        self.fields["enterprise"].choices = _choices(names)  # type: ignore[attr-defined]
        self.fields["client"].choices = _choices(  # type: ignore[attr-defined]
            dict(clients.values_list("client_id", "name"))
        )
        if len(names) < 2:
            del self.fields["enterprise"]

    def apply(self, entries: "QuerySet[PayloadEntry]") -> "QuerySet[PayloadEntry]":
        """`entries` that match. Times become ranges of ids, which the primary key and the partitions know."""
        wanted = self.cleaned_data
        since = timezone.now() - SPANS[wanted["within"]] if wanted["within"] else wanted["since"]
        if since:
            entries = entries.filter(pk__gte=first_id_at(since))
        if wanted["until"]:
            entries = entries.filter(pk__lt=first_id_at(wanted["until"]))
        if wanted["status"].endswith("xx"):
            first = int(wanted["status"][0]) * 100
            entries = entries.filter(status__gte=first, status__lt=first + 100)
        elif wanted["status"]:
            entries = entries.filter(status=int(wanted["status"]))
        if wanted["odd"]:
            entries = entries.exclude(anomalies=[])
        exact = {
            "enterprise_id": wanted.get("enterprise"),
            "api": wanted["api"],
            "client_id": wanted["client"],
            "outcome": wanted["outcome"],
            "remote_address": wanted["address"],
            "pk": wanted["id"],
        }
        return entries.filter(**{name: value for name, value in exact.items() if value})


def entries(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/log/"""
    form = LogFilter(request.GET, visit=visit)
    page, too_slow = Sheet([], "", ""), False
    if form.is_valid():
        try:
            with patience():
                page = sheet(form.apply(visit.evidence(PayloadEntry.objects.only(*COLUMNS))), request)
        except TookTooLong:
            too_slow = True
    context = {
        "title": "Payload log",
        "form": form,
        "sheet": page,
        "dropped": gaps.in_words(RecordKind.PAYLOAD),
        "may_see_retention": visit.may(Permission.VIEW_RETENTION),
        "too_slow": too_slow,
        "filtered": any(value for name, value in request.GET.items() if name not in ("older", "newer")),
        "enterprises": {enterprise.pk: enterprise for enterprise in visit.enterprises},
        "several": visit.everywhere or len(visit.enterprises) > 1,
    }
    return render(request, "desk/log.html", context)
