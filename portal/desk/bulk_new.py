"""A new bulk job: the file comes in, then its columns are mapped, then it can be started."""

import uuid
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from portal.desk.uploads import SealedUpload
from portal.desk.visit import Visit
from tokens.bulk import plan
from tokens.bulk.columns import ColumnMap
from tokens.bulk.errors import BulkError, KeysAreIdentifiers
from tokens.bulk.guess import ATTRIBUTE, ColumnGuess, guess
from tokens.models import BulkJob, Enterprise

DELIMITERS: Final = [("", "found by itself"), (",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "bar")]
HOLDS: Final = [
    ("", "leave as it is"),
    ("email", "e-mail address"),
    ("mobile", "mobile number"),
    ("subscriber_key", "subscriber key"),
    (ATTRIBUTE, "attribute"),
]


class UploadForm(forms.Form):
    """The file."""

    file = forms.FileField(
        label="CSV file",
        help_text="UTF-8, with the names of the columns in the first line. It is sealed as it arrives.",
        widget=forms.FileInput({"accept": ".csv,.txt,.tsv,text/csv"}),
    )
    delimiter = forms.ChoiceField(label="Cells are parted by", choices=DELIMITERS, required=False)

    def clean_file(self) -> SealedUpload:
        """A file that is small enough for a browser."""
        upload: SealedUpload = self.cleaned_data["file"]
        if upload.is_too_large:
            limit = settings.UPLOAD_MAX_BYTES // 1_000_000
            raise forms.ValidationError(
                f"Files over {limit:,} MB go in by `manage.py bulk plan`, on the server."
            )
        return upload


def new(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET and POST /admin/bulk/new/?enterprise=…: whose people they are stands in the address, never who they are"""
    enterprise = _chosen(request, visit)
    form = UploadForm(request.POST or None, request.FILES or None)
    if enterprise is not None and form.is_bound and form.is_valid():
        job = _load(form, enterprise, visit)
        if job is not None:
            return redirect("admin:bulk-columns", job.pk)
    context = {
        "title": "Convert a file",
        "form": form,
        "enterprise": enterprise,
        "enterprises": visit.enterprises,
    }
    return render(request, "desk/bulk_new.html", context)


def _chosen(request: HttpRequest, visit: Visit) -> Enterprise | None:
    chosen = request.GET.get("enterprise", "")
    if not chosen and len(visit.enterprises) == 1:
        return visit.enterprises[0]
    return next((enterprise for enterprise in visit.enterprises if str(enterprise.pk) == chosen), None)


def _load(form: UploadForm, enterprise: Enterprise, visit: Visit) -> BulkJob | None:
    upload = form.cleaned_data["file"]
    assert isinstance(upload, SealedUpload)
    try:
        return plan.load(
            enterprise,
            upload.blocks(),
            name=upload.name or "",
            actor=visit.actor,
            delimiter=form.cleaned_data["delimiter"] or None,
        )
    except BulkError as error:
        form.add_error("file", str(error))
    return None


class ColumnsForm(forms.Form):
    """What each column holds. Fields are numbered by the place of the column in the file."""

    region = forms.CharField(
        label="Country of numbers without one",
        max_length=2,
        required=False,
        help_text="Two letters such as DE: every number without a plus is read as one of that country. "
        "Empty: numbers begin with their country code.",
    )
    derive_keys = forms.BooleanField(
        label="Make subscriber keys where the file's are addresses or numbers",
        required=False,
        help_text="Keys that name a person would defeat tokenization: Marketing Cloud stores them in the clear.",
    )

    def __init__(self, *args: Any, job: BulkJob, guesses: list[ColumnGuess], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.job, self.guesses = job, guesses
        if any(guessed.national for guessed in guesses):
            self.fields["region"].initial = job.enterprise.default_region
        for place, guessed in enumerate(guesses):
            self.fields[f"holds-{place}"] = forms.ChoiceField(
                label=f"{guessed.column} holds", choices=HOLDS, required=False, initial=guessed.target
            )
            self.fields[f"name-{place}"] = forms.CharField(
                label=f"Attribute name of {guessed.column}",
                max_length=100,
                required=False,
                initial=guessed.column.strip(),
            )
            self.fields[f"kept-{place}"] = forms.BooleanField(
                label=f"Keep {guessed.column} in the output", required=False
            )

    def rows(self) -> list[dict[str, Any]]:
        """A row of the table for each column: the guess and its fields."""
        return [
            {
                "guess": guessed,
                "holds": self[f"holds-{place}"],
                "name": self[f"name-{place}"],
                "kept": self[f"kept-{place}"],
            }
            for place, guessed in enumerate(self.guesses)
        ]

    def column_map(self) -> ColumnMap:
        """Raises BadColumnMap."""
        held: dict[str, list[str]] = {target: [] for target, _ in HOLDS}
        attributes: list[tuple[str, str]] = []
        kept = []
        for place, column in enumerate(self.job.header):
            target = self.cleaned_data[f"holds-{place}"]
            held[target].append(column)
            if target == ATTRIBUTE:
                name = self.cleaned_data[f"name-{place}"] or column
                attributes.append((name, column))
                if self.cleaned_data[f"kept-{place}"]:
                    kept.append(name)
        pairs = [
            f"{target}={column}"
            for target in ("email", "mobile", "subscriber_key")
            for column in held[target]
        ]
        return ColumnMap.parse(pairs, [f"{name}={column}" for name, column in attributes], kept)


def columns(request: HttpRequest, visit: Visit, job_id: uuid.UUID) -> HttpResponse:
    """GET and POST /admin/bulk/<id>/columns/"""
    rows = BulkJob.objects.select_related("enterprise").filter(enterprise__in=visit.enterprise_ids)
    job = rows.filter(pk=job_id).first()
    if job is None:
        raise Http404
    if job.state not in (BulkJob.State.LOADED, BulkJob.State.PLANNED):
        return redirect("admin:bulk-job", job.pk)
    form = ColumnsForm(request.POST or None, job=job, guesses=guess(job))
    if form.is_bound and form.is_valid() and _map(form, job, visit):
        messages.success(request, "The columns are mapped. Nothing has been converted yet.")
        return redirect("admin:bulk-job", job.pk)
    return render(
        request, "desk/bulk_columns.html", {"title": "What the columns hold", "job": job, "form": form}
    )


def _map(form: ColumnsForm, job: BulkJob, visit: Visit) -> bool:
    given = form.cleaned_data
    try:
        plan.map_columns(
            job,
            form.column_map(),
            region=given["region"],
            derive_keys=given["derive_keys"],
            actor=visit.actor,
        )
    except KeysAreIdentifiers:
        form.add_error(
            "derive_keys", "The subscriber keys are addresses or numbers. Tick this, or map another column."
        )
    except BulkError as error:
        form.add_error(None, str(error))
    else:
        return True
    return False
