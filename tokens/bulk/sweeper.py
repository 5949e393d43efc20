"""The sweeper: finds running jobs with free chunks and too few workers, because a message or a worker was lost."""

from tokens.bulk import doorbell, jobs, leases
from tokens.models import BulkJob


def sweep() -> None:
    """Look at every running job once. Idempotent; the beat calls it every few seconds."""
    for job in BulkJob.objects.filter(state=BulkJob.State.RUNNING):
        wake(job)


def wake(job: BulkJob) -> None:
    """Finish the job if that was left undone, or ask for the workers that it lacks."""
    if not jobs.close_if_done(job) and leases.some_free(job):
        doorbell.ring(job.pk, max(0, job.workers - leases.live(job)))
