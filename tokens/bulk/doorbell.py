"""Waking workers. A message carries a job's id and nothing else; losing it costs seconds, for the sweeper looks too."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from celery import current_app
from kombu.connection import Connection
from kombu.exceptions import OperationalError

WORK: Final = "tokens.bulk.work"
SWEEP: Final = "tokens.bulk.sweep"
# Older messages are dropped, so that they can't pile up where a job wants more workers than there are.
STALE: Final = 60.0
_log = structlog.get_logger(__name__)


def ring(job_id: uuid.UUID, times: int = 1, *, task: str = WORK) -> bool:
    """Ask for workers of `task`; whether the broker took the messages. Never raises: rows are the work."""
    if times < 1:
        return True
    try:
        with _broker() as connection:
            for _ in range(times):
                current_app.send_task(task, [str(job_id)], connection=connection, retry=False, expires=STALE)
    except (OperationalError, OSError):
        _log.warning("bulk.broker-unreachable", job=str(job_id))
        return False
    return True


def someone_answers(timeout: float) -> bool:
    """Whether a Celery worker answers within `timeout` seconds."""
    try:
        with _broker() as connection:
            return bool(current_app.control.ping(timeout=timeout, limit=1, connection=connection))
    except (OperationalError, OSError):
        return False


@contextmanager
def _broker() -> Iterator[Connection]:
    """A connection that is open. Left to itself, Celery looks for a broker that is away again and again."""
    with current_app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
        yield connection
