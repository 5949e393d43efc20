"""What people do with a planned job. Each verb locks the job, checks its state and records an event."""

from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from audit import trail
from audit.trail import SYSTEM, Actor
from audit.vocabulary import Action
from tokens.bulk import doorbell, errors
from tokens.bulk.plan import target
from tokens.models import BulkChunk, BulkJob

State = BulkJob.State
MOST_WORKERS: Final = 32
UNFINISHED: Final = (State.LOADED, State.PLANNED, State.RUNNING, State.PAUSED, State.FAILED)


@transaction.atomic
def start(job: BulkJob, *, actor: Actor, workers: int | None = None) -> BulkJob:
    """Let workers convert a planned job, `workers` chunks at a time. Raises WrongState."""
    job = _locked(job, State.PLANNED)
    job.workers = min(workers or settings.WORKER_PROCESSES, MOST_WORKERS)
    job.mapping_mark = _mapping_mark()
    job.state = State.RUNNING
    job.save(update_fields=["workers", "mapping_mark", "state"])
    BulkJob.objects.filter(pk=job.pk).update(started_at=Now())
    _record(Action.BULK_STARTED, job, actor, rows=job.rows, workers=job.workers)
    transaction.on_commit(lambda: doorbell.ring(job.pk, job.workers))
    return job


@transaction.atomic
def pause(job: BulkJob, *, actor: Actor) -> BulkJob:
    """Stop after the chunks that are being worked now. Raises WrongState."""
    job = _locked(job, State.RUNNING)
    _enter(job, State.PAUSED)
    _record(Action.BULK_PAUSED, job, actor)
    return job


@transaction.atomic
def resume(job: BulkJob, *, actor: Actor) -> BulkJob:
    """Go on with a paused job, or try the chunks of a failed one again. Raises WrongState."""
    job = _locked(job, State.PAUSED, State.FAILED)
    BulkChunk.objects.filter(job=job, state=BulkChunk.State.FAILED).update(
        state=BulkChunk.State.PENDING, failures=0, claims=0, lease_until=None
    )
    job.failure = ""
    job.finished_at = None
    job.save(update_fields=["failure", "finished_at"])
    _enter(job, State.RUNNING)
    _record(Action.BULK_RESUMED, job, actor)
    transaction.on_commit(lambda: doorbell.ring(job.pk, job.workers))
    return job


@transaction.atomic
def cancel(job: BulkJob, *, actor: Actor) -> BulkJob:
    """End an unfinished job and delete its rows; tokens that it minted stay. Raises WrongState."""
    job = _locked(job, *UNFINISHED)
    job.finished_at = None
    _enter(job, State.CANCELLED)
    BulkJob.objects.filter(pk=job.pk).update(finished_at=Now())
    # The next epoch fences off the workers that are in a chunk now: they write nothing any more.
    BulkChunk.objects.filter(job=job, state=BulkChunk.State.PENDING).update(epoch=F("epoch") + 1)
    delete_slices(job)
    _record(Action.BULK_CANCELLED, job, actor)
    return job


def delete_slices(job: BulkJob) -> None:
    """Delete the rows of the file and of its output; what is known of the job stays."""
    BulkChunk.objects.filter(job=job).update(source=None, output=None)
    BulkJob.objects.filter(pk=job.pk).update(emptied_at=Now())


# -- what the engine itself does to a job -------------------------------------------------------------------
CLOSE: Final = """
UPDATE tokens_bulkjob SET state = 'finished', finished_at = clock_timestamp()
WHERE id = %s AND state IN ('running', 'paused')
  AND NOT EXISTS (SELECT FROM tokens_bulkchunk WHERE job_id = tokens_bulkjob.id AND state <> 'done')
"""


@transaction.atomic
def close_if_done(job: BulkJob) -> bool:
    """Finish a job whose last chunk is done; one caller succeeds. Cheap: asked after every chunk."""
    with connection.cursor() as cursor:
        cursor.execute(CLOSE, [job.pk])
        closed: bool = cursor.rowcount == 1
    if closed:
        _record(Action.BULK_FINISHED, job, SYSTEM, **totals(job))
    return closed


@transaction.atomic
def fail(job: BulkJob, code: str) -> None:
    """Stop a job because one of its chunks can't be converted; `resume` tries it again."""
    failed = BulkJob.objects.filter(pk=job.pk, state__in=[State.RUNNING, State.PAUSED])
    if failed.update(state=State.FAILED, failure=code[:64], finished_at=Now()):
        _record(Action.BULK_FAILED, job, SYSTEM, code=code)


TOTALS: Final = """
SELECT what, sum(amount::bigint)::bigint
FROM tokens_bulkchunk, jsonb_each_text(counts) AS counted (what, amount)
WHERE job_id = %s AND state = 'done'
GROUP BY what
"""


def totals(job: BulkJob) -> dict[str, int]:
    """Cells and contacts by what came of them, over the committed chunks."""
    with connection.cursor() as cursor:
        cursor.execute(TOTALS, [job.pk])
        return dict(cursor.fetchall())


def _mapping_mark() -> int:
    # Ids come from one sequence, so mappings below the next one were there before this job.
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('tokens_mapping_id_seq')")
        return int(cursor.fetchone()[0])


def _locked(job: BulkJob, *states: State) -> BulkJob:
    job = BulkJob.objects.select_for_update(of=("self",)).select_related("enterprise").get(pk=job.pk)
    if job.state not in states:
        raise errors.WrongState(f"it is {job.state}, not {' or '.join(states)}")
    return job


def _enter(job: BulkJob, state: State) -> None:
    job.state = state
    job.save(update_fields=["state"])


def _record(action: Action, job: BulkJob, actor: Actor, **details: Any) -> None:
    trail.record(action, actor=actor, enterprise_id=job.enterprise_id, target=target(job), details=details)
