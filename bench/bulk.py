"""Bulk conversion of a synthetic file against its floor: from a file to a file of tokens, through Celery."""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import bulk_floor, setup
from bench.cpu import TreeMeter, descendants
from bench.fixture import CHECKOUT, STATE, Fixture
from bench.report import Report, Target
from portal.embedded import EmbeddedServices, Urls

if TYPE_CHECKING:
    from tokens.models import BulkJob, Enterprise

WORKERS = 2
SMALL = 200_000
_COLUMNS = bulk_floor.Columns("SubscriberKey", "EmailAddress", "MobileNumber")


@dataclass(frozen=True)
class Run:
    """One conversion by the portal, in seconds; `cpu` is that of all its processes and their backends."""

    plan: float
    work: float
    output: float
    cpu: float
    largest_mb: float

    @property
    def seconds(self) -> float:
        return self.plan + self.work + self.output


def measure(report: Report, found: Fixture, urls: Urls, rows: int) -> None:
    """Convert `rows` lines with the portal's own pipeline and with the floor's, side by side."""
    from portal import synthetic_people

    source = STATE / f"people-{rows}.csv"
    if not source.exists():
        synthetic_people.write_csv(source, rows)
    floors, runs = [], []
    with celery_worker() as worker:
        for _ in range(3 if rows <= SMALL else 1):
            floors.append(floor_run(source, urls))
            runs.append(in_a_new_process(portal_run, source, worker.pid))
    report.title(f"Bulk conversion of {rows:,} lines with two identifiers, {WORKERS} processes")
    report.add("floor", "rows/s", [rows / one.seconds for one in floors])
    report.add("portal, from file to file", "rows/s", [rows / one.seconds for one in runs])
    report.add("  of which planning: read, check, cut, seal", "s", [one.plan for one in runs])
    report.add("  of which work by Celery's workers", "s", [one.work for one in runs])
    report.add("  of which the output written", "s", [one.output for one in runs])
    report.add("floor, CPU", "µs/row", [1e6 * one.cpu / rows for one in floors])
    report.add("portal, CPU", "µs/row", [1e6 * one.cpu / rows for one in runs])
    pairs = list(zip(floors, runs, strict=True))
    target = Target(at_least=0.6)
    report.add("portal / floor, speed", "×", [one.seconds / run.seconds for one, run in pairs], target)
    report.add("portal / floor, speed by CPU", "×", [one.cpu / run.cpu for one, run in pairs])
    report.add("largest process", "MB", [one.largest_mb for one in runs], Target(at_most=300))


def floor_run(source: Path, urls: Urls) -> bulk_floor.Spent:
    """The floor over a new enterprise."""
    from bench.setup import keys_of

    enterprise = new_enterprise("floor")
    keys = keys_of(enterprise.pk, enterprise.token_domain)
    return bulk_floor.convert(
        source,
        STATE / "floor.csv",
        url=urls.owner,
        postmaster=postmaster(),
        keys=keys,
        columns=_COLUMNS,
        workers=WORKERS,
    )


def in_a_new_process(run: Callable[[Path, int], Run], source: Path, worker: int) -> Run:
    """As `manage.py bulk` runs: this one's memory holds the rows that earlier measurements drew."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=setup.django_up) as fresh:
        return fresh.submit(run, source, worker).result()


def portal_run(source: Path, worker: int) -> Run:
    """The portal over a new enterprise; `worker` is the process of the Celery worker."""
    from audit.trail import SYSTEM
    from tokens.bulk import jobs, output, plan, sources
    from tokens.bulk.columns import ColumnMap

    columns = ColumnMap(email=(_COLUMNS.email,), mobile=(_COLUMNS.mobile,), subscriber_key=_COLUMNS.key)
    enterprise = new_enterprise("portal")
    meter, began = TreeMeter([os.getpid(), postmaster()]), time.perf_counter()
    with source.open("rb") as stream:
        blocks = iter(partial(stream.read, sources.BLOCK_BYTES), b"")
        job = plan.plan(enterprise, blocks, name=source.name, columns=columns, actor=SYSTEM)
    planned = time.perf_counter()
    wait_for_end(jobs.start(job, actor=SYSTEM, workers=WORKERS))
    worked = time.perf_counter()
    with (STATE / "portal.csv").open("wb") as file:
        file.writelines(output.output_stream(job, actor=SYSTEM))
    ended = time.perf_counter()
    largest = largest_mb([os.getpid(), *descendants(worker)])
    return Run(planned - began, worked - planned, ended - worked, meter.used(), largest)


def new_enterprise(what: str) -> "Enterprise":
    """An enterprise without mappings."""
    from audit.trail import SYSTEM
    from tokens.enterprises import create_enterprise

    name = f"{what}-{uuid.uuid4().hex[:12]}"
    return create_enterprise(
        eid=name, name=name, token_domain=f"{name}.bench.example", sandbox=True, actor=SYSTEM
    )


def wait_for_end(job: "BulkJob") -> None:
    """Until the job is finished."""
    from tokens.models import BulkJob

    while (state := BulkJob.objects.values_list("state", flat=True).get(pk=job.pk)) != "finished":
        if state != "running":
            raise RuntimeError(f"the job is {state}")
        time.sleep(0.1)


@contextlib.contextmanager
def celery_worker() -> Iterator["subprocess.Popen[bytes]"]:
    """A worker as `make run` starts it, ready to work."""
    from tokens.bulk import doorbell

    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "portal.celery:app", "worker"]
    options = ["--loglevel", "WARNING", "--concurrency", str(WORKERS), "--without-gossip", "--without-mingle"]
    with (STATE / "celery.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *options], cwd=CHECKOUT, env=environment, stdout=log, stderr=log
        )
        try:
            deadline = time.monotonic() + 60
            while not doorbell.someone_answers(1.0):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(f"the Celery worker did not start; its log is {log.name}")
            yield process
        finally:
            process.terminate()
            process.wait()


def postmaster() -> int:
    """The process of the benchmark's PostgreSQL."""
    return EmbeddedServices(STATE).pids()["postgresql"]


def largest_mb(pids: list[int]) -> float:
    """The most memory that one of these processes had at a time."""
    most = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        most = max(most, int(line.split()[1]))
    return most / 1000
