"""`manage.py maintain`: the process that looks after partitions and seals, as the owner of the tables."""

import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import close_old_connections, connections

from portal import sealing
from portal.command_line import PortalCommand
from portal.maintenance import JOBS, RETENTION, SEALING, Job

logger = structlog.get_logger(__name__)
# A job that failed is tried again after this, or at its next turn if that comes sooner.
RETRY_AFTER: Final = 30.0


class Command(PortalCommand):
    help = "Run the maintenance jobs (portal/maintenance.py) at their times, until stopped."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--once", action="store_true", help="run each job once and end")

    def handle(self, *, once: bool, **options: Any) -> None:
        if settings.PRODUCTION:
            sealing.check_signing_key()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        if once:
            for name, _, job in [*JOBS, *SEALING, *RETENTION]:
                run_job(name, job)
            return
        lanes = [
            threading.Thread(target=run_lane, args=(jobs, stop), name=name)
            for name, jobs in (("seals", SEALING), ("retention", RETENTION))
        ]
        for lane in lanes:
            lane.start()
        run_lane(JOBS, stop)
        for lane in lanes:
            lane.join()


def run_lane(jobs: Sequence[Job], stop: threading.Event) -> None:
    """Runs jobs one after the other, each at its time, until told to stop."""
    due = dict.fromkeys((name for name, _, _ in jobs), 0.0)
    while not stop.is_set():
        for name, interval, job in jobs:
            if due[name] <= time.monotonic() and not stop.is_set():
                succeeded = run_job(name, job)
                due[name] = time.monotonic() + (interval if succeeded else min(interval, RETRY_AFTER))
        stop.wait(max(0.0, min(due.values()) - time.monotonic()))
    connections.close_all()


def run_job(name: str, job: Callable[[], object]) -> bool:
    """Runs a job and logs how it failed, if it did: one broken job must not stop the others."""
    close_old_connections()
    try:
        job()
    except Exception:
        logger.exception("maintenance job failed", job=name)
        return False
    return True
