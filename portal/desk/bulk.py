"""Bulk jobs: their list, a job as it runs, and what people do with it."""

import datetime
import uuid
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final

from django.contrib import messages
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from portal.bulk_files import reject_lines
from portal.desk.asking import perform
from portal.desk.keyset import sheet
from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.bulk import approval, jobs, output
from tokens.bulk.columns import ColumnMap
from tokens.bulk.errors import BulkError
from tokens.bulk.progress import progress
from tokens.bulk.reasons import hint_of
from tokens.bulk.reconcile import reconcile as reconcile_job
from tokens.models import BulkJob

State = BulkJob.State

# How a state looks, and what it means for the person who watches.
STATES: Final[dict[str, tuple[str, str]]] = {
    State.LOADED: ("", "table_rows"),
    State.PLANNED: ("", "task"),
    State.RUNNING: ("warn", "autorenew"),
    State.PAUSED: ("warn", "pause_circle"),
    State.FINISHED: ("good", "check_circle"),
    State.FAILED: ("bad", "error"),
    State.CANCELLED: ("", "cancel"),
}
# A message and a sweep later somebody should have taken a chunk.
WORK_BEGINS_WITHIN: Final = datetime.timedelta(seconds=20)
MAY_BE_CANCELLED: Final = (State.LOADED, State.PLANNED, State.RUNNING, State.PAUSED, State.FAILED)

# Rejected cells by column and reason, the most frequent first, each with a few masked values.
REJECTS_BY_REASON = """
SELECT "column", code, count(*), min(line), (array_agg(masked ORDER BY line))[1:3]
FROM tokens_bulkreject WHERE job_id = %s
GROUP BY "column", code ORDER BY count(*) DESC, "column", code LIMIT 50
"""


def bulk_jobs(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/bulk/"""
    rows = BulkJob.objects.filter(enterprise__in=visit.enterprise_ids).select_related("enterprise")
    context = {
        "title": "Bulk jobs",
        "sheet": sheet(rows.defer("header", "header_text", "dialect"), request),
        "states": STATES,
        "may_run": visit.may(Permission.RUN_BULK),
    }
    return render(request, "desk/bulk.html", context)


def job(request: HttpRequest, visit: Visit, job_id: uuid.UUID) -> HttpResponse:
    """GET /admin/bulk/<id>/, the permanent address of a job"""
    found = _job(visit, job_id)
    asked = approval.latest(found) if found.state == State.PLANNED else None
    context = _progress_context(found) | {
        "title": found.name,
        "columns": _columns(found),
        "rejects": _rejects_by_reason(found),
        "reconciliation": found.reconciliation,
        "may_run": visit.may(Permission.RUN_BULK, found.enterprise_id),
        "asked": asked,
        "waits": asked is not None and asked.state == "pending" and timezone.now() < asked.expires_at,
        "may_be_cancelled": found.state in MAY_BE_CANCELLED,
    }
    return render(request, "desk/bulk_job.html", context)


def job_progress(request: HttpRequest, visit: Visit, job_id: uuid.UUID) -> HttpResponse:
    """GET /admin/bulk/<id>/progress/, the part of the page that asks for itself every other second"""
    found = _job(visit, job_id)
    response = render(request, "desk/parts/bulk_progress.html", _progress_context(found))
    if found.state != State.RUNNING:
        response["HX-Refresh"] = "true"  # buttons and figures around it have changed
    return response


def _progress_context(found: BulkJob) -> dict[str, Any]:
    tone, icon = STATES[State(found.state)]
    now = progress(found)
    last = now.last_chunk_at or found.started_at
    is_idle = found.state == State.RUNNING and not now.workers_busy
    return {
        "job": found,
        "now": now,
        "tone": tone,
        "icon": icon,
        "nobody_works": is_idle and last is not None and timezone.now() - last > WORK_BEGINS_WITHIN,
    }


def start(request: HttpRequest, visit: Visit, job_id: uuid.UUID) -> HttpResponse:
    """POST /admin/bulk/<id>/start/"""
    found = _job(visit, job_id)
    return perform(
        request,
        lambda reason: approval.start(found, reason=reason, actor=visit.actor),
        said="Started.",
        back=reverse("admin:bulk-job", args=[found.pk]),
    )


def pause(request: HttpRequest, visit: Visit, job_id: uuid.UUID) -> HttpResponse:
    """POST /admin/bulk/<id>/pause/"""
    said = "Paused: what is being worked now is finished, nothing new begins."
    return _act(request, visit, job_id, lambda found: jobs.pause(found, actor=visit.actor), said)


def resume(request: HttpRequest, visit: Visit, job_id: uuid.UUID) -> HttpResponse:
    """POST /admin/bulk/<id>/resume/"""
    return _act(request, visit, job_id, lambda found: jobs.resume(found, actor=visit.actor), "Goes on.")


def cancel(request: HttpRequest, visit: Visit, job_id: uuid.UUID) -> HttpResponse:
    """POST /admin/bulk/<id>/cancel/"""
    said = "Cancelled, and the rows of the file were deleted. Tokens that were made stay."
    return _act(request, visit, job_id, lambda found: jobs.cancel(found, actor=visit.actor), said)


def reconcile(request: HttpRequest, visit: Visit, job_id: uuid.UUID) -> HttpResponse:
    """POST /admin/bulk/<id>/reconcile/"""
    said = "Counted again. What was found stands below."
    return _act(request, visit, job_id, lambda found: reconcile_job(found, actor=visit.actor), said)


def take_output(
    request: HttpRequest, visit: Visit, job_id: uuid.UUID
) -> HttpResponse | StreamingHttpResponse:
    """POST /admin/bulk/<id>/output/: by POST, since taking it is recorded"""
    found = _job(visit, job_id)
    try:
        stream = output.output_stream(found, actor=visit.actor)
    except BulkError as error:
        messages.error(request, str(error))
        return redirect("admin:bulk-job", found.pk)
    return _download(stream, f"{PurePath(found.name).stem}-tokens.csv")


def rejects(request: HttpRequest, visit: Visit, job_id: uuid.UUID) -> StreamingHttpResponse:
    """GET /admin/bulk/<id>/rejects/: line, column, reason and masked value; no clear value is in it"""
    found = _job(visit, job_id)
    lines = (line.encode() for line in reject_lines(found, as_json=False))
    return _download(lines, f"{PurePath(found.name).stem}-rejects.csv")


def _download(stream: Any, name: str) -> StreamingHttpResponse:
    plain = (
        "".join(char for char in name if char.isascii() and (char.isalnum() or char in "-_. ")) or "file.csv"
    )
    return StreamingHttpResponse(
        stream,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{plain}"'},
    )


def _columns(found: BulkJob) -> list[tuple[str, str]]:
    """What each column holds, in words; those that stay in the clear stand last."""
    if not found.columns:
        return []
    mapped = ColumnMap.from_stored(found.columns)
    return [
        *((column, "e-mail address") for column in mapped.email),
        *((column, "mobile number") for column in mapped.mobile),
        *([(mapped.subscriber_key, "subscriber key")] if mapped.subscriber_key else []),
        *(
            (column, f"attribute {name}{' (kept in the output)' if name in mapped.kept else ''}")
            for name, column in mapped.attributes.items()
        ),
        *((column, "left as it is, in the clear") for column in found.header if column not in mapped.all()),
    ]


def _rejects_by_reason(found: BulkJob) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(REJECTS_BY_REASON, [found.pk])
        return [
            {
                "column": column,
                "code": code,
                "hint": hint_of(code),
                "count": count,
                "line": line,
                "masked": masked,
            }
            for column, code, count, line, masked in cursor.fetchall()
        ]


def _act(
    request: HttpRequest, visit: Visit, job_id: uuid.UUID, act: Callable[[BulkJob], object], said: str
) -> HttpResponse:
    found = _job(visit, job_id)
    try:
        act(found)
    except BulkError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said)
    return redirect("admin:bulk-job", found.pk)


def _job(visit: Visit, job_id: uuid.UUID) -> BulkJob:
    rows = BulkJob.objects.select_related("enterprise").filter(enterprise__in=visit.enterprise_ids)
    found = rows.filter(pk=job_id).first()
    if found is None:
        raise Http404
    return found
