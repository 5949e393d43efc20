"""Celery's part: tasks carry nothing, last seconds, and may be lost or delivered twice without harm."""

from typing import Final

from celery import shared_task
from django.conf import settings

from tokens.outages import while_the_database_answers
from tokens.write_back import sms_files, worker

SWEEP: Final = "tokens.write_back.sweep"


@shared_task(name=SWEEP)
def sweep() -> None:
    """Tell Marketing Cloud of the opt-outs that wait, for a few seconds."""
    with while_the_database_answers():
        sms_files.forget_old()
        worker.work(seconds=settings.BULK_TASK_SECONDS)
