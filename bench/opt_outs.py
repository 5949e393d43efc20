"""A file of opt-outs is imported through Celery, beside the floor of normalisation; what suppression costs Resolve."""

import base64
import csv
import datetime
import json
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from bench import bulk, people, workload
from bench.cpu import TreeMeter
from bench.fixture import STATE, Fixture
from bench.report import Report, Target
from portal.embedded import Urls

if TYPE_CHECKING:
    from django.test import Client

    from tokens.models import OptOutFile

HEADER = ("Id", "Recipient", "AskedAt")
FIRST_DAY = datetime.datetime(2024, 11, 1, 9, tzinfo=datetime.UTC)
# A million in five minutes.
A_SECOND = 1_000_000 / 300
BATCHES, ROUNDS = 60, 7

FILL = """
INSERT INTO tokens_suppression (enterprise_id, kind, index_version, blind_index)
SELECT %s, 1 + number %% 2, 1, sha256(number::text::bytea) FROM generate_series(1, %s) AS number
"""


def measure(report: Report, found: Fixture, urls: Urls, rows: int) -> None:
    """Import `rows` opt-outs, and call Resolve with and without suppression in turn."""
    source = STATE / f"opt-outs-{rows}.csv"
    if not source.exists():
        write(source, rows)
    floor = normalised(source)
    with bulk.celery_worker() as worker:
        loaded, seconds, cpu = imported(source, worker.pid)
    report.title(f"{rows:,} opt-outs from a file, {bulk.WORKERS} processes")
    report.add("floor: read, normalise, blind index, one process", "rows/s", [rows / floor])
    report.add(
        "portal, from file to suppression, duty and trail",
        "rows/s",
        [rows / seconds],
        Target(at_least=A_SECOND),
    )
    report.add("  of which read, checked, sealed", "s", [loaded])
    report.add("  of which work by Celery's workers", "s", [seconds - loaded])
    report.add("floor, CPU", "µs/row", [1e6 * floor / rows])
    report.add("portal, CPU with PostgreSQL's", "µs/row", [1e6 * cpu / rows])
    report.add("  had no other program taken CPU, on two cores", "rows/s", [2 * rows / cpu])
    suppression(report, found, urls, rows)


def write(out: Path, rows: int) -> None:
    """People who opted out, one in ten of them twice."""
    dice = random.Random(1)
    with out.open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(HEADER)
        for number in range(rows):
            person = number if number % 10 else dice.randrange(number + 1)
            at = FIRST_DAY + datetime.timedelta(minutes=number % 40_000)
            who = people.email(person) if person % 2 else people.mobile(person)
            lines.writerow([f"optout-{number}", who, at.isoformat()])


def normalised(source: Path) -> float:
    """CPU seconds in which one process reads the lines and makes their blind indexes, and nothing else."""
    from tokens.crypto.keyring import keyring
    from tokens.formats.kinds import Kind
    from tokens.formats.normalise import normalise

    version = keyring(bulk.new_enterprise("opt-out-floor").pk).live_versions()[-1]
    began = time.process_time()
    with source.open(newline="") as stream:
        for _, person, at in list(csv.reader(stream))[1:]:
            kind = Kind.EMAIL if "@" in person else Kind.MOBILE
            version.digest(kind, normalise(kind, person))
            datetime.datetime.fromisoformat(at)
    return time.process_time() - began


def imported(source: Path, worker: int) -> tuple[float, float, float]:
    """(seconds until it was loaded, until it was over, CPU seconds) of an import into a new enterprise."""
    from audit.trail import SYSTEM
    from tokens.models import OptOutFile
    from tokens.opt_out_files import files
    from tokens.opt_out_files.columns import Reading

    enterprise = bulk.new_enterprise("opt-outs")
    how = Reading(columns=dict(zip(("id", "person", "asked"), HEADER, strict=True)), law="can-spam")
    meter, began = TreeMeter([os.getpid(), bulk.postmaster(), worker]), time.perf_counter()
    with source.open("rb") as stream:
        blocks = iter(lambda: stream.read(1 << 20), b"")
        file = files.load(
            enterprise, blocks, what=OptOutFile.What.OPT_OUTS, name=source.name,
            written_at=FIRST_DAY + datetime.timedelta(days=60), actor=SYSTEM,
        )  # fmt: skip
    loaded = time.perf_counter()
    wait_for_end(files.begin(file, how, actor=SYSTEM))
    return loaded - began, time.perf_counter() - began, meter.used()


def wait_for_end(file: "OptOutFile") -> None:
    """Until it is finished, with each line accounted for."""
    while file.state == "running":
        time.sleep(0.1)
        file.refresh_from_db()
    if file.state != "finished" or file.new != file.lines:
        raise RuntimeError(f"{file.state}: {file.new} of {file.lines} are new, {file.refused} refused")


# -- Resolve ------------------------------------------------------------------------------------------------
def suppression(report: Report, found: Fixture, urls: Urls, rows: int) -> None:
    """CPU of a Resolve batch of a client that opt-outs bind, and of one that they don't, in turn."""
    from django.test import Client

    from audit.trail import SYSTEM
    from tokens.clients import create_client
    from tokens.models import Enterprise

    enterprise = Enterprise.objects.get(pk=found.enterprise_id)
    callers = {
        exempt: basic(create_client(enterprise, name=f"bench {os.getpid()} {exempt}", auth="basic",
                                         transactional=exempt, actor=SYSTEM))
        for exempt in (False, True)
    }  # fmt: skip
    bodies = [
        json.dumps({"tokens": [{"tokenRequestId": token, "token": token} for token, _ in batch]}).encode()
        for batch in workload.draw(found, urls.admin, batches=BATCHES, seed=5).resolve_for_floor()
    ]
    with psycopg.connect(urls.admin, autocommit=True) as admin:
        admin.execute(FILL, [found.enterprise_id, rows])
        admin.execute("ANALYZE tokens_suppression")
        try:
            spent = in_turn(Client(SERVER_NAME="127.0.0.1"), callers, bodies)
        finally:
            admin.execute("DELETE FROM tokens_suppression WHERE enterprise_id = %s", [found.enterprise_id])
    report.title(
        f"Suppression among {rows:,} suppressed people: CPU of a Resolve batch of {workload.BATCH}, in one process"
    )
    report.add("with suppression", "ms", [1e3 * one / BATCHES for one in spent[False]])
    report.add("without", "ms", [1e3 * one / BATCHES for one in spent[True]])
    shares = [100 * (1 - free / bound) for bound, free in zip(spent[False], spent[True], strict=True)]
    report.add("share of suppression", "%", shares, Target(at_most=5))


def basic(made: tuple[Any, str]) -> str:
    """Authorization of a Basic client."""
    client, secret = made
    return "Basic " + base64.b64encode(f"{client.client_id}:{secret}".encode()).decode()


def in_turn(http: "Client", callers: dict[bool, str], bodies: list[bytes]) -> dict[bool, list[float]]:
    """CPU seconds of all bodies, by caller and round; every other body by the other caller first."""
    spent: dict[bool, list[float]] = {exempt: [] for exempt in callers}
    for number in range(ROUNDS + 1):
        took = dict.fromkeys(callers, 0.0)
        for place, body in enumerate(bodies):
            for exempt in (False, True) if (place + number) % 2 else (True, False):
                began = cpu()
                answer = http.post(
                    workload.RESOLVE_PATH, body, content_type="application/json",
                    headers={"Authorization": callers[exempt]},
                )  # fmt: skip
                took[exempt] += cpu() - began
                if answer.status_code != 200:
                    raise RuntimeError(f"Resolve answers {answer.status_code}")
        if number:  # the first warms up
            for exempt, seconds in took.items():
                spent[exempt].append(seconds)
    return spent


def cpu() -> float:
    """CPU seconds of this process and of its backend, to the nanosecond."""
    from django.db import connection

    connection.ensure_connection()
    backend = connection.connection.info.backend_pid
    return time.process_time() + int(Path(f"/proc/{backend}/schedstat").read_text().split()[0]) / 1e9
