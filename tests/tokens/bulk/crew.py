"""A real Celery worker with its beat, as a process group of the test that can be killed, stopped and replaced."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from portal.embedded.state import CHECKOUT
from tokens.bulk.progress import Progress, progress
from tokens.models import BulkJob

# Short, so that what was lost is found while a test waits.
HASTE = {"BULK_LEASE_SECONDS": "4", "BULK_SWEEP_SECONDS": "1"}


class Crew:
    """Celery workers over the database and broker of `environment`; use as a context."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = (
            os.environ | environment | HASTE | {"PYTHONWARNINGS": "ignore", "CELERY_SKIP_CHECKS": "yes"}
        )
        self.environment["DJANGO_SETTINGS_MODULE"] = "portal.settings"
        self.folder = folder
        self.log = folder / "worker.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Crew":
        self.hire()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def hire(self) -> None:
        """Start a worker of two processes."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "--quiet", "--app", "portal.celery:app", "worker"),
                    *("--loglevel", "INFO", "--concurrency", "2", "--without-gossip", "--without-mingle"),
                    *("--beat", "--schedule", str(self.folder / "beat")),
                ],
                cwd=CHECKOUT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to the worker, its processes and its beat."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def wait_until(job: BulkJob, reached: Callable[[Progress], bool], *, seconds: float = 180) -> Progress:
    """The progress of a job once `reached` says so."""
    deadline = time.monotonic() + seconds
    while not reached(now := progress(job)):
        assert time.monotonic() < deadline, now
        time.sleep(0.05)
    return now


def finished(now: Progress) -> bool:
    """Whether a job has come to an end, good or bad."""
    return now.state not in ("planned", "running")
