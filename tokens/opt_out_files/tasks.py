"""Celery's part: tasks carry an id, last seconds, and may be lost or delivered twice without harm."""

import uuid
from typing import Final

from celery import shared_task
from django.conf import settings

from tokens.bulk import doorbell
from tokens.opt_out_files import files, worker
from tokens.outages import while_the_database_answers

SWEEP: Final = "tokens.opt_out_files.sweep"


@shared_task(name=files.WORK)
def work(file_id: str) -> None:
    """Take lines of a file over for a few seconds, then stand in line again."""
    with while_the_database_answers():
        if worker.work(uuid.UUID(file_id), seconds=settings.BULK_TASK_SECONDS):
            doorbell.ring(uuid.UUID(file_id), task=files.WORK)


@shared_task(name=SWEEP)
def sweep() -> None:
    """Find what lost messages and killed workers left behind."""
    with while_the_database_answers():
        worker.sweep()
