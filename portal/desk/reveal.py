"""Revealing one clear value: the form that asks why, and the page that shows it for half a minute.

It comes by POST only, is in no address and no cache, and its event is committed before it is opened.
"""

import uuid
from typing import Any, Final

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from audit.free_text import no_clear_values
from audit.models import PayloadEntry
from portal.desk.people import mapping_in
from portal.desk.visit import Visit
from portal.reveals import caps
from portal.reveals.errors import LooksLikeOwn, OverHardCap, RevealError
from portal.reveals.reasons import EXPLANATION_LENGTH, Reason, check_case
from portal.reveals.revealing import Why, reveal
from portal.reveals.subjects import (
    Subject,
    attribute_in_hole,
    attribute_of,
    hole_of,
    names_in_hole,
    value_of,
)
from tokens.log.recording import Side

SHOWN_SECONDS: Final = 30


class RevealForm(forms.Form):
    """Why: a reason from the list and the number of a case; or the glass is broken, with an explanation."""

    reason = forms.ChoiceField(label="Reason", choices=[("", "Choose one"), *Reason.choices])
    case = forms.CharField(
        label="Case number",
        max_length=40,
        required=False,
        validators=[check_case],
        error_messages={"required": "Give the number of the case."},
        help_text="Of the request, ticket or order that this is for: CS-2026-0815.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    break_glass = forms.BooleanField(
        label="Break the glass",
        required=False,
        help_text="For what can't wait: without a case, or beyond the daily cap. "
        "An alarm is raised, and somebody else reviews it within a day.",
    )
    explanation = forms.CharField(
        label="Why it can't wait",
        max_length=EXPLANATION_LENGTH,
        min_length=10,
        required=False,
        validators=[no_clear_values],
        error_messages={"required": "Say why it can't wait."},
        help_text="In a sentence, without addresses and numbers of people.",
    )

    all_the_same = forms.BooleanField(
        label="I know, and go on", required=False, help_text="It stands in the ledger beside the reveal."
    )

    use_required_attribute = False  # what is required hangs on the glass

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_broken = bool(self.data.get("break_glass"))
        self.fields["case"].required, self.fields["explanation"].required = not is_broken, is_broken

    @property
    def why(self) -> Why:
        """What was said."""
        said = self.cleaned_data
        return Why(Reason(said["reason"]), said["case"], said["explanation"] if said["break_glass"] else "")


def value(request: HttpRequest, visit: Visit, mapping_id: int) -> HttpResponse:
    """GET and POST /admin/people/<mapping id>/reveal/"""
    mapping = mapping_in(visit, mapping_id)
    return reveal_page(request, visit, value_of(mapping), reverse("admin:person", args=[mapping.pk]))


def attribute(
    request: HttpRequest, visit: Visit, mapping_id: int, set_id: uuid.UUID, position: int
) -> HttpResponse:
    """GET and POST /admin/people/<mapping id>/attributes/<set>/<position>/reveal/"""
    mapping = mapping_in(visit, mapping_id)
    subject = attribute_of(mapping, set_id, position)
    return reveal_page(request, visit, subject, reverse("admin:person", args=[mapping.pk]))


def hole(request: HttpRequest, visit: Visit, entry_id: uuid.UUID, side: str, number: int) -> HttpResponse:
    """GET and POST /admin/log/<entry>/<request or response>/<hole>/reveal/

    Where a set of attributes stands in the hole the page asks which one, and reveals none.
    """
    entry, of_side = _entry(visit, entry_id, side), Side(side)
    names = names_in_hole(entry, of_side, number)
    if names is not None:
        context = {"title": "Reveal", "entry": entry, "side": side, "number": number, "names": names}
        return render(request, "desk/reveal_attributes.html", context)
    return reveal_page(
        request, visit, hole_of(entry, of_side, number), reverse("admin:log-entry", args=[entry.pk])
    )


def attribute_of_hole(
    request: HttpRequest, visit: Visit, entry_id: uuid.UUID, side: str, number: int, position: int
) -> HttpResponse:
    """GET and POST /admin/log/<entry>/<request or response>/<hole>/<attribute>/reveal/"""
    entry = _entry(visit, entry_id, side)
    subject = attribute_in_hole(entry, Side(side), number, position)
    return reveal_page(request, visit, subject, reverse("admin:log-entry", args=[entry.pk]))


def _entry(visit: Visit, entry_id: uuid.UUID, side: str) -> PayloadEntry:
    entry = visit.evidence(PayloadEntry.objects.filter(pk=entry_id)).first()
    if entry is None or side not in set(Side):
        raise Http404
    return entry


@sensitive_variables("shown")
def reveal_page(request: HttpRequest, visit: Visit, subject: Subject | None, back: str) -> HttpResponse:
    """The form that asks why, or the value for half a minute; `back` is where it leads then."""
    if subject is None:
        raise Http404
    form = RevealForm(request.POST or None)
    refused = nudged = False
    if request.method == "POST" and form.is_valid():
        try:
            all_the_same = bool(form.cleaned_data["all_the_same"])
            shown = reveal(subject, form.why, actor=visit.actor, all_the_same=all_the_same)
        except RevealError as error:
            form.add_error(None, str(error))
            refused, nudged = isinstance(error, OverHardCap), isinstance(error, LooksLikeOwn)
        else:
            context = {"shown": shown, "subject": subject, "back": back, "seconds": SHOWN_SECONDS}
            return render(
                request,
                "desk/revealed.html",
                context | {"title": "Revealed", "soft": settings.REVEALS_SOFT_CAP},
            )
    context = {
        "title": "Reveal",
        "form": form,
        "subject": subject,
        "back": back,
        "use": caps.use_of(visit.actor.id),
        "soft": settings.REVEALS_SOFT_CAP,
        "hard": settings.REVEALS_HARD_CAP,
        "nudged": nudged or bool(form.data.get("all_the_same")),
        "unfold_glass": refused or bool(form.data.get("break_glass")),
    }
    return render(request, "desk/reveal.html", context)
