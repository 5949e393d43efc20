"""Revealing several clear values: the form that asks a second person, and the page that shows them once."""

import uuid
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from audit.approvals.errors import ApprovalError, CannotBeDone
from audit.approvals.requests import LONGEST_TEXT
from audit.free_text import no_clear_values
from portal.desk.visit import Visit
from portal.models import RevealGrant
from portal.reveals import caps, several
from portal.reveals.errors import RevealError
from portal.reveals.reasons import Reason, check_case
from portal.reveals.revealing import Why
from portal.reveals.several import Field
from tokens.formats.lookalikes import canonical_token
from tokens.models import Enterprise, Mapping

VALUE: Final = "value"
ATTRIBUTES: Final = "attributes"


class SeveralForm(forms.Form):
    """Whom, which fields, and why."""

    enterprise = forms.ModelChoiceField(Enterprise.objects.none(), empty_label="choose …")
    tokens = forms.CharField(
        label="Tokens",
        max_length=20_000,
        help_text="One a line, as on the pages of people and in the log. No addresses and no numbers of people.",
        widget=forms.Textarea(
            {"rows": 6, "spellcheck": "false", "autocapitalize": "none", "autocomplete": "off"}
        ),
    )
    what = forms.MultipleChoiceField(
        label="Of each of them",
        choices=[(VALUE, "the address or number"), (ATTRIBUTES, "every attribute")],
        initial=[VALUE],
        widget=forms.CheckboxSelectMultiple,
    )
    reason = forms.ChoiceField(label="Reason", choices=[("", "Choose one"), *Reason.choices])
    case = forms.CharField(
        label="Case number",
        max_length=40,
        validators=[check_case],
        help_text="Of the request, ticket or order that this is for: CS-2026-0815.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    text = forms.CharField(
        label="Why all of them",
        max_length=LONGEST_TEXT,
        required=False,
        validators=[no_clear_values],
        help_text="For the second person, who decides by it. No clear values.",
        widget=forms.Textarea({"rows": 3}),
    )

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mine = Enterprise.objects.filter(pk__in=visit.enterprise_ids)
        self.fields["enterprise"].queryset = mine  # type: ignore[attr-defined]
        if len(visit.enterprise_ids) == 1:
            self.fields["enterprise"].initial = visit.enterprise_ids[0]
            self.fields["enterprise"].widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        """Each line is a token of the enterprise. One that is none is not shown again: it may be an address."""
        given = super().clean() or {}
        if "enterprise" not in given or "tokens" not in given:
            return given
        lines = [line.strip() for line in given["tokens"].splitlines() if line.strip()]
        tokens = list(dict.fromkeys(token for line in lines if (token := canonical_token(line))))
        if len(lines) > several.most():
            raise forms.ValidationError(f"One request names at most {several.most()} people.")
        rows = Mapping.objects.filter(enterprise=given["enterprise"], token__in=tokens)
        found = {one.token: one for one in rows}
        given["mappings"] = [found[token] for token in tokens if token in found]
        wrong = [str(number) for number, line in enumerate(lines, 1) if canonical_token(line) not in found]
        if wrong:
            said = f"No token of {given['enterprise']}, and left out: line {', '.join(wrong)}."
            self.add_error("tokens", said)
            kept = QueryDict(mutable=True)
            kept.update(self.data)
            kept["tokens"] = "\n".join(one.token for one in given["mappings"])
            self.data = kept
        return given

    def wanted(self) -> list[Field]:
        """Each value by its name."""
        what = self.cleaned_data["what"]
        return [
            one
            for mapping in self.cleaned_data["mappings"]
            for one in several.fields_of(mapping, value=VALUE in what, attributes=ATTRIBUTES in what)
        ]


def ask(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/reveals/several/ (`?mapping=` for a person who was found)"""
    form = SeveralForm(request.POST or None, visit=visit, initial=_chosen(request, visit))
    if form.is_bound and form.is_valid() and (asked := _asked(form, visit)):
        messages.success(request, asked[0])
        return redirect(asked[1])
    context = {"title": "Reveal several", "form": form, "most": several.most()}
    return render(request, "desk/reveal_several.html", context)


def _chosen(request: HttpRequest, visit: Visit) -> dict[str, Any]:
    chosen = request.GET.get("mapping", "")
    if not chosen.isdecimal():
        return {}
    mapping = Mapping.objects.filter(pk=int(chosen[:18]), enterprise__in=visit.enterprise_ids).first()
    if mapping is None:
        raise Http404
    return {"tokens": mapping.token, "enterprise": mapping.enterprise_id, "what": [VALUE, ATTRIBUTES]}


def _asked(form: SeveralForm, visit: Visit) -> tuple[str, str] | None:
    """What to say and where to go; None where the form now says what was wrong."""
    given = form.cleaned_data
    why = Why(Reason(given["reason"]), given["case"])
    try:
        outcome = several.ask(given["enterprise"], form.wanted(), why, text=given["text"], actor=visit.actor)
    except CannotBeDone as error:
        form.add_error("tokens", str(error))
    except ApprovalError as error:
        form.add_error("text", str(error))
    else:
        if outcome.waits_for is None:
            return "A sandbox needs no second person.", reverse(
                "admin:reveal-grant", args=[outcome.result.pk]
            )
        said = "Asked. Once somebody approved it, you open them from here or from Who saw whom."
        return said, reverse("admin:approval", args=[outcome.waits_for.pk])
    return None


@sensitive_variables("opened")
def grant(request: HttpRequest, visit: Visit, grant_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/reveals/several/<grant>/: what would be opened, masked; then all of it, once"""
    rows = RevealGrant.objects.filter(enterprise_id__in=visit.enterprise_ids, actor_id=visit.actor.id)
    found = rows.filter(pk=grant_id).first()
    if found is None:
        raise Http404
    back = reverse("admin:reveals")
    if request.method == "POST":
        try:
            opened = several.open_all(found, actor=visit.actor)
        except RevealError as error:
            messages.error(request, str(error))
            return redirect(back)
        context = {"title": "Revealed", "opened": opened, "back": back, "seconds": several.SHOWN_SECONDS}
        return render(request, "desk/revealed_several.html", context)
    named = found.parameters
    context = {
        "title": "Reveal several",
        "grant": found,
        "fields": len(named["fields"]),
        "people": len({one[0] for one in named["fields"]}),
        "reason": Reason(named["reason"]).label,
        "case": named["case"],
        "back": back,
        "seconds": several.SHOWN_SECONDS,
        "use": caps.use_of(visit.actor.id),
        "hard": settings.REVEALS_HARD_CAP,
    }
    return render(request, "desk/reveal_grant.html", context)
