"""Extracts of the No Token Queue: a file comes in, its columns are said, its lines are taken over; and the settings."""

import uuid
from dataclasses import replace
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from portal.desk.keyset import sheet
from portal.desk.no_token_queue import frame
from portal.desk.uploads import SealedUpload
from portal.desk.visit import Visit
from tokens.models import Enterprise, QueueExtract
from tokens.no_token_queue import dates, extracts, recipes, rules
from tokens.no_token_queue.errors import QueueError
from tokens.no_token_queue.keywords import ALWAYS, LANGUAGES
from tokens.no_token_queue.reading import ENCODINGS, LARGEST_BYTES, Sheet
from tokens.no_token_queue.recipes import HOLDS, Column, Reading

DELIMITERS: Final = [("", "found by itself"), (",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "bar")]


def _moment(label: str, help_text: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(label=label, help_text=help_text, widget=widget)


class ExtractForm(forms.Form):
    """The file, and how fresh it is."""

    file = forms.FileField(
        label="Extract",
        help_text="CSV, TSV or XLSX, with the names of the columns in the first line. It is sealed as it arrives.",
        widget=forms.FileInput({"accept": ".csv,.tsv,.txt,.xlsx,text/csv"}),
    )
    extracted_at = _moment(
        "When Marketing Cloud wrote it (UTC)",
        "It stands beside the file where you took it from, and tells how old our picture of the queue is.",
    )
    encoding = forms.ChoiceField(choices=ENCODINGS, required=False)
    delimiter = forms.ChoiceField(label="Cells are parted by", choices=DELIMITERS, required=False)

    def clean_file(self) -> SealedUpload:
        """A file of a size that extracts have."""
        upload: SealedUpload = self.cleaned_data["file"]
        if upload.is_too_large or (upload.size or 0) > LARGEST_BYTES:
            raise forms.ValidationError(
                f"Files over {LARGEST_BYTES // 1_000_000} MB are no extracts: take it in parts."
            )
        return upload


class ColumnsForm(forms.Form):
    """What each column holds, and how its cells are written. Fields are numbered by the place of the column."""

    order = forms.ChoiceField(label="Dates are written", choices=dates.ORDERS)
    zone = forms.ChoiceField(
        label="Dates are of",
        choices=dates.ZONES,
        help_text="[assumed] UTC: should they be of the Americas, due dates come hours too early, never too late.",
    )
    region = forms.CharField(
        label="Country of numbers without one",
        max_length=2,
        required=False,
        help_text="Two letters such as US. Empty: they begin with their country code, as Marketing Cloud writes them.",
    )
    name = forms.CharField(
        label="Keep this as the recipe",
        max_length=100,
        required=False,
        help_text="With a name, the next extract that has these columns is read so without asking.",
    )

    def __init__(self, *args: Any, columns: list[Column], reading: Reading, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns = columns
        self.initial = {"order": reading.order, "zone": reading.zone, "region": reading.region}
        held = {column: target for target, column in reading.columns.items()}
        for place, column in enumerate(columns):
            self.fields[f"holds-{place}"] = forms.ChoiceField(
                label=f"{column.name} holds",
                choices=[("", "nothing we need"), *HOLDS],
                required=False,
                initial=held.get(column.name, ""),
            )

    def rows(self) -> list[dict[str, Any]]:
        """A row of the table for each column: what is guessed, and its field."""
        return [
            {"column": column, "holds": self[f"holds-{place}"]} for place, column in enumerate(self.columns)
        ]

    def reading(self) -> Reading:
        """What was said. Raises BadRecipe."""
        given = self.cleaned_data
        chosen = recipes.one_column_each(
            (given[f"holds-{place}"], column.name) for place, column in enumerate(self.columns)
        )
        return Reading(columns=chosen, order=given["order"], zone=given["zone"], region=given["region"])


class SettingsForm(forms.Form):
    """How the queue of an enterprise is read."""

    languages = forms.MultipleChoiceField(
        label="People write in",
        choices=list(LANGUAGES.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    keywords = forms.CharField(
        label="Keywords of your own",
        required=False,
        max_length=2000,
        widget=forms.Textarea({"rows": 3}),
        help_text=f"One a line, the whole message. {', '.join(ALWAYS).upper()} always block.",
    )
    stale_after_hours = forms.IntegerField(
        label="An extract is stale after (hours)", min_value=1, max_value=24 * 31
    )
    ladder = forms.CharField(
        label="Seconds until Marketing Cloud's next tries",
        max_length=200,
        help_text="[assumed] 5, 30, 60, 120 is Salesforce's own example. The rescue window counts by it.",
    )

    def waits(self) -> list[int]:
        """The ladder. Raises ValueError."""
        return [int(part) for part in self.cleaned_data["ladder"].replace(",", " ").split()]


def extracts_page(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/no-token-queue/extracts/"""
    rows = QueueExtract.objects.filter(enterprise__in=visit.enterprise_ids).defer("content")
    context = {
        "title": "Extracts",
        "tab": "extracts",
        "sheet": sheet(rows, request),
        "recipes": recipes.of_enterprises(visit.enterprise_ids),
        **frame(visit),
    }
    return render(request, "desk/queue_extracts.html", context)


def new(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/no-token-queue/new/?enterprise=…: whose queue it is stands in the address"""
    enterprise = _chosen(request, visit)
    form = ExtractForm(request.POST or None, request.FILES or None)
    if enterprise is not None and form.is_bound and form.is_valid():
        extract = _load(form, enterprise, visit)
        if extract is not None:
            return _go_on(request, visit, extract)
    context = {
        "title": "Import an extract",
        "form": form,
        "enterprise": enterprise,
        "enterprises": visit.enterprises,
    }
    return render(request, "desk/queue_new.html", context)


def _load(form: ExtractForm, enterprise: Enterprise, visit: Visit) -> QueueExtract | None:
    given = form.cleaned_data
    upload = given["file"]
    assert isinstance(upload, SealedUpload)
    try:
        return extracts.load(
            enterprise,
            upload.blocks(),
            name=upload.name or "",
            extracted_at=given["extracted_at"],
            actor=visit.actor,
            encoding=given["encoding"],
            delimiter=given["delimiter"],
        )
    except QueueError as error:
        form.add_error("file", str(error))
    return None


def _go_on(request: HttpRequest, visit: Visit, extract: QueueExtract) -> HttpResponse:
    """With a recipe that fits the lines are taken over at once; without one the columns are asked for."""
    if extract.state == QueueExtract.State.IMPORTED:
        messages.info(request, "This extract was taken over before. Nothing was changed.")
        return redirect("admin:queue-extracts")
    try:
        reading = extracts.recipe_for(extract)
    except QueueError:
        return redirect("admin:queue-columns", extract.pk)
    return _take_over(request, visit, extract, reading) or redirect("admin:queue-columns", extract.pk)


def _take_over(
    request: HttpRequest, visit: Visit, extract: QueueExtract, reading: Reading
) -> HttpResponse | None:
    try:
        done = extracts.take_over(extract, reading, actor=visit.actor)
    except QueueError as error:
        messages.error(request, str(error))
        return None
    messages.success(
        request,
        f"{done.lines} lines: {done.new} new, {done.known} known, {done.blocked} blocked by a keyword.",
    )
    if done.bad:
        messages.warning(
            request, f"{done.bad} lines could not be read whole. They wait for somebody to settle them."
        )
    return redirect("admin:queue-lines" if done.bad else "admin:queue")


def columns(request: HttpRequest, visit: Visit, extract_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/no-token-queue/extracts/<id>/columns/"""
    rows = QueueExtract.objects.select_related("enterprise").filter(enterprise__in=visit.enterprise_ids)
    extract = rows.filter(pk=extract_id).first()
    if extract is None:
        raise Http404
    if extract.state == QueueExtract.State.IMPORTED:
        return redirect("admin:queue-extracts")
    sheet_read: Sheet = extracts.sheet_of(extract)
    proposal, held = recipes.propose(sheet_read, extract.enterprise)
    form = ColumnsForm(request.POST or None, columns=held, reading=proposal)
    if form.is_bound and form.is_valid():
        taken = _map(request, visit, extract, form)
        if taken is not None:
            return taken
    context = {
        "title": "What the columns hold",
        "extract": extract,
        "form": form,
        "lines": len(sheet_read.records),
        "written_as": sheet_read.written_as,
    }
    return render(request, "desk/queue_columns.html", context)


def _map(request: HttpRequest, visit: Visit, extract: QueueExtract, form: ColumnsForm) -> HttpResponse | None:
    kept = {name: extract.reading.get(name, "") for name in ("encoding", "delimiter")}
    try:
        reading = replace(form.reading(), **kept).checked()
        if form.cleaned_data["name"]:
            recipes.save(extract.enterprise, form.cleaned_data["name"], reading, actor=visit.actor)
    except QueueError as error:
        form.add_error(None, str(error))
        return None
    return _take_over(request, visit, extract, reading)


def settings_page(request: HttpRequest, visit: Visit, enterprise_id: int) -> HttpResponse:
    """GET and POST /admin/no-token-queue/settings/<enterprise>/"""
    enterprise = next((one for one in visit.enterprises if one.pk == enterprise_id), None)
    if enterprise is None:
        raise Http404
    now = rules.rules_of(enterprise)
    form = SettingsForm(
        request.POST or None,
        initial={
            "languages": now.languages,
            "keywords": "\n".join(now.keywords),
            "stale_after_hours": now.stale_after_hours,
            "ladder": ", ".join(map(str, now.retry_seconds)),
        },
    )
    if form.is_bound and form.is_valid() and _change(form, enterprise, visit):
        messages.success(request, "Changed. It holds for extracts and tries from now on.")
        return redirect("admin:queue")
    context = {"title": "How the queue is read", "form": form, "enterprise": enterprise}
    return render(request, "desk/queue_settings.html", context)


def _change(form: SettingsForm, enterprise: Enterprise, visit: Visit) -> bool:
    given = form.cleaned_data
    try:
        rules.change(
            enterprise,
            languages=given["languages"],
            keywords=given["keywords"].split("\n") if given["keywords"].strip() else [],
            stale_after_hours=given["stale_after_hours"],
            retry_seconds=form.waits(),
            actor=visit.actor,
        )
    except ValueError:
        form.add_error("ladder", "Write whole seconds with commas between them: 5, 30, 60, 120.")
    except QueueError as error:
        form.add_error(None, str(error))
    else:
        return True
    return False


def _chosen(request: HttpRequest, visit: Visit) -> Enterprise | None:
    chosen = request.GET.get("enterprise", "")
    if not chosen and len(visit.enterprises) == 1:
        return visit.enterprises[0]
    return next((enterprise for enterprise in visit.enterprises if str(enterprise.pk) == chosen), None)
