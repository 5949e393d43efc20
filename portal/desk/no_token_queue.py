"""The No Token Queue: messages that fell into it, and what people decide of them."""

import uuid
from collections.abc import Callable
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from audit.free_text import ClearValueInText, no_clear_values
from portal.desk.keyset import sheet
from portal.desk.reveal import reveal_page
from portal.desk.visit import Visit
from portal.reveals.queue import masked_message, masked_number, part_of
from portal.roles import Permission
from tokens.models import FileTransfer, QueueBadLine, QueueMessage
from tokens.no_token_queue import deciding, rules
from tokens.no_token_queue.deciding import LONGEST_REASON
from tokens.no_token_queue.errors import QueueError

Intent, State = QueueMessage.Intent, QueueMessage.State
SHOWN: Final = (("", "Waiting"), ("blocked", "Blocked by keyword"), ("decided", "Decided"), ("all", "All"))
_STATES: Final[dict[str, tuple[str, ...]]] = {
    "": (State.WAITING,),
    "blocked": (State.BLOCKED,),
    "decided": (State.OPT_OUT, State.NOT_OPT_OUT),
}
# How a state and an intent look.
TONES: Final = {
    State.BLOCKED: ("bad", "block"),
    State.WAITING: ("warn", "hourglass_top"),
    State.OPT_OUT: ("bad", "block"),
    State.NOT_OPT_OUT: ("", "do_not_disturb_off"),
}
INTENTS: Final = {
    Intent.KEYWORD: ("bad", "key_visualizer"),
    Intent.LIKELY: ("warn", "priority_high"),
    Intent.UNCLEAR: ("", "help"),
}


class DecideForm(forms.Form):
    """What it means, and why."""

    reason = forms.CharField(
        label="Reason",
        max_length=LONGEST_REASON,
        required=False,
        validators=[no_clear_values],
        help_text="Needed for what is no opt-out. No addresses and numbers of people: it stays in the evidence.",
        widget=forms.Textarea({"rows": 2}),
    )


def queue(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/no-token-queue/ (`?show=`; by default what waits for a decision)"""
    rows = QueueMessage.objects.filter(enterprise__in=visit.enterprise_ids).select_related("extract")
    show = request.GET.get("show", "")
    if show != "all":
        rows = rows.filter(state__in=_STATES.get(show, _STATES[""]))
    page = sheet(rows, request)
    context = {
        "title": "No Token Queue",
        "tab": "messages",
        "sheet": page,
        "lines": [_line(message) for message in page.rows],
        "shown": SHOWN,
        "show": show if show in dict(SHOWN) else "",
        **frame(visit),
    }
    return render(request, "desk/queue.html", context)


def frame(visit: Visit) -> dict[str, Any]:
    """What every page of the queue says on top: how fresh the picture is, and what waits."""
    names = {enterprise.pk: enterprise for enterprise in visit.enterprises}
    waiting = QueueMessage.objects.filter(enterprise__in=names, state=State.WAITING)
    likely = dict(waiting.values_list("intent").annotate(n=Count("pk")))
    return {
        "pictures": [(enterprise, rules.freshness(enterprise)) for enterprise in visit.enterprises],
        "not_fetched": FileTransfer.objects.filter(enterprise__in=names, in_use_since__isnull=False)
        .exclude(trouble="")
        .select_related("enterprise"),
        "enterprises": names,
        "several": len(names) > 1,
        "waiting": sum(likely.values()),
        "waiting_likely": likely.get(Intent.LIKELY, 0),
        "bad_lines": QueueBadLine.objects.filter(
            enterprise__in=names, state=QueueBadLine.State.WAITING
        ).count(),
        "may_decide": visit.may(Permission.UNSUBSCRIBE),
    }


def message(request: HttpRequest, visit: Visit, message_id: uuid.UUID) -> HttpResponse:
    """GET /admin/no-token-queue/messages/<id>/"""
    found = _message(visit, message_id)
    context = {
        "title": "A message of the No Token Queue",
        "line": _line(found),
        "form": DecideForm(),
        "may_decide": visit.may(Permission.UNSUBSCRIBE, found.enterprise_id)
        and found.state in (State.WAITING, State.NOT_OPT_OUT),
        "may_reveal": visit.may(Permission.REVEAL, found.enterprise_id),
        "is_own_half": deciding.half_said(found) and found.decided_by_id == visit.actor.id,
        "enterprise": found.extract.enterprise,
    }
    return render(request, "desk/queue_message.html", context)


def decide(request: HttpRequest, visit: Visit) -> HttpResponse:
    """POST /admin/no-token-queue/decide/: `message` (one or more), `said` and `reason`"""
    form = DecideForm(request.POST)
    verb = _VERBS.get(request.POST.get("said", ""))
    chosen = _chosen(request, visit)
    back = _back(request)
    if not form.is_valid() or verb is None or not chosen:
        said = form.errors.get("reason", ["Choose messages first, then say what they mean."])[0]
        messages.error(request, str(said))
        return redirect(back)
    done, faults = 0, dict[str, int]()
    for found in chosen:
        try:
            verb(found.pk, reason=form.cleaned_data["reason"], actor=visit.actor)
        except (QueueError, ClearValueInText) as error:
            faults[str(error)] = faults.get(str(error), 0) + 1
        else:
            done += 1
    if done:
        messages.success(request, f"Recorded for {done} message{'s' if done > 1 else ''}.")
    for fault, times in faults.items():
        messages.error(request, f"{times} × {fault}" if times > 1 else fault)
    return redirect(back)


_VERBS: Final[dict[str, Callable[..., QueueMessage]]] = {
    "opt-out": deciding.opt_out,
    "not-opt-out": deciding.not_an_opt_out,
}


def reveal_part(request: HttpRequest, visit: Visit, message_id: uuid.UUID, part: str) -> HttpResponse:
    """GET and POST /admin/no-token-queue/messages/<id>/reveal/<number or text>/"""
    found = _message(visit, message_id)
    return reveal_page(request, visit, part_of(found, part), reverse("admin:queue-message", args=[found.pk]))


def _line(found: QueueMessage) -> dict[str, Any]:
    state, intent = State(found.state), Intent(found.intent)
    return {
        "message": found,
        "number": masked_number(found),
        "text": masked_message(found),
        "state": (state.label, *TONES[state]),
        "intent": (intent.label, *INTENTS[intent]),
        "half_said": deciding.half_said(found),
    }


def _message(visit: Visit, message_id: uuid.UUID) -> QueueMessage:
    rows = QueueMessage.objects.select_related("extract__enterprise")
    found = rows.filter(pk=message_id, enterprise__in=visit.enterprise_ids).first()
    if found is None:
        raise Http404
    return found


def _chosen(request: HttpRequest, visit: Visit) -> list[QueueMessage]:
    """The messages that are named, oldest first; of others' enterprises none."""
    ids = []
    for text in request.POST.getlist("message")[:200]:
        try:
            ids.append(uuid.UUID(text))
        except ValueError:
            continue
    rows = QueueMessage.objects.filter(pk__in=ids, enterprise__in=visit.enterprise_ids)
    return list(rows.order_by("pk"))


def _back(request: HttpRequest) -> str:
    one = request.POST.getlist("message")
    if request.POST.get("back") == "message" and len(one) == 1:
        try:
            return reverse("admin:queue-message", args=[uuid.UUID(one[0])])
        except ValueError:
            pass
    return reverse("admin:queue")
