"""Celery's part: tasks carry an id, last seconds, and may be lost or delivered twice without harm."""

import uuid
from typing import Final

from celery import shared_task
from django.conf import settings

from tokens.bulk import doorbell
from tokens.exports import requests, worker
from tokens.outages import while_the_database_answers

SWEEP: Final = "tokens.exports.sweep"


@shared_task(name=requests.WORK)
def work(export_id: str) -> None:
    """Work on an export for a few seconds, then stand in line again."""
    with while_the_database_answers():
        if worker.work(uuid.UUID(export_id), seconds=settings.BULK_TASK_SECONDS):
            doorbell.ring(uuid.UUID(export_id), task=requests.WORK)


@shared_task(name=SWEEP)
def sweep() -> None:
    """Find what lost messages and killed workers left behind."""
    with while_the_database_answers():
        worker.sweep()
