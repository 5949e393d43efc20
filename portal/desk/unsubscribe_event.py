"""One opt-out: what it blocks, how far its unsubscribe is, the acts that move it, and the receipt at the end."""

import datetime
import uuid
from collections.abc import Callable
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from audit.approvals.errors import ApprovalError
from audit.free_text import no_clear_values
from audit.models import ApprovalRequest, AuditEvent, SealQueueEntry
from audit.seals.status import seals_of
from audit.vocabulary import Action, ApprovedAct
from portal.desk.asking import perform
from portal.desk.masks import masked
from portal.desk.unsubscribes import LAWS
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.consent import clocks, opt_ins, unsubscribes
from tokens.consent.blind import mapping_of
from tokens.errors import BadOptIn, BadStep
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Unsubscribe, WriteBack
from tokens.write_back import outbox

State = Unsubscribe.State
_ACTS: Final = dict(Action.choices)
HISTORY: Final = 200


class ReasonForm(forms.Form):
    """Why the clock is stopped, or given more time."""

    reason = forms.CharField(
        max_length=2000,
        validators=[no_clear_values],
        help_text="It stands in the event trail. No clear values.",
        widget=forms.Textarea({"rows": 2}),
    )


class ExtensionForm(ReasonForm):
    """So many business days more."""

    days = forms.IntegerField(
        label="Business days more", min_value=1, max_value=unsubscribes.LONGEST_EXTENSION, initial=5
    )
    field_order = ("days", "reason")


class LiftForm(ReasonForm):
    """Later consent, and where it is filed."""

    consented_at = forms.DateTimeField(
        label="When they consented anew (UTC)",
        help_text="It lifts the opt-outs that they asked for before, and none since.",
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    evidence = forms.CharField(
        max_length=1000,
        validators=[no_clear_values],
        help_text="What proves it, and where it is filed: “double opt-in, file DOI-2026-7”. No clear values.",
        widget=forms.Textarea({"rows": 2}),
    )
    field_order = ("consented_at", "evidence", "reason")


Act = Callable[[Unsubscribe, dict[str, Any], Visit], object]
# What a button sends: the form that it needs, what is done, and what is said then.
ACTS: Final[dict[str, tuple[type[forms.Form], Act, str]]] = {
    "take": (
        forms.Form, lambda row, _given, visit: unsubscribes.take(row.pk, actor=visit.actor), "It is yours now.",
    ),
    "written": (
        forms.Form,
        lambda row, _given, visit: unsubscribes.written_by_hand(row.pk, actor=visit.actor),
        "Recorded. Next: a second person looks in Marketing Cloud and confirms it.",
    ),
    "close": (
        forms.Form, lambda row, _given, visit: unsubscribes.close(row.pk, actor=visit.actor), "Closed, with its proof.",
    ),
    "pause": (
        ReasonForm,
        lambda row, given, visit: unsubscribes.pause(row.pk, reason=given["reason"], actor=visit.actor),
        "The clock stands.",
    ),
    "resume": (
        forms.Form, lambda row, _given, visit: unsubscribes.resume(row.pk, actor=visit.actor), "The clock runs on.",
    ),
    "retry": (
        forms.Form,
        lambda row, _given, visit: outbox.try_again(row, actor=visit.actor),
        "It is tried again within seconds.",
    ),
    "extend": (
        ExtensionForm,
        lambda row, given, visit: unsubscribes.extend(
            row.pk, business_days=given["days"], reason=given["reason"], actor=visit.actor
        ),
        "Extended.",
    ),
}  # fmt: skip


def event(request: HttpRequest, visit: Visit, event_id: uuid.UUID) -> HttpResponse:
    """GET /admin/unsubscribes/<id>/"""
    return render(request, "desk/unsubscribe_event.html", _context(_found(visit, event_id), visit))


def act(request: HttpRequest, visit: Visit, event_id: uuid.UUID) -> HttpResponse:
    """POST /admin/unsubscribes/<id>/act/: `act` names one of ACTS, or asks a second person to confirm."""
    found = _found(visit, event_id)
    row, name = _unsubscribe_of(found), request.POST.get("act", "")
    if row is None or not visit.may(Permission.UNSUBSCRIBE, found.enterprise_id):
        raise PermissionDenied
    back = reverse("admin:unsubscribe-event", args=[found.pk])
    if name == "confirm":
        said = "Closed: it is of a sandbox, where nobody else need confirm."
        return perform(
            request,
            lambda reason: unsubscribes.confirm(row.pk, reason=reason, actor=visit.actor),
            said=said,
            back=back,
        )
    if name not in ACTS:
        raise Http404
    form_class, step, said = ACTS[name]
    form = form_class(request.POST)
    if not form.is_valid():
        context = _context(found, visit) | {f"{name}_form": form}
        return render(request, "desk/unsubscribe_event.html", context)
    try:
        step(row, form.cleaned_data, visit)
    except BadStep as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said)
    return redirect(back)


def lift(request: HttpRequest, visit: Visit, event_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/unsubscribes/<id>/lift/: asks a second person"""
    found = _found(visit, event_id)
    if found.pk not in {one.pk for one in opt_ins.state_of_person(found).opt_outs}:
        messages.info(request, "This opt-out is not in force any more.")
        return redirect("admin:unsubscribe-event", found.pk)
    form = LiftForm(request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            outcome = opt_ins.ask(found, actor=visit.actor, **form.cleaned_data)
        except (ApprovalError, BadOptIn) as error:
            form.add_error(None, str(error))
        else:
            if outcome.waits_for:
                messages.success(request, "Asked: they stay unsubscribed until a second person approves it.")
                return redirect("admin:approval", outcome.waits_for.pk)
            messages.success(request, "Lifted: it was of a sandbox, where nobody else need approve.")
            return redirect("admin:unsubscribe-event", found.pk)
    return render(request, "desk/unsubscribe_lift.html", _context(found, visit) | {"form": form})


def receipt(request: HttpRequest, visit: Visit, event_id: uuid.UUID) -> HttpResponse:
    """GET /admin/unsubscribes/<id>/receipt/: all that proves it, to print"""
    return render(request, "desk/unsubscribe_receipt.html", _context(_found(visit, event_id), visit))


def _found(visit: Visit, event_id: uuid.UUID) -> ConsentEvent:
    rows = ConsentEvent.objects.select_related("enterprise", "unsubscribe").defer("evidence")
    found = rows.filter(pk=event_id, enterprise__in=visit.enterprise_ids).first()
    if found is None:
        raise Http404
    return found


def _unsubscribe_of(event: ConsentEvent) -> Unsubscribe | None:
    """Opt-ins have none."""
    return getattr(event, "unsubscribe", None)


def _context(found: ConsentEvent, visit: Visit) -> dict[str, Any]:
    may_see = visit.may(Permission.VIEW_MAPPINGS, found.enterprise_id)
    mapping = mapping_of(found) if may_see else None
    row = _unsubscribe_of(found)
    return {
        "title": "Opt-out",
        "event": found,
        "has_evidence": ConsentEvent.objects.filter(pk=found.pk, evidence__isnull=False).exists(),
        "kind": Kind(found.kind),
        "blocks": found.action == ConsentEvent.Action.OPT_OUT
        and found.scope == ConsentEvent.Scope.ENTERPRISE
        and found.enterprise.optout_blocks_resolve,
        "law": dict(LAWS).get(found.law, found.law),
        "mapping": mapping,
        "masked": masked(mapping) if mapping else "",
        "now": timezone.now(),
        "me": visit.actor.id,
        "in_force": found.pk in {one.pk for one in opt_ins.state_of_person(found).opt_outs},
        "may_unsubscribe": visit.may(Permission.UNSUBSCRIBE, found.enterprise_id),
        "may_act": row is not None
        and row.state != State.CLOSED
        and visit.may(Permission.UNSUBSCRIBE, found.enterprise_id),
        "pause_form": ReasonForm(),
        "extend_form": ExtensionForm(),
    } | (_course(row) if row else {"row": None})


def _course(row: Unsubscribe) -> dict[str, Any]:
    """How far it is: steps, clock, what waits for approval, history with seals."""
    waiting = ApprovalRequest.objects.filter(
        act=ApprovedAct.CONFIRM_UNSUBSCRIBE, target_id=str(row.pk), state=ApprovalRequest.State.PENDING
    )
    return {
        "row": row,
        "urgency": clocks.urgency(row.asked_at, row.due_at, timezone.now()),
        "local_due": _local(row),
        "waits": waiting.first(),
        "write_back": WriteBack.objects.filter(pk=row.pk).first(),
        "history": _history(row),
    }


def _local(row: Unsubscribe) -> str:
    zone = clocks.law_of(row.law).zone
    # A term ends at midnight: people say the day that ends then.
    last = (row.due_at - datetime.timedelta(seconds=1)).astimezone(ZoneInfo(zone))
    return f"end of {last:%A %-d %B %Y}, {zone.rpartition('/')[2].replace('_', ' ')} time"


def _history(row: Unsubscribe) -> list[dict[str, Any]]:
    """What was done, oldest first, the opt-out itself before it."""
    ids = Q(target_type="unsubscribe") | Q(target_type="consent-event")
    told = list(AuditEvent.objects.filter(ids, target_id=str(row.pk)).order_by("id")[:HISTORY])
    seals = seals_of(SealQueueEntry.Kind.EVENT, [one.pk for one in told])
    return [
        {"event": one, "act": _ACTS.get(one.action, one.action), "seal": seals.get(one.pk)} for one in told
    ]
