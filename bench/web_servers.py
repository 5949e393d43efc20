"""Which web server, and how many processes and threads: `python -m bench.web_servers [--granian FOLDER]`.

The hot path with its log and database, 50 connections × 500 tokens, every shape once a round. FOLDER is where granian
was installed with `uv pip install --target FOLDER granian`; it is not in the lock. The finding is in docs/decisions.md.
"""

import argparse
import os
import sys
from dataclasses import dataclass, field

from bench import fixture, load, servers, setup, workload
from bench.__main__ import CONNECTIONS, basic_header
from bench.fixture import Fixture
from bench.report import Report
from bench.rounds import Measured, Subject
from bench.workload import Workload
from portal.embedded import Urls

GUNICORN = [(1, 16), (2, 4), (2, 8), (2, 16), (2, 32), (3, 8), (4, 8)]
GRANIAN = [(1, 16), (2, 4), (2, 8), (2, 16)]


@dataclass
class Candidate:
    """A web server in one size."""

    name: str
    workers: int
    threads: int
    granian: str = ""
    measured: Measured = field(default_factory=Measured)

    def __str__(self) -> str:
        return f"{self.name} {self.workers} × {self.threads}"

    def command(self, port: int) -> list[str]:
        """How it is started."""
        if not self.granian:
            return servers.portal_command(port)
        size = ["--workers", str(self.workers), "--blocking-threads", str(self.threads)]
        quiet = ["--no-ws", "--http", "1", "--log-level", "warning"]
        at = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
        return [sys.executable, "-m", "granian", *at, *size, *quiet, "portal.wsgi:application"]

    def environment(self) -> dict[str, str]:
        """What it is started with."""
        size = {"WEB_WORKERS": str(self.workers), "WEB_THREADS": str(self.threads)}
        return os.environ | size | ({"PYTHONPATH": self.granian} if self.granian else {})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.web_servers", description=__doc__)
    parser.add_argument("--granian", default="", help="folder in which granian is installed")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    candidates = [Candidate("gunicorn", *size) for size in GUNICORN]
    if options.granian:
        candidates += [Candidate("granian", *size, granian=options.granian) for size in GRANIAN]
    kept = fixture.stored()
    if kept is None or kept.rows != options.rows:
        fixture.discard()
    with fixture.servers() as urls:
        setup.django_up()
        found = setup.prepare(options.rows, urls, print)
        work = workload.draw(found, urls.admin, batches=200, seed=3)
        for _ in range(options.rounds):
            for candidate in candidates:
                measure(candidate, found, work, urls, options.seconds)
    report = Report()
    for candidate in candidates:
        show(report, candidate)
    report.save(vars(options))
    return 0


def measure(candidate: Candidate, found: Fixture, work: Workload, urls: Urls, seconds: float) -> None:
    """One round: start, warm up, measure, stop."""
    port = servers.free_port()
    with servers.running(
        candidate.command(port),
        port,
        candidate.environment(),
        database="portal",
        admin_url=urls.admin,
        log_name=candidate.name,
    ) as server:
        prepared = work.resolve_over_http(workload.RESOLVE_PATH, basic_header(found))
        subject = Subject(server, prepared, load.resolved_items)
        subject.round(Measured(), connections=CONNECTIONS, seconds=seconds / 2)
        subject.round(candidate.measured, connections=CONNECTIONS, seconds=seconds)


def show(report: Report, candidate: Candidate) -> None:
    """The rows of one candidate."""
    measured = candidate.measured
    report.title(str(candidate))
    report.add("CPU of a batch", "ms", measured.cpu_ms)
    report.add("  of which web processes", "ms", measured.web_ms)
    report.add("tokens a second", "", measured.items_per_second)
    report.add("  had no other program taken CPU", "", measured.unhindered())
    report.add("p50", "ms", measured.p50)
    report.add("p99", "ms", measured.p99)
    for fault in sorted(set(measured.faults))[:3]:
        print(f"    {fault}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
