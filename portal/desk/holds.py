"""Legal holds: what is held and why; placed by an officer, released by approval."""

import uuid
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from audit import holds
from audit.approvals.errors import ApprovalError
from audit.free_text import no_clear_values
from audit.models import LegalHold, PayloadEntry
from audit.trail import Target
from portal.desk.cases import case_field
from portal.desk.keyset import sheet
from portal.desk.masks import masked
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.models import Enterprise, Mapping

STATES: Final = (("", "in force"), ("released", "released"), ("all", "all"))


def _moment(label: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput({"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")
    return forms.DateTimeField(label=label, widget=widget)


class HoldForm(forms.Form):
    """What is held is given by the link that led here; a range of time is typed."""

    enterprise = forms.ModelChoiceField(Enterprise.objects.none(), empty_label="choose …")
    first = _moment("From (UTC)")
    before = _moment("Before (UTC)")
    case = case_field()
    reason = forms.CharField(
        max_length=2000,
        validators=[no_clear_values],
        help_text="Why it must be kept. No clear values: it stands in the event trail.",
        widget=forms.Textarea({"rows": 3}),
    )

    def __init__(self, *args: Any, visit: Visit, needs_range: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not needs_range:
            for name in ("enterprise", "first", "before"):
                del self.fields[name]
            return
        mine = Enterprise.objects.filter(pk__in=visit.enterprise_ids)
        self.fields["enterprise"].queryset = mine  # type: ignore[attr-defined]
        if len(visit.enterprise_ids) == 1:
            self.fields["enterprise"].initial = visit.enterprise_ids[0]
            self.fields["enterprise"].widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        """A range ends after it begins."""
        given = super().clean() or {}
        if given.get("first") and given.get("before") and given["before"] <= given["first"]:
            self.add_error("before", "The range ends before it begins.")
        return given


class ReleaseForm(forms.Form):
    """For the person who approves."""

    reason = forms.CharField(
        max_length=2000,
        validators=[no_clear_values],
        help_text="A second person decides by it. No clear values.",
        widget=forms.Textarea({"rows": 3}),
    )


def holds_page(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/holds/ (`?state=released` or `all`)"""
    rows = LegalHold.objects.filter(enterprise_id__in=visit.enterprise_ids)
    state = request.GET.get("state", "")
    if state != "all":
        rows = rows.filter(released_at__isnull=state != "released")
    context = {
        "title": "Legal holds",
        "sheet": sheet(rows, request),
        "states": STATES,
        "state": state if state in dict(STATES) else "",
        "enterprises": {enterprise.pk: enterprise for enterprise in visit.enterprises},
        "several": len(visit.enterprises) > 1,
        "may_place": visit.may(Permission.PLACE_HOLDS),
    }
    return render(request, "desk/holds.html", context)


def new(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/holds/new/ (`?mapping=` or `?entry=`; a range of time without either)"""
    mapping, entry = _mapping(request, visit), _entry(request, visit)
    form = HoldForm(request.POST or None, visit=visit, needs_range=not (mapping or entry))
    if form.is_bound and form.is_valid():
        _place(form.cleaned_data, mapping, entry, visit)
        messages.success(request, "Placed. Nothing of it is dropped or destroyed until it is released.")
        return redirect("admin:holds")
    context = {
        "title": "Place a legal hold",
        "form": form,
        "mapping": mapping,
        "masked": masked(mapping) if mapping else "",
        "entry": entry,
    }
    return render(request, "desk/hold_new.html", context)


def release(request: HttpRequest, visit: Visit, hold_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/holds/<id>/release/: asks a second person"""
    hold = LegalHold.objects.filter(pk=hold_id, enterprise_id__in=visit.enterprise_ids).first()
    if hold is None:
        raise Http404
    form = ReleaseForm(request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            outcome = holds.ask_to_release(hold, reason=form.cleaned_data["reason"], actor=visit.actor)
        except ApprovalError as error:
            form.add_error(None, str(error))
        else:
            said = (
                "Asked: a second person decides." if outcome.waits_for else "Released: it was of a sandbox."
            )
            messages.info(request, said)
            return redirect("admin:holds")
    return render(request, "desk/hold_release.html", {"title": "Release a hold", "form": form, "hold": hold})


def _place(
    given: dict[str, Any], mapping: Mapping | None, entry: PayloadEntry | None, visit: Visit
) -> LegalHold:
    why: dict[str, Any] = {"case": given["case"], "reason": given["reason"], "actor": visit.actor}
    if mapping:
        subject = Target("mapping", str(mapping.pk), mapping.token)
        return holds.place(
            enterprise_id=mapping.enterprise_id, scope=holds.Scope.PERSON, subject=subject, **why
        )
    if entry:
        assert entry.enterprise_id is not None
        return holds.place(
            enterprise_id=entry.enterprise_id, scope=holds.Scope.ENTRY, entry_id=entry.pk, **why
        )
    return holds.place(
        enterprise_id=given["enterprise"].pk,
        scope=holds.Scope.RANGE,
        first=given["first"],
        before=given["before"],
        **why,
    )


def _mapping(request: HttpRequest, visit: Visit) -> Mapping | None:
    chosen = request.GET.get("mapping", "")
    if not chosen.isdecimal():
        return None
    rows = Mapping.objects.select_related("enterprise").filter(enterprise__in=visit.enterprise_ids)
    mapping = rows.filter(pk=int(chosen[:18])).first()
    if mapping is None:
        raise Http404
    return mapping


def _entry(request: HttpRequest, visit: Visit) -> PayloadEntry | None:
    try:
        entry_id = uuid.UUID(request.GET["entry"])
    except (KeyError, ValueError):
        return None
    rows = PayloadEntry.objects.filter(enterprise_id__in=visit.enterprise_ids)
    entry = rows.only("id", "at", "api", "enterprise_id").filter(pk=entry_id).first()
    if entry is None:
        raise Http404
    return entry
