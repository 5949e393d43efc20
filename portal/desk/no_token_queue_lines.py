"""Lines of extracts that could not be read whole: kept sealed, told by line and column, settled by somebody."""

import uuid
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from audit.free_text import ClearValueInText, no_clear_values
from portal.desk.keyset import sheet
from portal.desk.no_token_queue import frame
from portal.desk.reveal import reveal_page
from portal.desk.visit import Visit
from portal.reveals.queue import line_of
from portal.roles import Permission
from tokens.models import QueueBadLine
from tokens.no_token_queue import deciding
from tokens.no_token_queue.deciding import LONGEST_REASON
from tokens.no_token_queue.errors import QueueError
from tokens.no_token_queue.faults import hint_of

State = QueueBadLine.State
SHOWN: Final = (("", "Waiting"), ("settled", "Settled"), ("all", "All"))


class SettleForm(forms.Form):
    """What was done about it."""

    how = forms.CharField(
        label="What was done about it",
        max_length=LONGEST_REASON,
        validators=[no_clear_values],
        help_text="Unsubscribed by hand, asked for a new extract, … No addresses and numbers of people.",
        widget=forms.Textarea({"rows": 2}),
    )


def lines(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/no-token-queue/lines/ (`?show=settled` or `all`)"""
    rows = QueueBadLine.objects.filter(enterprise__in=visit.enterprise_ids).select_related("extract")
    show = request.GET.get("show", "")
    if show != "all":
        rows = rows.filter(state=State.SETTLED if show == "settled" else State.WAITING)
    context = {
        "title": "Lines that could not be read",
        "tab": "lines",
        "sheet": sheet(rows.defer("content"), request),
        "hints": {fault: hint_of(fault) for fault in rows.values_list("fault", flat=True).distinct()},
        "shown": SHOWN,
        "show": show if show in dict(SHOWN) else "",
        **frame(visit),
    }
    return render(request, "desk/queue_lines.html", context)


def line(request: HttpRequest, visit: Visit, line_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/no-token-queue/lines/<id>/"""
    found = _line(visit, line_id)
    form = SettleForm(request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            deciding.settle(found.pk, how=form.cleaned_data["how"], actor=visit.actor)
        except (QueueError, ClearValueInText) as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Settled.")
            return redirect("admin:queue-lines")
    context: dict[str, Any] = {
        "title": "A line that could not be read",
        "line": found,
        "hint": hint_of(found.fault),
        "form": form,
        "may_reveal": visit.may(Permission.REVEAL, found.enterprise_id) and found.content is not None,
    }
    return render(request, "desk/queue_line.html", context)


def reveal_line(request: HttpRequest, visit: Visit, line_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/no-token-queue/lines/<id>/reveal/"""
    found = _line(visit, line_id)
    return reveal_page(request, visit, line_of(found), reverse("admin:queue-line", args=[found.pk]))


def _line(visit: Visit, line_id: uuid.UUID) -> QueueBadLine:
    rows = QueueBadLine.objects.select_related("extract", "message")
    found = rows.filter(pk=line_id, enterprise__in=visit.enterprise_ids).first()
    if found is None:
        raise Http404
    return found
