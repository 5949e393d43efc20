"""Following a bulk job from the command line: a bar or lines on stderr, and help when no worker answers."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final, Protocol, TextIO, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from tqdm import tqdm

from tokens.bulk import doorbell, sweeper
from tokens.bulk.progress import Progress, progress
from tokens.models import BulkJob

T = TypeVar("T")
POLL: Final = 0.5
# So long may nothing happen before somebody looks why.
PATIENCE: Final = 4.0
# So long is a database that went away waited for.
LONGEST_OUTAGE: Final = 600.0
_LINE_EVERY: Final = 10.0


class Display(Protocol):
    """Shows a job while it runs."""

    def show(self, now: Progress) -> None:
        """Show the figures of this moment."""

    def say(self, line: str) -> None:
        """Say something beside them."""

    def close(self) -> None:
        """Leave the terminal as it was found."""


class Bar:
    """A progress bar, for a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.bar: tqdm[None] | None = None

    def show(self, now: Progress) -> None:
        if self.bar is None:
            self.bar = tqdm(
                total=now.rows, initial=now.rows_done, unit=" rows", unit_scale=True, file=self.stream,
                dynamic_ncols=True, smoothing=0.1,
            )  # fmt: skip
        words = f"{now.rejected:,} cells rejected, {now.workers_busy} at work{trouble(now)}"
        self.bar.set_postfix_str(words, refresh=False)
        self.bar.update(now.rows_done - self.bar.n)
        self.bar.refresh()

    def say(self, line: str) -> None:
        tqdm.write(line, file=self.stream)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class Lines:
    """Plain lines, for logs: one at every tenth of the rows, and every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.tenth = -1
        self.said_at = 0.0

    def show(self, now: Progress) -> None:
        tenth = int(now.percent // 10)
        if tenth > self.tenth or time.monotonic() - self.said_at > _LINE_EVERY:
            self.tenth, self.said_at = tenth, time.monotonic()
            left = "" if now.seconds_left is None else f", {duration(now.seconds_left)} left"
            self.say(
                f"{now.percent:3.0f} %  {now.rows_done:,} of {now.rows:,} rows, {now.rows_per_second:,.0f} rows/s"
                f"{left}, {now.rejected:,} cells rejected{trouble(now)}"
            )

    def say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)

    def close(self) -> None:
        pass


class Helpers:
    """Processes of our own that work the chunks of one job, where no Celery worker does."""

    def __init__(self, job: BulkJob) -> None:
        self.job_id, self.count = job.pk, job.workers
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start as many as the job wants workers. Ctrl-C does not reach them: they end after their chunk."""
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "bulk", "work", str(self.job_id)]
        self.processes = [
            subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
            for _ in range(self.count)
        ]

    def wait(self) -> None:
        """Until they have ended: they do when the job is paused, or nothing is left."""
        for process in self.processes:
            process.wait()

    def all_ended(self) -> bool:
        """Whether there were some and none is left."""
        return bool(self.processes) and all(process.poll() is not None for process in self.processes)


def display_for(stream: TextIO) -> Display:
    """A bar on a terminal, lines elsewhere."""
    return Bar(stream) if stream.isatty() else Lines(stream)


def follow(job: BulkJob, display: Display, helpers: Helpers, *, inline: bool) -> Progress:
    """Show the job until it runs no more. If nobody works it, ring again; if nobody answers, work it here."""
    if inline:
        helpers.start()
    moved_at, seen = time.monotonic(), -1
    while True:
        asked_at = time.monotonic()
        now = _patiently(lambda: progress(job), display)
        # Adding up the chunks of millions of rows takes a moment: asking must stay a small part of the work.
        pause = max(POLL, 20 * (time.monotonic() - asked_at))
        display.show(now)
        if now.state != BulkJob.State.RUNNING:
            helpers.wait()
            return now
        if now.rows_done != seen or now.workers_busy:
            moved_at, seen = time.monotonic(), now.rows_done
        elif time.monotonic() - moved_at > PATIENCE:
            moved_at = time.monotonic()
            _patiently(lambda: sweeper.wake(job), display)
            if helpers.all_ended() or (not helpers.processes and not doorbell.someone_answers(2.0)):
                display.say(
                    "No Celery worker answers (`make run` starts one, or `celery -A portal worker`): "
                    "working the job here."
                )
                helpers.start()
        time.sleep(pause)


def _patiently(act: Callable[[], T], display: Display) -> T:
    """What `act` answers, once the database does. Raises OperationalError after LONGEST_OUTAGE."""
    away_since = None
    while True:
        try:
            return act()
        except (OperationalError, InterfaceError):
            connection.close()
            if away_since is None:
                away_since = time.monotonic()
                display.say("The database does not answer. The job goes on where it was when it does again.")
            elif time.monotonic() - away_since > LONGEST_OUTAGE:
                raise
            time.sleep(POLL)


def trouble(now: Progress) -> str:
    """What keeps chunks from being converted, if something does."""
    return f", trying again after {now.trouble}" if now.trouble and now.state == BulkJob.State.RUNNING else ""


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
