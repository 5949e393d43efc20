"""Retention: how long what is kept, what is past that, what was dropped; changes and drops are asked for here."""

from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db.models.fields.json import KT
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from audit.models import AuditEvent, LegalHold, RecordKind, RetentionPolicy, SealQueueEntry
from audit.retention import gaps, kept, months, orders, policies
from audit.retention.months import Month
from audit.seals.status import seals_of
from audit.vocabulary import Action
from portal.desk.asking import perform
from portal.desk.patience import TookTooLong, patience
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens import residue
from tokens.models import Enterprise

SHOWN: Final = 50  # drops and changes on the page; the trail has all


class PolicyForm(forms.Form):
    """A number of months, or nothing for ever."""

    kind = forms.ChoiceField(choices=RecordKind.choices)
    months = forms.IntegerField(min_value=1, max_value=policies.MOST, required=False)


class ResidueForm(forms.Form):
    """Days that the keys of residue live."""

    enterprise = forms.IntegerField()
    days = forms.IntegerField(min_value=0, max_value=residue.MOST_DAYS)


def retention(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/retention/. Figures are of every enterprise together, so they are for who may see all of them."""
    lines, too_slow = [], False
    due = {kind: policies.due(kind, today=months.today()) for kind in RecordKind}
    try:
        with patience():
            states = _states()
            for kind in RecordKind:
                lines += [_due_line(one, states, counted=visit.everywhere) for one in due[kind]]
    except TookTooLong:
        too_slow = True
    context = {
        "title": "Retention",
        "policies": [_policy_line(kind, due[kind]) for kind in RecordKind],
        "residue": visit.enterprises,
        "due": lines,
        "too_slow": too_slow,
        "dropped": _dropped_lines(),
        "changes": RetentionPolicy.objects.order_by("-pk")[:SHOWN],
        "counted": visit.everywhere,
        "may_change": visit.grants.may_everywhere(Permission.CHANGE_RETENTION),
        "may_change_residue": {
            one.pk for one in visit.enterprises if visit.may(Permission.CHANGE_RETENTION, one.pk)
        },
        "may_see_holds": visit.may(Permission.VIEW_HOLDS),
        "may_see_events": visit.grants.may_everywhere(Permission.VIEW_EVENTS),
    }
    return render(request, "desk/retention.html", context)


def change_policy(request: HttpRequest, visit: Visit) -> HttpResponse:
    """POST /admin/retention/policy/ (`kind`, `months`: empty keeps for ever)"""
    form = PolicyForm(request.POST)
    if not form.is_valid():
        return _refused(request, f"Give a number of months from 1 to {policies.MOST}, or leave it empty.")
    kind, keep = RecordKind(form.cleaned_data["kind"]), form.cleaned_data["months"]
    return perform(
        request,
        lambda reason: policies.ask_to_change(kind, keep, reason=reason, actor=visit.actor),
        said="",
        back=reverse("admin:retention"),
    )


def change_residue(request: HttpRequest, visit: Visit) -> HttpResponse:
    """POST /admin/retention/residue/ (`enterprise`, `days`)"""
    form = ResidueForm(request.POST)
    if not form.is_valid():
        return _refused(request, f"Give a number of days from 0 to {residue.MOST_DAYS:,}.")
    enterprise = Enterprise.objects.filter(
        pk__in=visit.enterprise_ids, pk=form.cleaned_data["enterprise"]
    ).first()
    if enterprise is None:
        raise Http404
    return perform(
        request,
        lambda reason: residue.ask_to_change(
            enterprise, form.cleaned_data["days"], reason=reason, actor=visit.actor
        ),
        said="Changed: this enterprise is a sandbox.",
        back=reverse("admin:retention"),
    )


def drop(request: HttpRequest, visit: Visit) -> HttpResponse:
    """POST /admin/retention/drop/ (`kind`, and each `month` as YYYY-MM)"""
    try:
        kind = RecordKind(request.POST.get("kind", ""))
        wanted = [months.of_label(kind, label) for label in request.POST.getlist("month")]
    except ValueError:
        return _refused(request, "Choose months from the list.")
    if not wanted:
        return _refused(request, "Choose at least one month.")
    return perform(
        request,
        lambda reason: orders.ask(wanted, reason=reason, actor=visit.actor),
        said="",
        back=reverse("admin:retention"),
    )


def _refused(request: HttpRequest, why: str) -> HttpResponse:
    messages.error(request, why)
    return redirect("admin:retention")


def _policy_line(kind: RecordKind, due: list[Month]) -> dict[str, Any]:
    policy = policies.in_force(kind)
    return {
        "kind": kind,
        "policy": policy,
        "is_default": policy.pk is None,
        "kept": policies.in_words(policy.months),
        "least": policies.LEAST[kind],
        "most": policies.MOST,
        "due": len(due),
    }


def _states() -> dict[Month, dict[str, Any]]:
    """What is asked, approved or refused, by month."""
    states: dict[Month, dict[str, Any]] = {}
    for asked in orders.waiting():
        states |= {month: {"waits": asked} for month in orders.months_of(asked)}
    open_orders = orders.open_orders()
    refused = _refusals() if open_orders else {}
    for order in open_orders:
        states |= {month: {"order": order, "refused": refused.get(_target(month))} for month in order.months}
    return states


def _refusals() -> dict[str, str]:
    """Why a month could not be dropped, the newest word for each, by the target of its event."""
    rows = AuditEvent.objects.filter(action=Action.DROP_REFUSED).order_by("-pk")
    found = rows.values_list("target_id", KT("details__reason"))[:SHOWN]
    return {target: reason for target, reason in reversed(found) if reason}


def _target(month: Month) -> str:
    return f"{month.kind.value} {month.label}"


def _due_line(month: Month, states: dict[Month, dict[str, Any]], *, counted: bool) -> dict[str, Any]:
    live: list[LegalHold] = kept.holds_on(month)
    rows = months.count([month]) if counted else None
    stays = kept.count(month, live) if counted else 0
    return {
        "month": month,
        "rows": rows,
        "kept": stays,
        "holds": live if counted else [],
        "is_all_kept": rows is not None and rows.rows <= stays,
        "state": states.get(month, {}),
    }


def _dropped_lines() -> list[dict[str, Any]]:
    acts = gaps.acts()[:SHOWN]
    seals = seals_of(SealQueueEntry.Kind.EVENT, [act.event for act in acts])
    return [{"act": act, "seal": seals.get(act.event)} for act in acts]
