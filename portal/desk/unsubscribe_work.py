"""What is to be done: open unsubscribes, the most urgent first, taken on or marked as written several at once."""

import uuid
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from audit.trail import Actor
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.consent import clocks, unsubscribes
from tokens.consent.clocks import Urgency
from tokens.errors import BadStep
from tokens.formats.kinds import Kind
from tokens.models import Unsubscribe, WriteBack

State = Unsubscribe.State
# A queue is worked from its head: who wants to see further narrows the list.
SHOWN: Final = 100
# All that match are worked in one go up to so many; of more the filter takes a part.
MOST_AT_ONCE: Final = 1000
TONES: Final = {
    Urgency.OVERDUE: ("bad", "error"),
    Urgency.RED: ("bad", "timer"),
    Urgency.AMBER: ("warn", "timelapse"),
    Urgency.CALM: ("good", "schedule"),
}
NOTHING_CHOSEN: Final = "Tick some rows first, then choose what to do with them."
NOT_THAT_MANY: Final = (
    "Nothing was done: other rows match now than were counted. Look again, and type how many there are."
)
SEVERAL: Final[dict[str, tuple[Callable[[uuid.UUID, Actor], object], str]]] = {
    "take": (lambda key, actor: unsubscribes.take(key, actor=actor), "taken on"),
    "written": (
        lambda key, actor: unsubscribes.written_by_hand(key, actor=actor),
        "marked as unsubscribed in Marketing Cloud",
    ),
}


class WorkFilter(forms.Form):
    """What the address of the list says."""

    enterprise = forms.ChoiceField(required=False)
    kind = forms.ChoiceField(
        label="Channel",
        required=False,
        choices=[("", "any"), *((str(kind.value), kind.label) for kind in Kind)],
    )
    state = forms.ChoiceField(
        required=False,
        choices=[("", "any open"), *(one for one in State.choices if one[0] != State.CLOSED)],
    )
    owner = forms.ChoiceField(
        required=False, choices=[("", "anybody or nobody"), ("me", "me"), ("nobody", "nobody")]
    )
    law = forms.ChoiceField(
        required=False,
        choices=[("", "any"), *((law.code, law.label) for law in clocks.LAWS if law.code)],
    )

    told = forms.ChoiceField(
        label="Marketing Cloud",
        required=False,
        choices=[("", "any"), (WriteBack.State.DEAD.value, "could not be told")],
    )

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(str(enterprise.pk), enterprise.name) for enterprise in visit.enterprises]
        self.fields["enterprise"].choices = [("", "any"), *names]  # type: ignore[attr-defined]
        if len(names) < 2:
            del self.fields["enterprise"]

    def narrowed(self, rows: "QuerySet[Unsubscribe]", visit: Visit) -> "QuerySet[Unsubscribe]":
        """`rows` as the filter wants them."""
        wanted = {name: value for name, value in self.cleaned_data.items() if value}
        owner = wanted.pop("owner", "")
        if "kind" in wanted:
            wanted["event__kind"] = wanted.pop("kind")
        if "told" in wanted:
            wanted["write_back__state"] = wanted.pop("told")
        if owner:
            wanted["owner_id"] = visit.actor.id if owner == "me" else ""
        return rows.filter(**wanted)


def work(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/unsubscribes/open/"""
    form = WorkFilter(request.GET, visit=visit)
    rows = open_ones(visit)
    if form.is_valid():
        rows = form.narrowed(rows, visit)
    found = list(
        rows.select_related("event").defer("event__evidence").order_by("due_at", "event")[: SHOWN + 1]
    )
    now = timezone.now()
    context = {
        "title": "To unsubscribe",
        "form": form,
        "rows": [_line(row, now) for row in found[:SHOWN]],
        "more": len(found) > SHOWN,
        "matching": rows[: MOST_AT_ONCE + 1].count(),
        "most": MOST_AT_ONCE,
        "shown": SHOWN,
        "filtered": any(request.GET.values()),
        "enterprises": {enterprise.pk: enterprise for enterprise in visit.enterprises},
        "kinds": {kind.value: kind.label for kind in Kind},
        "may_act": visit.may(Permission.UNSUBSCRIBE),
        "here": request.get_full_path(),
    }
    return render(request, "desk/unsubscribe_work.html", context)


def act_on_several(request: HttpRequest, visit: Visit) -> HttpResponse:
    """POST /admin/unsubscribes/open/act/: one act on each that was ticked, or on all that match."""
    back = request.POST.get("back", "")
    if not back.startswith("/") or not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = reverse("admin:unsubscribe-work")
    step, words = SEVERAL.get(request.POST.get("act", ""), (None, ""))
    chosen = _all_that_match(request, visit, back) if "count" in request.POST else _ids(request)
    if step is None or not chosen:
        messages.error(request, NOTHING_CHOSEN if chosen is not None else NOT_THAT_MANY)
        return HttpResponseRedirect(back)
    done, refused = 0, []
    for key in Unsubscribe.objects.filter(pk__in=chosen, enterprise__in=visit.enterprise_ids).values_list(
        "pk", flat=True
    ):
        try:
            step(key, visit.actor)
            done += 1
        except BadStep as error:
            refused.append(str(error))
    if done:
        messages.success(request, f"{done} {words}.")
    if left := len(chosen) - done:
        messages.error(request, f"{left} left as they were. {' '.join(sorted(set(refused)))}")
    return HttpResponseRedirect(back)


def _all_that_match(request: HttpRequest, visit: Visit, back: str) -> set[uuid.UUID] | None:
    """What the filter of the page shows now; None if that is not as many as were typed, or too many."""
    form = WorkFilter(QueryDict(urlsplit(back).query), visit=visit)
    if not form.is_valid():
        return None
    rows = form.narrowed(open_ones(visit), visit).values_list("pk", flat=True)[: MOST_AT_ONCE + 1]
    found = set(rows)
    return found if len(found) <= MOST_AT_ONCE and str(len(found)) == request.POST["count"].strip() else None


def open_ones(visit: Visit) -> "QuerySet[Unsubscribe]":
    """The open unsubscribes that the visitor sees."""
    return Unsubscribe.objects.filter(enterprise__in=visit.enterprise_ids).exclude(state=State.CLOSED)


def _ids(request: HttpRequest) -> set[uuid.UUID]:
    ids = set()
    for text in request.POST.getlist("row")[:SHOWN]:
        try:
            ids.add(uuid.UUID(text))
        except ValueError:
            continue
    return ids


def _line(row: Unsubscribe, now: Any) -> dict[str, Any]:
    urgency = clocks.urgency(row.asked_at, row.due_at, now)
    tone, icon = TONES[urgency]
    left = (row.due_at - now).total_seconds()
    return {
        "row": row, "event": row.event, "urgency": urgency.value, "tone": tone, "icon": icon, "left": abs(left),
        "late": left <= 0,
    }  # fmt: skip
