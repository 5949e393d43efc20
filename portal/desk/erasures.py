"""Erasures: asked for from the person's page, how far each is, what people can do for it, and its receipt."""

import uuid
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from audit.approvals.errors import ApprovalError
from audit.free_text import ClearValueInText, no_clear_values
from audit.models import ApprovalRequest, AuditEvent, SealQueueEntry
from audit.seals.status import seals_of
from audit.vocabulary import Action, ApprovedAct
from portal.desk.asking import perform
from portal.desk.cases import case_field
from portal.desk.keyset import sheet
from portal.desk.masks import masked
from portal.desk.people import mapping_in
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.erasure import asking, receipt, renewal, word, work
from tokens.models import ContactDelete, Enterprise, Erasure, Mapping

State = Erasure.State
BADGES: Final = {
    State.BLOCKED: ("warn", "block"),
    State.DELETED: ("warn", "cloud_off"),
    State.DESTROYED: ("warn", "delete_forever"),
    State.DONE: ("good", "task_alt"),
}
LISTS: Final = (("", "under way"), ("done", "verified"), ("all", "all"))
_ACTS: Final = dict(Action.choices)
HISTORY: Final = 100


class EraseForm(forms.Form):
    """Whose contacts, for which case, and why."""

    contacts = forms.TypedMultipleChoiceField(
        label="Subscriber keys of this person",
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        help_text="Untick those of other people who share it: then it stays, for them.",
    )
    case = case_field(help_text="Of the request. No name and no address: it stands in the event trail.")
    reason = forms.CharField(
        max_length=2000,
        validators=[no_clear_values],
        help_text="A second person decides by it. No clear values.",
        widget=forms.Textarea({"rows": 3}),
    )

    def __init__(self, *args: Any, mapping: Mapping, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        held = [(link.contact_id, link.contact.subscriber_key) for link in asking.holders(mapping)]
        if held:
            self.fields["contacts"].choices = held  # type: ignore[attr-defined]
            self.fields["contacts"].initial = [contact for contact, _ in held]
        else:
            del self.fields["contacts"]


class WordForm(forms.Form):
    """What shows that somebody deleted the contacts by hand."""

    delete = forms.IntegerField(widget=forms.HiddenInput)
    evidence = forms.CharField(
        max_length=500,
        validators=[no_clear_values],
        help_text="What shows it, and where it is filed: “ticket 4711, screenshot”. No clear values.",
    )


class RenewForm(forms.Form):
    """Consent that was given after the erasure, and where it is filed."""

    consented_at = forms.DateTimeField(
        label="When they consented anew (UTC)",
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    evidence = forms.CharField(
        max_length=1000,
        validators=[no_clear_values],
        help_text="What proves it, and where it is filed: “double opt-in, file DOI-2026-7”. No clear values.",
        widget=forms.Textarea({"rows": 2}),
    )
    reason = forms.CharField(
        max_length=2000,
        validators=[no_clear_values],
        help_text="A second person decides by it. No clear values.",
        widget=forms.Textarea({"rows": 2}),
    )


def ask(request: HttpRequest, visit: Visit, mapping_id: int) -> HttpResponse:
    """GET and POST /admin/people/<mapping id>/erase/: asks a second person"""
    mapping = mapping_in(visit, mapping_id)
    form = EraseForm(request.POST or None, mapping=mapping)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        try:
            outcome = asking.ask(
                mapping,
                given.get("contacts", []),
                case=given["case"],
                reason=given["reason"],
                actor=visit.actor,
            )
        except (ApprovalError, ClearValueInText) as error:
            form.add_error(None, str(error))
        else:
            if outcome.waits_for:
                messages.success(
                    request, "Asked. Nothing was done yet: it waits for approval by a second person."
                )
                return redirect("admin:approval", outcome.waits_for.pk)
            messages.success(request, "Begun: it is of a sandbox, where nobody else need approve.")
            return redirect("admin:erasure", outcome.result.pk)
    context = {
        "title": "Erase a person",
        "form": form,
        "mapping": mapping,
        "masked": masked(mapping),
        "stays": asking.STAYS,
    }
    return render(request, "desk/erasure_new.html", context)


def renew(request: HttpRequest, visit: Visit, mapping_id: int) -> HttpResponse:
    """GET and POST /admin/people/<mapping id>/renew/: asks a second person"""
    mapping = mapping_in(visit, mapping_id)
    form = RenewForm(request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            outcome = renewal.ask(mapping, actor=visit.actor, **form.cleaned_data)
        except (ApprovalError, ClearValueInText) as error:
            form.add_error(None, str(error))
        else:
            if outcome.waits_for:
                messages.success(request, "Asked: they stay erased until a second person approves it.")
                return redirect("admin:approval", outcome.waits_for.pk)
            messages.success(request, "Done: it is of a sandbox, where nobody else need approve.")
            return redirect("admin:person", mapping.pk)
    context = {"title": "They consented anew", "form": form, "mapping": mapping}
    return render(request, "desk/erasure_renew.html", context)


def erasures(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/erasures/ (`?state=done` or `all`)"""
    rows = Erasure.objects.filter(enterprise__in=visit.enterprise_ids).select_related("enterprise", "mapping")
    state = request.GET.get("state", "")
    if state != "all":
        rows = rows.filter(state=State.DONE) if state == "done" else rows.exclude(state=State.DONE)
    context = {
        "title": "Erasures",
        "sheet": sheet(rows, request),
        "lists": LISTS,
        "state": state if state in dict(LISTS) else "",
        "badges": BADGES,
        "several": len(visit.enterprises) > 1,
        "requested": _requested(visit) if not state else [],
    }
    return render(request, "desk/erasures.html", context)


def erasure(request: HttpRequest, visit: Visit, erasure_id: uuid.UUID) -> HttpResponse:
    """GET /admin/erasures/<id>/"""
    return render(request, "desk/erasure.html", _context(_found(visit, erasure_id), visit))


def act(request: HttpRequest, visit: Visit, erasure_id: uuid.UUID) -> HttpResponse:
    """POST /admin/erasures/<id>/act/: `act` is `retry`, or `word` for a contact delete that was done by hand"""
    found, back = _found(visit, erasure_id), reverse("admin:erasure", args=[erasure_id])
    if request.POST.get("act") == "retry":
        if work.try_again(found, actor=visit.actor):
            messages.success(request, "It is tried again within seconds.")
        return redirect(back)
    form = WordForm(request.POST)
    if not form.is_valid():
        context = _context(found, visit) | {"wrong": form}
        return render(request, "desk/erasure.html", context)
    one = ContactDelete.objects.filter(erasure=found, pk=form.cleaned_data["delete"]).first()
    if one is None:
        raise Http404
    evidence = form.cleaned_data["evidence"]
    said = "Noted: it is of a sandbox, where nobody else need confirm."
    return perform(
        request,
        lambda reason: word.confirm(one, evidence=evidence, reason=reason, actor=visit.actor),
        said=said,
        back=back,
    )


def receipt_page(request: HttpRequest, visit: Visit, erasure_id: uuid.UUID) -> HttpResponse:
    """GET /admin/erasures/<id>/receipt/ (`?form=json` as a file): what was done and verified, to print"""
    found = _found(visit, erasure_id)
    if request.GET.get("form") == "json":
        name = f'attachment; filename="erasure-{found.pk}.json"'
        return JsonResponse(receipt.facts(found), headers={"Content-Disposition": name})
    return render(request, "desk/erasure_receipt.html", _context(found, visit) | {"now": timezone.now()})


def _found(visit: Visit, erasure_id: uuid.UUID) -> Erasure:
    rows = Erasure.objects.select_related("enterprise", "mapping__enterprise")
    found = rows.filter(pk=erasure_id, enterprise__in=visit.enterprise_ids).first()
    if found is None:
        raise Http404
    return found


def _requested(visit: Visit) -> list[ApprovalRequest]:
    """What waits for a second person."""
    rows = ApprovalRequest.objects.filter(act=ApprovedAct.ERASE_PERSON, state=ApprovalRequest.State.PENDING)
    return list(visit.evidence(rows).order_by("pk"))


def _context(found: Erasure, visit: Visit) -> dict[str, Any]:
    confirming = ApprovalRequest.objects.filter(
        act=ApprovedAct.CONFIRM_DELETE, target_id=str(found.mapping_id), state=ApprovalRequest.State.PENDING
    )
    waits = {one.parameters["delete"]: one for one in confirming}
    deletes = [(one, waits.get(one.pk)) for one in found.deletes.order_by("pk")]
    return {
        "title": "Erasure",
        "erasure": found,
        "facts": receipt.facts(found),
        "steps": receipt.steps(found),
        "badge": BADGES[State(found.state)],
        "deletes": deletes,
        "enterprise": Enterprise.objects.get(pk=found.enterprise_id),
        "may_act": found.state != State.DONE and visit.may(Permission.ERASE, found.enterprise_id),
        "may_see_person": visit.may(Permission.VIEW_MAPPINGS, found.enterprise_id),
        "history": _history(found),
        "word": WordForm(),
    }


def _history(found: Erasure) -> list[dict[str, Any]]:
    """The events of this erasure, oldest first, with their seals."""
    rows = AuditEvent.objects.filter(target_type="mapping", target_id=str(found.mapping_id))
    told = list(rows.filter(details__erasure=str(found.pk)).order_by("id")[:HISTORY])
    seals = seals_of(SealQueueEntry.Kind.EVENT, [one.pk for one in told])
    return [
        {"event": one, "act": _ACTS.get(one.action, one.action), "seal": seals.get(one.pk)} for one in told
    ]
