"""`manage.py maintain`: the process that looks after partitions and seals, as the owner of the tables."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from portal.maintenance import JOBS

logger = structlog.get_logger(__name__)
# A job that failed is tried again after this, or at its next turn if that comes sooner.
RETRY_AFTER: Final = 30.0


class Command(BaseCommand):
    help = "Run the maintenance jobs (portal/maintenance.py) at their times, until stopped."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--once", action="store_true", help="run each job once and end")

    def handle(self, *, once: bool, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        due = dict.fromkeys((name for name, _, _ in JOBS), 0.0)
        while not stop.is_set():
            for name, interval, job in JOBS:
                if due[name] <= time.monotonic() and not stop.is_set():
                    succeeded = run_job(name, job)
                    due[name] = time.monotonic() + (interval if succeeded else min(interval, RETRY_AFTER))
            if once:
                return
            stop.wait(max(0.0, min(due.values()) - time.monotonic()))


def run_job(name: str, job: Callable[[], object]) -> bool:
    """Runs a job and logs how it failed, if it did: one broken job must not stop the others."""
    close_old_connections()
    try:
        job()
    except Exception:
        logger.exception("maintenance job failed", job=name)
        return False
    return True
