"""Approvals: what waits for a decision, what was asked and decided, and deciding."""

import datetime
import uuid
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from audit.approvals import requests
from audit.approvals.errors import ApprovalError
from audit.models import ApprovalRequest
from audit.vocabulary import ApprovedAct
from portal.desk import inbox
from portal.desk.keyset import sheet
from portal.desk.visit import Visit
from portal.reveals import several
from portal.roles import Permission
from tokens.models import Enterprise

State = ApprovalRequest.State
# What the process that people approve in can't do itself.
LATER: Final[dict[str, str]] = {
    ApprovedAct.DROP_MONTHS: "Approved. The maintenance process drops it within minutes: see Retention.",
    ApprovedAct.DECLARE_RESTORE: "Approved. The command that asked has to be run again now.",
}
ACTS: Final = dict(ApprovedAct.choices)
STATES: Final[dict[str, tuple[str, str]]] = {
    State.PENDING: ("warn", "hourglass_top"),
    State.APPROVED: ("good", "check_circle"),
    State.REJECTED: ("bad", "block"),
    State.WITHDRAWN: ("", "undo"),
    State.EXPIRED: ("", "timer_off"),
    State.FAILED: ("bad", "error"),
}


class DecisionForm(forms.Form):
    """Yes or no, and why."""

    decision = forms.ChoiceField(choices=[("approve", "approve"), ("reject", "reject")])
    comment = forms.CharField(
        label="Comment",
        max_length=requests.LONGEST_TEXT,
        required=False,
        widget=forms.Textarea({"rows": 3}),
        help_text="Kept with the request. Clear values don't belong here.",
    )


def approvals(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/approvals/: what waits, for me first; `?show=mine` and `?show=all` for what was"""
    show = request.GET.get("show", "")
    waiting = [_line(asked, visit) for asked in inbox.open_requests(visit.grants, visit.actor)]
    rows = inbox.visible(ApprovalRequest.objects.all(), visit.grants, visit.actor)
    if show == "mine":
        rows = rows.filter(requester_id=visit.actor.id)
    context = {
        "title": "Approvals",
        "show": show,
        "mine_to_decide": [line for line in waiting if line["may_decide"]],
        "others": [line for line in waiting if not line["may_decide"]],
        "sheet": sheet(rows, request) if show else None,
        "states": STATES,
        "acts": ACTS,
        "enterprises": _names(visit),
        "now": timezone.now(),
    }
    return render(request, "desk/approvals.html", context)


def approval(request: HttpRequest, visit: Visit, approval_id: uuid.UUID) -> HttpResponse:
    """GET /admin/approvals/<id>/: the exact difference, and the decision for who may take it"""
    asked = _asked(visit, approval_id)
    now = timezone.now()
    is_open = asked.state == State.PENDING and now < asked.expires_at
    state = State.EXPIRED if asked.state == State.PENDING and not is_open else State(asked.state)
    may_decide = is_open and inbox.may_decide(asked, visit.grants, visit.actor)
    context = {
        "title": ACTS.get(asked.act, asked.act),
        "asked": asked,
        "act": ACTS.get(asked.act, asked.act),
        "state": state,
        "look": STATES[state],
        "is_open": is_open,
        "too_early": is_open and now < asked.decidable_from,
        "is_own": asked.requester_id == visit.actor.id,
        "by_delay": requests.is_own(asked, visit.actor),
        "form": DecisionForm() if may_decide else None,
        "left": _left(asked, now),
        "digest": bytes(asked.digest).hex(),
        "enterprise": _names(visit).get(asked.enterprise_id),
        "may_see_events": visit.may(Permission.VIEW_EVENTS),
        "grant": next((one for one in several.waiting(visit.actor) if one.approval_id == asked.pk), None)
        if asked.act == ApprovedAct.REVEAL_SEVERAL
        else None,
    }
    return render(request, "desk/approval.html", context)


def decide(request: HttpRequest, visit: Visit, approval_id: uuid.UUID) -> HttpResponse:
    """POST /admin/approvals/<id>/decide/"""
    asked, form = _asked(visit, approval_id), DecisionForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose Approve or Reject; a comment has at most 2,000 characters.")
        return redirect("admin:approval", asked.pk)
    verb = requests.approve if form.cleaned_data["decision"] == "approve" else requests.reject
    try:
        decided = verb(asked.pk, actor=visit.actor, comment=form.cleaned_data["comment"])
    except ApprovalError as error:
        messages.error(request, str(error))
    else:
        if decided.state == State.FAILED:
            messages.error(request, f"Nothing was done. {decided.failure}")
        else:
            done = LATER.get(decided.act, "Approved and done.")
            said = done if decided.state == State.APPROVED else "Rejected: nothing was done."
            messages.success(request, said)
    return redirect("admin:approval", asked.pk)


def withdraw(request: HttpRequest, visit: Visit, approval_id: uuid.UUID) -> HttpResponse:
    """POST /admin/approvals/<id>/withdraw/"""
    asked = _asked(visit, approval_id)
    try:
        requests.withdraw(asked.pk, actor=visit.actor)
    except ApprovalError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Withdrawn: nothing was done.")
    return redirect("admin:approval", asked.pk)


def _asked(visit: Visit, approval_id: uuid.UUID) -> ApprovalRequest:
    rows = inbox.visible(ApprovalRequest.objects.filter(pk=approval_id), visit.grants, visit.actor)
    found = rows.first()
    if found is None:
        raise Http404
    return found


def _line(asked: ApprovalRequest, visit: Visit) -> dict[str, Any]:
    return {
        "asked": asked,
        "may_decide": inbox.may_decide(asked, visit.grants, visit.actor),
        "is_own": asked.requester_id == visit.actor.id,
        "left": _left(asked, timezone.now()),
    }


def _left(asked: ApprovalRequest, now: datetime.datetime) -> str:
    """How long it can still be decided, in words."""
    minutes = int((asked.expires_at - now).total_seconds() // 60)
    if minutes < 1:
        return "less than a minute left"
    return f"{minutes // 60} h {minutes % 60:02} min left" if minutes >= 60 else f"{minutes} min left"


def _names(visit: Visit) -> dict[int | None, str]:
    names: dict[int | None, str] = dict(Enterprise.objects.values_list("pk", "name"))
    return names | {None: "the whole installation"}
