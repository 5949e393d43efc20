"""Celery's part: tasks carry an id, last seconds, and may be lost or delivered twice without harm."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from tokens.bulk import doorbell, sweeper, worker

_log = structlog.get_logger(__name__)


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


@contextmanager
def while_the_database_answers() -> Iterator[None]:
    """A task that loses the database ends; the next sweep after it is back finds the work."""
    try:
        yield
    except (OperationalError, InterfaceError):
        connection.close()
        _log.warning("bulk.database-away")
