"""Access requests: a pack of everything on record of one person, for a named case, to print or as JSON."""

import uuid
from collections.abc import Iterator
from typing import Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from audit.approvals.errors import ApprovalError
from audit.free_text import no_clear_values
from portal.desk.cases import case_field
from portal.desk.gate import fresh_factor_first
from portal.desk.masks import masked
from portal.desk.pack_html import POLICY, as_html
from portal.desk.people import mapping_in
from portal.desk.visit import Visit
from tokens.dossier import packs
from tokens.dossier.account import Account, as_json
from tokens.errors import PackError
from tokens.models import AccessPack, Mapping

SHOWN: Final = 20


class PackForm(forms.Form):
    """For which case, and with what."""

    case = case_field(
        help_text="Of the access request. No name and no address: it stands in the event trail."
    )
    clear = forms.BooleanField(
        label="With clear values",
        required=False,
        help_text="The person's address or number, attributes and evidence of consent. A second person has to approve.",
    )
    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=2000,
        validators=[no_clear_values],
        help_text="For the person who approves. No clear values.",
        widget=forms.Textarea({"rows": 2}),
    )

    def clean_reason(self) -> str:
        """Clear values need one."""
        reason = str(self.cleaned_data["reason"]).strip()
        if self.cleaned_data.get("clear") and not reason:
            raise forms.ValidationError("A second person decides by the reason: write one.")
        return reason


def pack_page(request: HttpRequest, visit: Visit, mapping_id: int) -> HttpResponse:
    """GET and POST /admin/people/<mapping id>/pack/: make a pack, and take those that were made"""
    mapping = mapping_in(visit, mapping_id)
    form = PackForm(request.POST or None)
    if form.is_bound and form.is_valid() and _made(request, visit, mapping, form):
        return redirect("admin:pack", mapping.pk)
    made = AccessPack.objects.filter(mapping=mapping).order_by("-pk")[:SHOWN]
    context = {
        "title": "Access pack",
        "form": form,
        "mapping": mapping,
        "masked": masked(mapping),
        "packs": made,
        "now": timezone.now(),
        "days": packs.DAYS,
        "me": visit.actor.id,
    }
    return render(request, "desk/pack.html", context)


def _made(request: HttpRequest, visit: Visit, mapping: Mapping, form: PackForm) -> bool:
    """One call of the domain; what it refuses becomes an error of the form."""
    given = form.cleaned_data
    if not given["clear"]:
        packs.make(mapping, case=given["case"], actor=visit.actor)
        messages.success(request, "The pack is ready below.")
        return True
    try:
        outcome = packs.ask_for_clear(mapping, case=given["case"], reason=given["reason"], actor=visit.actor)
    except ApprovalError as error:
        form.add_error(None, str(error))
        return False
    if outcome.waits_for:
        messages.info(
            request, "Asked. Once a second person has approved it, the pack in clear is below for you."
        )
    else:
        messages.success(request, "This enterprise is a sandbox: the pack in clear is ready below.")
    return True


@sensitive_variables("account", "pieces")
def take(
    request: HttpRequest, visit: Visit, mapping_id: int, pack_id: uuid.UUID
) -> HttpResponse | StreamingHttpResponse:
    """POST /admin/people/<mapping id>/pack/<id>/ (`form`: html or json); that it was taken is recorded first"""
    mapping = mapping_in(visit, mapping_id)
    pack = (
        AccessPack.objects.select_related("mapping__enterprise").filter(pk=pack_id, mapping=mapping).first()
    )
    if pack is None:
        raise Http404
    if pack.clear and (stop := fresh_factor_first(request)):
        return stop
    form = "json" if request.POST.get("form") == "json" else "html"
    try:
        packs.take(pack, form=form, actor=visit.actor)
    except PackError as error:
        messages.error(request, str(error))
        return redirect("admin:pack", mapping.pk)
    account = Account(pack, taken_by=visit.actor.name, taken_at=timezone.now())
    pieces = as_json(account) if form == "json" else as_html(account)
    return _file(pieces, form, f"access-pack-{pack.pk}")


def _file(pieces: Iterator[str], form: str, name: str) -> StreamingHttpResponse:
    if form == "json":
        response = StreamingHttpResponse(pieces, content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="{name}.json"'
        return response
    response = StreamingHttpResponse(pieces, content_type="text/html; charset=utf-8")
    response["Content-Disposition"] = f'inline; filename="{name}.html"'
    response["Content-Security-Policy"] = f"{POLICY}; frame-ancestors 'none'"
    return response
