"""The exports centre: asked for here, made by workers, taken for some days; masked unless a second person approved."""

import datetime
import uuid
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from audit.approvals.errors import ApprovalError
from audit.free_text import no_clear_values
from portal.desk.cases import case_field
from portal.desk.gate import fresh_factor_first
from portal.desk.keyset import sheet
from portal.desk.log import SPANS
from portal.desk.patience import TookTooLong, patience
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.errors import ExportError
from tokens.exports import files, filters, requests
from tokens.models import Enterprise, Export

What, Form = Export.What, Export.Form
STATES: Final = {
    Export.State.RUNNING: ("", "hourglass_top"),
    Export.State.READY: ("good", "check_circle"),
    Export.State.FAILED: ("bad", "error"),
    Export.State.EXPIRED: ("", "history"),
}


def _moment(label: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput({"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")
    return forms.DateTimeField(label=label, required=False, widget=widget)


class ExportForm(forms.Form):
    """What, of when, in which form, for which case."""

    enterprise = forms.ModelChoiceField(Enterprise.objects.none(), empty_label="choose …")
    what = forms.ChoiceField(label="What", choices=What.choices)
    form = forms.ChoiceField(
        label="File",
        choices=Form.choices,
        help_text="Excel for people: every cell is text. CSV has formulas disarmed. JSON lines for machines.",
    )
    since = _moment("From (UTC)")
    before = _moment("Before (UTC)")
    case = case_field()
    clear = forms.BooleanField(
        label="With clear values",
        required=False,
        help_text="Of people and unsubscribes. A second person has to approve, and only you can take it.",
    )
    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=2000,
        validators=[no_clear_values],
        help_text="For the person who approves. No clear values.",
        widget=forms.Textarea({"rows": 2}),
    )

    def __init__(self, *args: Any, visit: Visit, only: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.only = only
        mine = Enterprise.objects.filter(pk__in=visit.enterprise_ids)
        self.fields["enterprise"].queryset = mine  # type: ignore[attr-defined]
        if len(visit.enterprise_ids) == 1:
            self.fields["enterprise"].initial = visit.enterprise_ids[0]
            self.fields["enterprise"].widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        """Clear values need a reason, and a range of time ends after it begins."""
        given = super().clean() or {}
        if given.get("clear") and not str(given.get("reason") or "").strip():
            self.add_error("reason", "A second person decides by the reason: write one.")
        if given.get("since") and given.get("before") and given["before"] <= given["since"]:
            self.add_error("before", "The range ends before it begins.")
        return given

    def wanted(self) -> dict[str, Any]:
        """What the domain is asked for."""
        given, only = self.cleaned_data, dict(self.only)
        for name in filters.TIMES:
            if given[name]:
                only[name] = given[name].astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"what": What(given["what"]), "form": Form(given["form"]), "only": only, "case": given["case"]}


def exports_page(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/exports/"""
    rows = Export.objects.filter(enterprise__in=visit.enterprise_ids).select_related("enterprise")
    context = {
        "title": "Exports",
        "sheet": sheet(rows, request),
        "states": STATES,
        "now": timezone.now(),
        "me": visit.actor.id,
        "several": len(visit.enterprises) > 1,
        "may_make": visit.may(Permission.MAKE_EXPORTS),
    }
    return render(request, "desk/exports.html", context)


def new(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/exports/new/ (`?what=` and the filter of the list that led here)"""
    what = request.GET.get("what", "")
    chosen = What(what) if what in What.values else None
    given = _filter_of_a_list(request)
    only = filters.known(chosen, given) if chosen else {}
    form = ExportForm(request.POST or None, visit=visit, only=only, initial={"what": what})
    if chosen:
        form.fields["what"].choices = [(chosen.value, chosen.label)]  # type: ignore[attr-defined]
    if form.is_bound and form.is_valid() and _asked(request, visit, form):
        return redirect("admin:exports")
    context = {"title": "New export", "form": form, "only": only, "left": sorted(set(given) - set(only))}
    return render(request, "desk/export_new.html", context)


def _filter_of_a_list(request: HttpRequest) -> dict[str, str]:
    """What a list was narrowed by, in the words of exports."""
    given = {name: str(value) for name, value in request.GET.items() if value}
    for name in ("what", "older", "newer", "enterprise"):
        given.pop(name, None)
    span = SPANS.get(given.pop("within", ""))
    if span:
        given["since"] = (timezone.now() - span).strftime("%Y-%m-%dT%H:%M:%SZ")
    if "until" in given:
        given["before"] = given.pop("until")
    return given


def _asked(request: HttpRequest, visit: Visit, form: ExportForm) -> bool:
    """One call of the domain; what it refuses becomes an error of the form."""
    given, wanted = form.cleaned_data, form.wanted()
    try:
        with patience():
            if not given["clear"]:
                requests.ask(given["enterprise"], actor=visit.actor, **wanted)
                messages.success(request, "Asked for: a worker makes it.")
                return True
            outcome = requests.ask_for_clear(
                given["enterprise"], reason=given["reason"], actor=visit.actor, **wanted
            )
    except (ApprovalError, ExportError) as error:
        form.add_error(None, str(error))
        return False
    except TookTooLong:
        form.add_error("since", "Looking for the rows took too long. Choose a narrower time.")
        return False
    waits = "A second person decides now; once approved, a worker makes it and it stands below."
    messages.info(request, waits if outcome.waits_for else "This enterprise is a sandbox: a worker makes it.")
    return True


def take(request: HttpRequest, visit: Visit, export_id: uuid.UUID) -> HttpResponse | StreamingHttpResponse:
    """POST /admin/exports/<id>/: that it was taken is recorded first"""
    rows = Export.objects.filter(enterprise__in=visit.enterprise_ids)
    export = rows.filter(pk=export_id).first()
    if export is None:
        raise Http404
    if export.clear and (stop := fresh_factor_first(request)):
        return stop
    try:
        export = requests.take(export, actor=visit.actor)
    except ExportError as error:
        messages.error(request, str(error))
        return redirect("admin:exports")
    stream = files.stream(export, taken_by=visit.actor.name, taken_at=timezone.now())
    response = StreamingHttpResponse(stream, content_type=files.TYPES[Form(export.form)])
    name = f"{export.what}-{export.pk}.{export.form}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
