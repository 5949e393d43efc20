"""How far a job is, from its committed chunks only: what is shown is never more than what is done."""

import datetime
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from tokens.bulk import jobs
from tokens.models import BulkJob

OUTCOMES: Final = ("minted", "reused", "merged", "passed_through", "rejected", "skipped")
# The rate is that of the last seconds, so that a pause or a slow start does not spoil the estimate.
RECENT: Final = datetime.timedelta(seconds=30)

FIGURES: Final = """
SELECT count(*) FILTER (WHERE state = 'done'),
       count(*) FILTER (WHERE state = 'failed'),
       count(*) FILTER (WHERE state = 'pending' AND holder IS NOT NULL AND lease_until >= clock_timestamp()),
       coalesce(sum(rows) FILTER (WHERE state = 'done'), 0)::bigint,
       coalesce(sum(rows) FILTER (WHERE state = 'done' AND finished_at > %(since)s), 0)::bigint,
       max(finished_at),
       coalesce(max(error) FILTER (WHERE state <> 'done'), '')
FROM tokens_bulkchunk WHERE job_id = %(job)s
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """A job as it is now.

    `counts` are cells by what came of them, over both kinds. `seconds_left` is a guess. `trouble` is the code of what
    kept a chunk from being converted at its last try, `failure` that of what stopped the job.
    """

    job: str
    name: str
    state: str
    failure: str
    trouble: str
    rows: int
    rows_done: int
    chunks: int
    chunks_done: int
    chunks_failed: int
    workers_busy: int
    counts: dict[str, int]
    cells_read: int
    keys_rejected: int
    keys_derived: int
    contacts_new: int
    rows_per_second: float
    seconds_left: float | None
    last_chunk_at: datetime.datetime | None

    @property
    def percent(self) -> float:
        """Share of the rows that are done."""
        return 100 * self.rows_done / self.rows if self.rows else 0.0

    @property
    def rejected(self) -> int:
        """Cells that were emptied because they could not be converted, subscriber keys included."""
        return self.counts["rejected"] + self.keys_rejected

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        facts = asdict(self) | {"percent": round(self.percent, 2)}
        facts["last_chunk_at"] = self.last_chunk_at.isoformat() if self.last_chunk_at else None
        return facts


def progress(job: BulkJob) -> Progress:
    """Two statements, cheap enough for once a second."""
    job = BulkJob.objects.get(pk=job.pk)
    since = max(timezone.now() - RECENT, job.started_at) if job.started_at else timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, {"job": job.pk, "since": since})
        done, failed, busy, rows_done, recent_rows, last_chunk_at, trouble = cursor.fetchone()
    totals = jobs.totals(job)
    rate = _rate(job, rows_done, recent_rows, since)
    return Progress(
        job=str(job.pk),
        name=job.name,
        state=job.state,
        failure=job.failure,
        trouble=trouble,
        rows=job.rows,
        rows_done=rows_done,
        chunks=job.chunks,
        chunks_done=done,
        chunks_failed=failed,
        workers_busy=busy,
        counts={outcome: _of_both_kinds(totals, outcome) for outcome in OUTCOMES},
        cells_read=_of_both_kinds(totals, "read"),
        keys_rejected=totals.get("keys.rejected", 0),
        keys_derived=totals.get("keys.derived", 0),
        contacts_new=totals.get("contacts.new", 0),
        rows_per_second=round(rate, 1),
        seconds_left=round((job.rows - rows_done) / rate, 1) if rate and job.state == "running" else None,
        last_chunk_at=last_chunk_at,
    )


def _rate(job: BulkJob, rows_done: int, recent_rows: int, since: datetime.datetime) -> float:
    if job.started_at is None:
        return 0.0
    if job.finished_at is not None:
        return rows_done / max((job.finished_at - job.started_at).total_seconds(), 0.001)
    return recent_rows / max((timezone.now() - since).total_seconds(), 0.001)


def _of_both_kinds(totals: dict[str, int], what: str) -> int:
    return totals.get(f"email.{what}", 0) + totals.get(f"mobile.{what}", 0)
