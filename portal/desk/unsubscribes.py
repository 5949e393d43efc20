"""Unsubscribes: recorded by hand, listed, and never changed or deleted."""

import datetime
import uuid
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from portal.desk.keyset import sheet
from portal.desk.masks import masked
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.consent import clocks
from tokens.consent.opt_outs import record_opt_out
from tokens.errors import BadOptOut
from tokens.formats.kinds import Kind
from tokens.formats.reasons import InvalidValue
from tokens.models import BusinessUnit, ConsentEvent, Enterprise, Mapping
from tokens.vault import find

Scope, Source = ConsentEvent.Scope, ConsentEvent.Source

# How a request reaches a person at a desk; the other sources are machines.
BY_HAND: Final = [
    (Source.OFFICER.value, "told us directly: phone, letter, mail, in person"),
    (Source.NO_TOKEN_QUEUE.value, "texted STOP, and Marketing Cloud put it in the No Token Queue"),
    (Source.BOUNCE.value, "bounced, or complained to their provider"),
]
SCOPES: Final = [
    (Scope.ENTERPRISE.value, "the whole enterprise: Resolve refuses them from the next request on"),
    (
        Scope.BUSINESS_UNIT.value,
        "one business unit: recorded; Resolve can't know the unit and goes on resolving",
    ),
    (
        Scope.SHORT_CODE.value,
        "one short or long code: recorded; Resolve can't know the code and goes on resolving",
    ),
]
DOUBTFUL: Final = (
    "This looks like a mobile token, but no token of yours reads like it. Check each digit; if it is the person's"
    " number, tick this box."
)
LAWS: Final = [(law.code, law.label) for law in clocks.LAWS]


class UnsubscribeForm(forms.Form):
    """Who, from what, how we know, since when."""

    enterprise = forms.ModelChoiceField(Enterprise.objects.none(), empty_label="choose …")
    who = forms.CharField(
        label="E-mail address, mobile number or token",
        max_length=320,
        help_text="Also of a person we hold no token for. What you type goes into no address, log or history.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )
    scope = forms.ChoiceField(
        label="From what", choices=SCOPES, initial=Scope.ENTERPRISE, widget=forms.RadioSelect
    )
    unit = forms.ModelChoiceField(
        BusinessUnit.objects.none(),
        label="Business unit",
        required=False,
        empty_label="none",
        help_text="For that scope only.",
    )
    code = forms.CharField(
        label="Short or long code", required=False, max_length=20, help_text="For that scope only."
    )
    source = forms.ChoiceField(label="How we know", choices=BY_HAND, initial=Source.OFFICER)
    asked_at = forms.DateTimeField(
        label="When they asked (UTC)",
        help_text="The clock of the law starts here, not when it is typed in.",
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    law = forms.ChoiceField(
        label="Law",
        choices=LAWS,
        required=False,
        help_text="It says until when they must be unsubscribed. Not stated: one business day.",
    )
    evidence = forms.CharField(
        label="Evidence",
        required=False,
        max_length=4000,
        help_text="What they said or wrote, and where it is filed. It is sealed like a clear value.",
        widget=forms.Textarea({"rows": 3}),
    )
    sure = forms.BooleanField(
        label="It is no token but this person's number",
        required=False,
        help_text="Real numbers are hardly ever so long.",
    )
    # Sent twice is recorded once: it becomes the source's id of the event.
    form_id = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, visit: Visit, mapping: Mapping | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {"form_id": uuid.uuid4(), "asked_at": timezone.now().replace(second=0, microsecond=0)}
        self.mapping = mapping
        enterprises = [mapping.enterprise_id] if mapping else visit.enterprise_ids
        self._choose("enterprise", Enterprise.objects.filter(pk__in=enterprises))
        self._choose("unit", BusinessUnit.objects.filter(enterprise__in=enterprises))
        if len(enterprises) == 1:
            self.fields["enterprise"].initial = enterprises[0]
            self.fields["enterprise"].widget = forms.HiddenInput()
        if mapping:
            del self.fields["who"]

    def doubts(self) -> bool:
        """Whether to ask once more: what was typed is as long as a token, and nothing is on record of it."""
        given = self.cleaned_data
        return (
            not given["sure"]
            and find.has_shape_of_mobile_token(given["enterprise"], given["who"])
            and not find.by_value(given["enterprise"], Kind.MOBILE, given["who"]).is_known
        )

    def _choose(self, field: str, rows: Any) -> None:
        self.fields[field].queryset = rows  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """A narrower scope names its unit or code, and the moment is not in the future."""
        given = super().clean() or {}
        if given.get("scope") == Scope.BUSINESS_UNIT and not given.get("unit"):
            self.add_error("unit", "Choose the business unit, or the whole enterprise above.")
        if given.get("scope") == Scope.SHORT_CODE and not given.get("code"):
            self.add_error("code", "Write the code, or choose the whole enterprise above.")
        if (
            given.get("unit")
            and given.get("enterprise")
            and given["unit"].enterprise_id != given["enterprise"].pk
        ):
            self.add_error("unit", "This unit belongs to another enterprise.")
        if given.get("asked_at") and given["asked_at"] > timezone.now() + datetime.timedelta(minutes=5):
            self.add_error("asked_at", "This is in the future. Write the time in UTC.")
        return given

    @property
    def scope_id(self) -> str:
        """The MID or code of a narrower scope."""
        given = self.cleaned_data
        return {
            Scope.BUSINESS_UNIT: lambda: str(given["unit"].mid),
            Scope.SHORT_CODE: lambda: str(given["code"]),
        }.get(given["scope"], str)()


def unsubscribe(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/unsubscribes/new/ (`?mapping=` for a person who was found)"""
    mapping = _chosen_mapping(request, visit)
    form = UnsubscribeForm(request.POST or None, visit=visit, mapping=mapping)
    if form.is_bound and form.is_valid():
        event = _record(form, visit)
        if event is not None:
            messages.success(request, "Recorded. Nobody can change or delete it.")
            return redirect("admin:unsubscribe-event", event.pk)
    context = {
        "title": "Unsubscribe a person",
        "form": form,
        "mapping": mapping,
        "masked": masked(mapping) if mapping else "",
        "lenient": [enterprise for enterprise in visit.enterprises if not enterprise.optout_blocks_resolve],
    }
    return render(request, "desk/unsubscribe.html", context)


def _chosen_mapping(request: HttpRequest, visit: Visit) -> Mapping | None:
    chosen = request.GET.get("mapping", "")
    if not chosen.isdecimal():
        return None
    rows = Mapping.objects.select_related("enterprise").filter(enterprise__in=visit.enterprise_ids)
    return rows.filter(pk=int(chosen[:18])).first()


@sensitive_variables()
def _record(form: UnsubscribeForm, visit: Visit) -> ConsentEvent | None:
    """One call of the domain; what it refuses becomes an error of the form."""
    given = form.cleaned_data
    enterprise, who = given["enterprise"], given.get("who", "")
    mapping = form.mapping or _mapping_of_token(enterprise, who)
    kind = Kind(mapping.kind) if mapping else Kind.EMAIL if "@" in who else Kind.MOBILE
    try:
        if mapping is None and kind == Kind.MOBILE and form.doubts():
            form.add_error("sure", DOUBTFUL)
            return None
        return record_opt_out(
            enterprise,
            kind=kind,
            raw_value=None if mapping else who,
            mapping=mapping,
            scope=given["scope"],
            scope_id=form.scope_id,
            source=given["source"],
            source_id=f"desk:{given['form_id']}",
            occurred_at=given["asked_at"],
            law=given["law"],
            evidence=given["evidence"],
            home=enterprise.default_region,
            actor=visit.actor,
        )
    except InvalidValue as error:
        form.add_error(
            "who", f"This is neither a token of {enterprise} nor a valid {kind.label} value. {error.hint}"
        )
    except BadOptOut as error:
        form.add_error(None, str(error))
    return None


def _mapping_of_token(enterprise: Enterprise, who: str) -> Mapping | None:
    found = find.by_token(enterprise, who)
    return found.mapping if found else None


class UnsubscribeFilter(forms.Form):
    """What the address of the list says."""

    enterprise = forms.ChoiceField(required=False)
    kind = forms.ChoiceField(
        label="Channel",
        required=False,
        choices=[("", "any"), *((str(kind.value), kind.label) for kind in Kind)],
    )
    scope = forms.ChoiceField(required=False, choices=[("", "any"), *Scope.choices])
    source = forms.ChoiceField(required=False, choices=[("", "any"), *Source.choices])

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(str(enterprise.pk), enterprise.name) for enterprise in visit.enterprises]
        self.fields["enterprise"].choices = [("", "any"), *names]  # type: ignore[attr-defined]
        if len(names) < 2:
            del self.fields["enterprise"]


def unsubscribes(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/unsubscribes/"""
    form = UnsubscribeFilter(request.GET, visit=visit)
    events = ConsentEvent.objects.filter(enterprise__in=visit.enterprise_ids)
    events = events.select_related("unsubscribe").defer("evidence")
    if form.is_valid():
        events = events.filter(**{name: value for name, value in form.cleaned_data.items() if value})
    context = {
        "title": "Unsubscribes",
        "form": form,
        "sheet": sheet(events, request),
        "filtered": any(value for name, value in request.GET.items() if name not in ("older", "newer")),
        "enterprises": {enterprise.pk: enterprise for enterprise in visit.enterprises},
        "kinds": {kind.value: kind.label for kind in Kind},
        "may_unsubscribe": visit.may(Permission.UNSUBSCRIBE),
    }
    return render(request, "desk/unsubscribes.html", context)
