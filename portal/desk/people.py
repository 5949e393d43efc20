"""Finding a person by exact value or token, and what is on record of them. Nobody can be browsed.

What is looked for comes by POST, is looked up by its blind index, and is never shown again but as a mask.
"""

import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_variables

from audit import holds, trail
from audit.models import PayloadEntry, RecordKind
from audit.retention import gaps
from audit.trail import Target
from audit.vocabulary import Action
from portal.desk.keyset import Sheet, sheet_by
from portal.desk.log import COLUMNS
from portal.desk.masks import masked
from portal.desk.patience import TookTooLong, patience
from portal.desk.visit import Visit
from portal.reveals.subjects import attributes_of
from portal.roles import Permission
from tokens.dossier import timeline
from tokens.dossier.timeline import LineKind
from tokens.formats.kinds import Kind
from tokens.formats.mask import mask
from tokens.models import Enterprise, Erasure, Mapping
from tokens.models.mappings import State
from tokens.vault import find
from tokens.vault.find import Found

EXCHANGES_SHOWN_WITHOUT_MAPPING = 20
TITLES: Final = {
    LineKind.EXCHANGE: "Exchanges",
    LineKind.SIGHT: "Who saw them",
    LineKind.CONSENT: "Consent",
    LineKind.ACT: "Acts",
    LineKind.JOB: "Bulk jobs",
    LineKind.RECORD: "Token and keys",
}
ASKED_BY_KIND: Final = {
    LineKind.EXCHANGE: Permission.VIEW_LOG,
    LineKind.SIGHT: Permission.VIEW_EVENTS,
    LineKind.CONSENT: Permission.VIEW_UNSUBSCRIBES,
    LineKind.ACT: Permission.VIEW_EVENTS,
    LineKind.JOB: Permission.VIEW_MAPPINGS,
    LineKind.RECORD: Permission.VIEW_MAPPINGS,
}


class SearchForm(forms.Form):
    """One field for all: what is meant is told by its looks."""

    what = forms.CharField(
        label="E-mail address, mobile number or token",
        max_length=320,
        help_text="The whole of it: there is no search by parts or names. "
        "What you type goes into no address, log or history.",
        widget=forms.TextInput(
            {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off", "autofocus": True}
        ),
    )


@dataclass(frozen=True, slots=True)
class Hit:
    """What one enterprise knows of the value that was looked for."""

    enterprise: Enterprise
    found: Found
    exchanges: list[PayloadEntry]


def search_page(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/people/"""
    if request.method != "POST":
        return render(request, "desk/people.html", {"title": "Find a person", "form": SearchForm()})
    return search_people(request, visit)


def search_everything(request: HttpRequest, visit: Visit) -> HttpResponse:
    """POST /admin/search/, the box on every page: a request id leads to its entry, all else is a person."""
    what = request.POST.get("what", "").strip()
    try:
        entry_id = uuid.UUID(what)
    except ValueError:
        pass
    else:
        return _to_entry(request, visit, entry_id)
    if visit.may(Permission.SEARCH_PEOPLE):
        return search_people(request, visit.asking(Permission.SEARCH_PEOPLE))
    messages.warning(request, "That is no request id, and your roles find request ids only.")
    return redirect("admin:log")


def _to_entry(request: HttpRequest, visit: Visit, entry_id: uuid.UUID) -> HttpResponse:
    if visit.evidence(PayloadEntry.objects.filter(pk=entry_id)).exists() or gaps.drop_of(entry_id):
        return redirect("admin:log-entry", entry_id)
    messages.warning(request, f"The payload log has no entry {entry_id} that you may see.")
    return redirect("admin:log")


@sensitive_variables("what", "form")
def search_people(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Look in each enterprise that the person may search; a single mapping opens at once."""
    form = SearchForm(request.POST)
    context: dict[str, Any] = {
        "title": "Find a person",
        "form": form,
        "may_unsubscribe": visit.may(Permission.UNSUBSCRIBE),
    }
    if not form.is_valid():
        return render(request, "desk/people.html", context)
    what = form.cleaned_data["what"]
    hits = [hit for enterprise in visit.enterprises if (hit := _look(enterprise, what, visit)) is not None]
    if len(hits) == 1 and hits[0].found.mapping is not None:
        return redirect("admin:person", hits[0].found.mapping.pk)
    kind = Kind.EMAIL if "@" in what else Kind.MOBILE
    context |= {"form": SearchForm(), "searched": True, "hits": hits, "masked": mask(kind, what)}
    return render(request, "desk/people.html", context)


@sensitive_variables("what")
def _look(enterprise: Enterprise, what: str, visit: Visit) -> Hit | None:
    found = find.search(enterprise, what)
    exchanges = []
    if found is not None and found.mapping is None and visit.may(Permission.VIEW_LOG, enterprise.pk):
        rows = find.exchanges_of(enterprise, found).only(*COLUMNS)
        exchanges = list(rows[:EXCHANGES_SHOWN_WITHOUT_MAPPING])
    is_known = found is not None and (found.is_known or bool(exchanges))
    trail.record(
        Action.PERSON_SEARCHED,
        actor=visit.actor,
        enterprise_id=enterprise.pk,
        target=Target("mapping", str(found.mapping.pk), found.mapping.token)
        if found and found.mapping
        else None,
        details={"found": is_known},
    )
    return Hit(enterprise, found, exchanges) if found is not None and is_known else None


def person(request: HttpRequest, visit: Visit, mapping_id: int) -> HttpResponse:
    """GET /admin/people/<mapping id>/ (`?show=` for lines of one kind); that somebody looked is recorded first."""
    mapping = mapping_in(visit, mapping_id)
    trail.record(
        Action.PERSON_VIEWED,
        actor=visit.actor,
        enterprise_id=mapping.enterprise_id,
        target=Target("mapping", str(mapping.pk), mapping.token),
    )
    found = find.of_mapping(mapping)
    shown = kinds_for(visit, mapping.enterprise_id)
    chosen = [kind for kind in shown if kind == request.GET.get("show")] or shown
    page, too_slow = Sheet([], "", ""), False
    try:
        with patience():
            page = sheet_by(partial(_lines, found, chosen), request)
    except TookTooLong:
        too_slow = True
    dropped = gaps.in_words(RecordKind.PAYLOAD) if LineKind.EXCHANGE in chosen else ""
    context = {
        "title": "Person",
        "dropped": dropped,
        "copies": gaps.copies_among(line.pk for line in page.rows) if dropped else set(),
        "mapping": mapping,
        "kind": Kind(mapping.kind),
        "masked": masked(mapping),
        "found": found,
        "sheet": page,
        "too_slow": too_slow,
        "shown": [(kind, TITLES[kind]) for kind in shown],
        "chosen": chosen[0] if len(chosen) == 1 else "",
        "holds": list(holds.on_subject("mapping", str(mapping.pk))),
        "erasure": _erasure_of(mapping)
        if visit.may(Permission.VIEW_ERASURES, mapping.enterprise_id)
        else None,
        "attributes": _attributes(found) if visit.may(Permission.REVEAL, mapping.enterprise_id) else [],
        **_offers(visit, mapping),
    }
    return render(request, "desk/person.html", context)


def _offers(visit: Visit, mapping: Mapping) -> dict[str, bool]:
    """What the page of a person leads to, for who looks at it."""
    asked = {
        "may_see_holds": Permission.VIEW_HOLDS,
        "may_hold": Permission.PLACE_HOLDS,
        "may_answer": Permission.ANSWER_ACCESS_REQUESTS,
        "may_see_reveals": Permission.VIEW_REVEALS,
        "may_unsubscribe": Permission.UNSUBSCRIBE,
        "may_see_unsubscribes": Permission.VIEW_UNSUBSCRIBES,
        "may_see_bulk": Permission.VIEW_BULK,
    }
    return {name: visit.may(permission, mapping.enterprise_id) for name, permission in asked.items()} | {
        "may_reveal": visit.may(Permission.REVEAL, mapping.enterprise_id) and mapping.value is not None,
        "may_erase": visit.may(Permission.ERASE, mapping.enterprise_id) and mapping.state == State.ACTIVE,
        "may_renew": visit.may(Permission.ERASE, mapping.enterprise_id) and mapping.state == State.ERASED,
        "may_see_retention": visit.may(Permission.VIEW_RETENTION),
    }


def _erasure_of(mapping: Mapping) -> Erasure | None:
    """The erasure by which a mapping went, or goes."""
    if mapping.state == State.ACTIVE:
        return None
    return Erasure.objects.filter(mappings__contains=[mapping.pk]).order_by("-pk").first()


def mapping_in(visit: Visit, mapping_id: int) -> Mapping:
    """A mapping of an enterprise that the page may show. Raises Http404."""
    rows = Mapping.objects.select_related("enterprise").filter(enterprise__in=visit.enterprise_ids)
    mapping = rows.filter(pk=mapping_id).first()
    if mapping is None:
        raise Http404
    return mapping


def kinds_for(visit: Visit, enterprise_id: int) -> list[LineKind]:
    """The kinds of lines that the person at the desk may see, in the order in which they are offered."""
    return [kind for kind, permission in ASKED_BY_KIND.items() if visit.may(permission, enterprise_id)]


def _attributes(found: Found) -> list[tuple[str, uuid.UUID, int, str]]:
    """(subscriber key, attribute set, position, name) of what can be revealed of the contacts, one by one."""
    return [
        (link.contact.subscriber_key, *attribute) for link in found.links for attribute in attributes_of(link)
    ]


def _lines(
    found: Found, kinds: list[LineKind], older: uuid.UUID | None, newer: uuid.UUID | None, limit: int
) -> list[timeline.Line]:
    return timeline.lines(found, kinds, older=older, newer=newer, limit=limit)
