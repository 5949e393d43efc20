"""Celery's part: tasks carry an id, last seconds, and may be lost or delivered twice without harm."""

import uuid

from celery import shared_task
from django.conf import settings

from tokens.bulk import doorbell, sweeper, worker
from tokens.outages import while_the_database_answers


@shared_task(name=doorbell.WORK)
def work(job_id: str) -> None:
    """Work chunks of a job for a few seconds, then stand in line again, so that jobs share the workers."""
    with while_the_database_answers():
        if worker.work(uuid.UUID(job_id), seconds=settings.BULK_TASK_SECONDS):
            doorbell.ring(uuid.UUID(job_id))


@shared_task(name=doorbell.SWEEP)
def sweep() -> None:
    """Find what lost messages and killed workers left behind."""
    with while_the_database_answers():
        sweeper.sweep()
