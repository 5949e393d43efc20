"""Who saw whom: every reveal, newest first, and the review of those behind broken glass."""

import datetime
import uuid
from typing import Any, Final
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from audit import trail
from audit.free_text import no_clear_values
from audit.models import AuditEvent
from audit.partitions import first_id_at
from audit.trail import Target
from audit.vocabulary import Action
from portal.desk.events import COLUMNS
from portal.desk.keyset import Sheet
from portal.desk.patience import TookTooLong, patience
from portal.desk.planted import readable_sheet
from portal.desk.visit import Visit
from portal.models import BreakGlass
from portal.reveals import break_glass, caps, several
from portal.reveals.caps import Viewer
from portal.reveals.errors import RevealError
from portal.reveals.reasons import EXPLANATION_LENGTH, Reason
from portal.roles import Permission
from tokens.formats.lookalikes import canonical_token
from tokens.models import Mapping

_SPANS: Final = {"24h": 1, "7d": 7, "30d": 30}
VIEWERS_SHOWN: Final = 20


class LedgerFilter(forms.Form):
    """What the address of the page says."""

    within = forms.ChoiceField(
        label="Time",
        required=False,
        choices=[("", "any"), ("24h", "last 24 hours"), ("7d", "last 7 days"), ("30d", "last 30 days")],
    )
    token = forms.CharField(label="Person seen (token)", required=False, max_length=254)
    viewer = forms.CharField(label="Seen by (name)", required=False, max_length=200)
    reason = forms.ChoiceField(required=False, choices=[("", "any"), *Reason.choices])
    glass = forms.BooleanField(label="Behind broken glass", required=False)

    def apply(self, events: "QuerySet[AuditEvent]", visit: Visit) -> "QuerySet[AuditEvent]":
        """`events` that match."""
        wanted = self.cleaned_data
        if wanted["within"]:
            span = datetime.timedelta(days=_SPANS[wanted["within"]])
            events = events.filter(pk__gte=first_id_at(timezone.now() - span))
        if wanted["token"]:
            token = canonical_token(wanted["token"]) or ""
            ids = Mapping.objects.filter(enterprise__in=visit.enterprise_ids, token=token)
            events = events.filter(
                target_type="mapping", target_id__in=[str(pk) for pk in ids.values_list("pk", flat=True)]
            )
        if wanted["viewer"]:
            events = events.filter(actor_name=wanted["viewer"])
        if wanted["reason"]:
            events = events.filter(details__reason=wanted["reason"])
        return events.filter(details__break_glass=True) if wanted["glass"] else events


class ReviewForm(forms.Form):
    """Whether it was justified, and what to say of it."""

    justified = forms.ChoiceField(
        label="Was it justified?",
        choices=[("yes", "Yes"), ("no", "No: this needs to be followed up")],
        widget=forms.RadioSelect,
    )
    comment = forms.CharField(
        max_length=EXPLANATION_LENGTH,
        validators=[no_clear_values],
        help_text="What you looked at, in a sentence. It stays in the event trail: no addresses or numbers of people.",
    )


def ledger(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/reveals/; that somebody looked is recorded."""
    target = Target("ledger", "reveals", "who saw whom")
    trail.record(Action.LEDGER_VIEWED, actor=visit.actor, enterprise_id=None, target=target)
    form = LedgerFilter(request.GET)
    page, too_slow = Sheet([], "", ""), False
    rows = visit.evidence(AuditEvent.objects.filter(action=Action.REVEALED).only(*COLUMNS))
    viewers: list[Viewer] = []
    if form.is_valid():
        try:
            with patience():
                page = readable_sheet(form.apply(rows, visit), request)
                viewers = caps.viewers(rows, VIEWERS_SHOWN)
        except TookTooLong:
            too_slow = True
    ids = [row.pk for row in page.rows if row.details.get("break_glass")]
    context = {
        "title": "Who saw whom",
        "form": form,
        "sheet": page,
        "too_slow": too_slow,
        "filtered": any(value for name, value in request.GET.items() if name not in ("older", "newer")),
        "reasons": dict(Reason.choices),
        "broken": BreakGlass.objects.in_bulk(ids),
        "viewers": viewers,
        "plot": _plot(viewers),
        "everywhere": visit.everywhere,
        "waiting": [
            (one, break_glass.is_overdue(one)) for one in break_glass.waiting(visit.enterprise_ids)[:50]
        ],
        "may_reveal": visit.may(Permission.REVEAL),
        "granted": several.waiting(visit.actor),
        "may_review": visit.may(Permission.REVIEW_REVEALS),
        "may_view_people": visit.may(Permission.VIEW_MAPPINGS),
    }
    return render(request, "desk/ledger.html", context)


def _plot(viewers: list[Viewer]) -> dict[str, Any]:
    """What reveals-chart.js draws."""
    return {
        "names": [one.name for one in viewers],
        "counts": [one.count for one in viewers],
        "medians": [one.median for one in viewers],
        "urls": [f"?{urlencode({'viewer': one.name, 'within': '24h'})}" for one in viewers],
    }


def review(request: HttpRequest, visit: Visit, event_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/reveals/<event>/review/"""
    broken = BreakGlass.objects.filter(pk=event_id, enterprise_id__in=visit.enterprise_ids).first()
    event = AuditEvent.objects.filter(pk=event_id).first()
    if broken is None or event is None:
        raise Http404
    form = ReviewForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            break_glass.review(
                event_id,
                was_justified=form.cleaned_data["justified"] == "yes",
                comment=form.cleaned_data["comment"],
                actor=visit.actor,
            )
        except RevealError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "The review is recorded.")
            return redirect("admin:reveals")
    context = {
        "title": "Review",
        "form": form,
        "broken": broken,
        "event": event,
        "reason": dict(Reason.choices).get(event.details.get("reason", ""), ""),
        "is_own": broken.actor_id == visit.actor.id,
        "overdue": break_glass.is_overdue(broken),
    }
    return render(request, "desk/reveal_review.html", context)
