"""Celery's part: tasks carry nothing, last seconds, and may be lost or delivered twice without harm."""

from typing import Final

from celery import shared_task
from django.conf import settings

from tokens.erasure import worker
from tokens.outages import while_the_database_answers

SWEEP: Final = "tokens.erasure.sweep"


@shared_task(name=SWEEP)
def sweep() -> None:
    """Move erasures on, for a few seconds."""
    with while_the_database_answers():
        worker.work_for(seconds=settings.BULK_TASK_SECONDS)
