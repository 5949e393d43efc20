"""Files of opt-outs, and of bounces and complaints: brought in, their columns said, followed until they are over."""

import uuid
from pathlib import PurePath
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db.models import Count, Min
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render

from portal.desk.keyset import sheet
from portal.desk.uploads import SealedUpload
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.consent import clocks
from tokens.models import Enterprise, OptOutFile, OptOutReject
from tokens.no_token_queue import dates
from tokens.no_token_queue.errors import QueueError
from tokens.no_token_queue.reading import ENCODINGS
from tokens.no_token_queue.recipes import one_column_each
from tokens.opt_out_files import chunks, columns, files
from tokens.opt_out_files.columns import COUNTS, HOLDS, Column, Reading
from tokens.opt_out_files.refusals import hint_of
from tokens.opt_out_files.rejects import as_csv

State = OptOutFile.State
STATES: Final = {
    State.LOADED: ("warn", "view_column"),
    State.RUNNING: ("warn", "autorenew"),
    State.FINISHED: ("good", "check_circle"),
    State.FAILED: ("bad", "error"),
}
DELIMITERS: Final = [("", "found by itself"), (",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "bar")]
LAWS: Final = [(law.code, law.label) for law in clocks.LAWS]
# Beyond so many lines the count is typed: nothing here can be taken back by one person.
TYPED_BEYOND: Final = 100


class FileForm(forms.Form):
    """The file, and what it lists."""

    file = forms.FileField(
        label="File",
        help_text="CSV, TSV or XLSX, with the names of the columns in the first line. It is sealed as it arrives.",
        widget=forms.FileInput({"accept": ".csv,.tsv,.txt,.xlsx,text/csv"}),
    )
    what = forms.ChoiceField(label="It lists", choices=OptOutFile.What.choices, widget=forms.RadioSelect)
    written_at = forms.DateTimeField(
        label="When it was written (UTC)",
        help_text="Lines without a date count from then on.",
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    encoding = forms.ChoiceField(choices=ENCODINGS, required=False)
    delimiter = forms.ChoiceField(label="Cells are parted by", choices=DELIMITERS, required=False)

    def clean_file(self) -> SealedUpload:
        """A file of a size that is read here."""
        upload: SealedUpload = self.cleaned_data["file"]
        if upload.is_too_large or (upload.size or 0) > files.LARGEST_BYTES:
            raise forms.ValidationError(
                f"Files over {files.LARGEST_BYTES // 1_000_000} MB go in by parts: each line counts once."
            )
        return upload


class ColumnsForm(forms.Form):
    """What each column holds, and how its cells are written. Fields are numbered by the place of the column."""

    order = forms.ChoiceField(label="Dates are written", choices=dates.ORDERS)
    zone = forms.ChoiceField(label="Dates are of", choices=dates.ZONES)
    region = forms.CharField(
        label="Country of numbers without one",
        max_length=2,
        required=False,
        help_text="Two letters such as US. Empty: they begin with their country code.",
    )
    law = forms.ChoiceField(
        label="Law", choices=LAWS, required=False, help_text="It says until when they must be unsubscribed."
    )
    counts = forms.CharField(
        label="Reports that end sending",
        max_length=200,
        required=False,
        help_text=f"Words, with commas, where a column says what was reported. By default {', '.join(COUNTS)}.",
    )
    name = forms.CharField(
        label="Keep this as the recipe",
        max_length=100,
        required=False,
        help_text="With a name, the command and the next file with these columns need not ask.",
    )
    typed = forms.IntegerField(label="How many lines are there?")

    def __init__(
        self, *args: Any, lines: int, columns: list[Column], reading: Reading, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.columns, self.lines = columns, lines
        self.initial = {
            "order": reading.order, "zone": reading.zone, "region": reading.region, "law": reading.law,
            "counts": ", ".join(reading.counts),
        }  # fmt: skip
        if lines <= TYPED_BEYOND:
            del self.fields["typed"]
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

    def clean_typed(self) -> int:
        """The very number, so that nobody blocks a million people by a slip."""
        typed: int = self.cleaned_data["typed"]
        if typed != self.lines:
            raise forms.ValidationError(f"It has {self.lines} lines: type that number if you mean them all.")
        return typed

    def reading(self) -> Reading:
        """What was said. Raises BadRecipe: with two columns of addresses one of them would be left out unseen."""
        given = self.cleaned_data
        chosen = one_column_each(
            (given[f"holds-{place}"], column.name) for place, column in enumerate(self.columns)
        )
        words = [word for word in given["counts"].split(",") if word.strip()]
        facts = {name: given[name] for name in ("order", "zone", "region", "law")}
        return Reading(columns=chosen, counts=words, **facts)


def files_page(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/unsubscribes/files/"""
    rows = OptOutFile.objects.filter(enterprise__in=visit.enterprise_ids).select_related("enterprise")
    context = {
        "title": "Files of opt-outs",
        "sheet": sheet(rows, request),
        "states": STATES,
        "several": len(visit.enterprises) > 1,
        "may_import": visit.may(Permission.UNSUBSCRIBE),
    }
    return render(request, "desk/opt_out_files.html", context)


def new(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/unsubscribes/files/new/?enterprise=…: whose people they are stands in the address"""
    chosen = request.GET.get("enterprise", "") or (
        str(visit.enterprises[0].pk) if len(visit.enterprises) == 1 else ""
    )
    enterprise = next((one for one in visit.enterprises if str(one.pk) == chosen), None)
    form = FileForm(request.POST or None, request.FILES or None, initial={"what": OptOutFile.What.OPT_OUTS})
    if enterprise is not None and form.is_bound and form.is_valid():
        file = _load(form, enterprise, visit)
        if file is not None:
            return redirect(
                "admin:opt-out-file" if file.state != State.LOADED else "admin:opt-out-columns", file.pk
            )
    context = {
        "title": "Import opt-outs",
        "form": form,
        "enterprise": enterprise,
        "enterprises": visit.enterprises,
    }
    return render(request, "desk/opt_out_file_new.html", context)


def _load(form: FileForm, enterprise: Enterprise, visit: Visit) -> OptOutFile | None:
    given = form.cleaned_data
    upload = given["file"]
    assert isinstance(upload, SealedUpload)
    try:
        return files.load(
            enterprise,
            upload.blocks(),
            what=OptOutFile.What(given["what"]),
            name=upload.name or "",
            written_at=given["written_at"],
            actor=visit.actor,
            encoding=given["encoding"],
            delimiter=given["delimiter"],
        )
    except QueueError as error:
        form.add_error("file", str(error))
    return None


def columns_page(request: HttpRequest, visit: Visit, file_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/unsubscribes/files/<id>/columns/"""
    file = _file(visit, file_id)
    if file.state != State.LOADED:
        return redirect("admin:opt-out-file", file.pk)
    proposal, held = files.proposed(file)
    form = ColumnsForm(request.POST or None, lines=file.lines, columns=held, reading=proposal)
    if form.is_bound and form.is_valid() and _begin(form, file, visit):
        return redirect("admin:opt-out-file", file.pk)
    context = {"title": "What the columns hold", "file": file, "form": form}
    return render(request, "desk/opt_out_columns.html", context)


def _begin(form: ColumnsForm, file: OptOutFile, visit: Visit) -> bool:
    try:
        how = form.reading().checked(file.header)
        if form.cleaned_data["name"]:
            columns.save(file.enterprise, file.what, form.cleaned_data["name"], how, actor=visit.actor)
        files.begin(file, how, actor=visit.actor)
    except QueueError as error:
        form.add_error(None, str(error))
        return False
    return True


def file_page(request: HttpRequest, visit: Visit, file_id: uuid.UUID) -> HttpResponse:
    """GET /admin/unsubscribes/files/<id>/, its permanent address"""
    file = _file(visit, file_id)
    refused = OptOutReject.objects.filter(file=file).values("column", "code")
    context = _progress(file) | {
        "title": file.name,
        "refused": [
            one | {"hint": hint_of(one["code"])}
            for one in refused.annotate(lines=Count("id"), first=Min("line")).order_by("-lines", "code")[:50]
        ],
        "may_import": visit.may(Permission.UNSUBSCRIBE, file.enterprise_id),
    }
    return render(request, "desk/opt_out_file.html", context)


def progress(request: HttpRequest, visit: Visit, file_id: uuid.UUID) -> HttpResponse:
    """GET /admin/unsubscribes/files/<id>/progress/, the part of the page that asks for itself every other second"""
    file = _file(visit, file_id)
    response = render(request, "desk/parts/opt_out_progress.html", _progress(file))
    if file.state != State.RUNNING:
        response["HX-Refresh"] = "true"  # what stands around it has changed
    return response


def _progress(file: OptOutFile) -> dict[str, Any]:
    tone, icon = STATES[State(file.state)]
    now = chunks.progress(file)
    return {
        "file": file, "now": now, "tone": tone, "icon": icon,
        "percent": 100 * now.done // file.lines if file.lines else 100,
    }  # fmt: skip


def resume(request: HttpRequest, visit: Visit, file_id: uuid.UUID) -> HttpResponse:
    """POST /admin/unsubscribes/files/<id>/resume/"""
    file = _file(visit, file_id)
    try:
        files.resume(file, actor=visit.actor)
        messages.success(request, "It is tried again. Nothing is done twice.")
    except QueueError as error:
        messages.error(request, str(error))
    return redirect("admin:opt-out-file", file.pk)


def rejects(request: HttpRequest, visit: Visit, file_id: uuid.UUID) -> StreamingHttpResponse:
    """GET /admin/unsubscribes/files/<id>/rejects/: line, column, reason and masked value; no clear value is in it"""
    file = _file(visit, file_id)
    stem = "".join(char for char in PurePath(file.name).stem if char.isascii() and char.isalnum()) or "file"
    return StreamingHttpResponse(
        as_csv(file),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{stem}-rejects.csv"'},
    )


def _file(visit: Visit, file_id: uuid.UUID) -> OptOutFile:
    rows = OptOutFile.objects.select_related("enterprise").filter(enterprise__in=visit.enterprise_ids)
    found = rows.filter(pk=file_id).first()
    if found is None:
        raise Http404
    return found
