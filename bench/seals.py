"""Seals: their delay beside many writers, what they add to a Resolve batch, and how fast a long log is verified."""

import contextlib
import datetime
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from bench import load, servers, workload
from bench.cpu import Meter, descendants
from bench.fixture import CHECKOUT, STATE, Fixture
from bench.report import Report, Target
from bench.servers import Server
from portal.embedded import Urls

if TYPE_CHECKING:
    from audit.payload_log import Exchange

WRITERS = 50
ENTRIES_A_SECOND = 500
CHECKPOINT_EVERY = 1000
MAINTAIN = [sys.executable, "manage.py", "maintain"]
MAINTAIN_UNSEALED = [sys.executable, "-m", "bench.unsealed"]


def measure(report: Report, found: Fixture, urls: Urls, *, seconds: float, rounds: int, leaves: int) -> None:
    """All three, one after the other; the log is emptied in between."""
    forget(urls)
    delay(report, urls, seconds=max(seconds, 2.0) * 4)
    cost(report, found, urls, seconds=seconds, rounds=rounds)
    length(report, urls, leaves)
    forget(urls)


def forget(urls: Urls) -> None:
    """An empty log, as no administrator could make it unseen: its head goes too."""
    with psycopg.connect(urls.admin, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # passes the append-only triggers
        connection.execute(
            "TRUNCATE audit_payloadentry, audit_auditevent, audit_sealqueueentry, audit_sealedleaf, audit_checkpoint"
        )
    (STATE / "seals" / "head").unlink(missing_ok=True)


@contextlib.contextmanager
def maintenance(command: list[str]) -> Iterator[int]:
    """A maintenance process; its id."""
    with (STATE / "maintain.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=os.environ, stdout=output, stderr=output)
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(60)


# --- delay -----------------------------------------------------------------------------------------------------------
@dataclass
class Written:
    """What the writers committed: id and moment."""

    entries: list[tuple[uuid.UUID, datetime.datetime]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, entry: uuid.UUID) -> None:
        """An entry that was committed just now."""
        with self.lock:
            self.entries.append((entry, datetime.datetime.now(datetime.UTC)))


def delay(report: Report, urls: Urls, *, seconds: float) -> None:
    """Writers and the maintenance process side by side: from the commit of an entry to the checkpoint over it."""
    written = Written()
    with maintenance(MAINTAIN):
        wait_for(lambda: asked(urls, "SELECT count(*) FROM audit_checkpoint") > 0, "the first checkpoint")
        began = time.perf_counter()
        writers = [
            threading.Thread(target=write, args=(written, began, seconds, number))
            for number in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        took = time.perf_counter() - began
        wait_for(lambda: asked(urls, "SELECT count(*) FROM audit_sealqueueentry") == 0, "an empty queue")
    with psycopg.connect(urls.admin) as connection:
        sealed = dict(connection.execute(
            "SELECT entry_id, (SELECT min(at) FROM audit_checkpoint WHERE size > index) FROM audit_sealedleaf"
        ).fetchall())  # fmt: skip
        holes = connection.execute("SELECT max(index) + 1 - count(*) FROM audit_sealedleaf").fetchone()
    waited = sorted((sealed[entry] - at).total_seconds() for entry, at in written.entries if entry in sealed)
    report.title(
        f"Merge delay: {WRITERS} writers, {ENTRIES_A_SECOND} entries a second wanted, bodies of 16 kB"
    )
    report.add("entries a second", "", [len(written.entries) / took], Target(at_least=0.9 * ENTRIES_A_SECOND))
    report.add("until the entry is under a checkpoint, p50", "s", [waited[len(waited) // 2]])
    report.add(
        "until the entry is under a checkpoint, p99",
        "s",
        [waited[len(waited) * 99 // 100]],
        Target(at_most=5),
    )
    report.add("entries without a seal", "", [float(len(written.entries) - len(waited))], Target(at_most=0))
    report.add("holes among the leaves", "", [float(holes[0] if holes else 0)], Target(at_most=0))
    whole_log(report, "bodies read and hashed by verify_audit", urls)


def write(written: Written, began: float, seconds: float, number: int) -> None:
    """One writer: its share of the entries, evenly spread."""
    from django.db import connection

    from audit import payload_log

    step = WRITERS / ENTRIES_A_SECOND
    for turn in range(int(seconds / step)):
        time.sleep(max(0.0, began + turn * step + number * step / WRITERS - time.perf_counter()))
        exchange = an_exchange()
        payload_log.record(exchange)
        written.add(exchange.id)
    connection.close()


def an_exchange() -> "Exchange":
    """As long as a full batch: 500 links, two bodies of 8 kB that do not compress further."""
    import uuid_utils.compat

    from audit.models import Api, Direction, Outcome
    from audit.payload_log import Exchange

    return Exchange(
        id=uuid_utils.compat.uuid7(),
        at=datetime.datetime.now(datetime.UTC),
        direction=Direction.INBOUND,
        api=Api.RESOLVE,
        status=200,
        outcome=Outcome.COMPLETE,
        items_asked=500,
        items_answered=500,
        request_skeleton=os.urandom(8192),
        response_skeleton=os.urandom(8192),
        links=list(range(500)),
    )


def whole_log(report: Report, name: str, urls: Urls) -> None:
    """How fast columns and bodies are verified."""
    size = asked(
        urls,
        "SELECT coalesce(sum(octet_length(request_skeleton) + octet_length(response_skeleton)), 0)"
        " FROM audit_payloadentry",
    )
    report.add(name, "MB/s", [size / 1e6 / verify()])


# --- cost -----------------------------------------------------------------------------------------------------------
@dataclass
class Measured(Server):
    """A web server whose maintenance process counts too."""

    maintenance: int = 0

    def pids(self) -> list[int]:
        return super().pids() + descendants(self.maintenance)


def cost(report: Report, found: Fixture, urls: Urls, *, seconds: float, rounds: int) -> None:
    """CPU of a Resolve batch with seals and without, in turns; that of the maintenance process counts."""
    from bench.__main__ import basic_header

    work = workload.draw(found, urls.admin, batches=200, seed=2)
    prepared = work.resolve_over_http(workload.RESOLVE_PATH, basic_header(found))
    variants = {
        "sealed": ("portal.wsgi:application", MAINTAIN),
        "log alone": ("bench.unsealed:application", MAINTAIN_UNSEALED),
    }
    spent: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, (application, maintain) in variants.items():
            forget(urls)
            with resolving(urls, application, maintain) as server:
                load.run(server.address, prepared, load.resolved_items, connections=50, seconds=seconds / 2)
                spent[name].append(cpu_of_a_batch(server, urls, prepared, seconds))
    report.title("What seals add to a Resolve batch: CPU of web, maintenance and backends")
    for name, figures in spent.items():
        report.add(name, "ms", figures)
    ratios = [one / other for one, other in zip(spent["sealed"], spent["log alone"], strict=True)]
    report.add("sealed / log alone", "×", ratios, Target(at_most=1.15))


@contextlib.contextmanager
def resolving(urls: Urls, application: str, maintain: list[str]) -> Iterator[Measured]:
    """A web server and its maintenance process."""
    port = servers.free_port()
    command = [*servers.portal_command(port)[:-1], application]
    environment = os.environ | {"ALLOWED_HOSTS": "127.0.0.1"}
    running = servers.running(
        command, port, environment, database="portal", admin_url=urls.admin, log_name="seals"
    )
    with maintenance(maintain) as pid, running as server:
        yield Measured(**vars(server), maintenance=pid)


def cpu_of_a_batch(server: Measured, urls: Urls, prepared: list[Any], seconds: float) -> float:
    """Milliseconds a batch, with everything sealed that was written, and nothing else."""
    drained = "SELECT count(*) FROM audit_sealqueueentry"
    wait_for(lambda: asked(urls, drained) == 0, "an empty queue")
    meter = Meter(server.pids())
    result = load.run(server.address, prepared, load.resolved_items, connections=50, seconds=seconds)
    wait_for(lambda: asked(urls, drained) == 0, "an empty queue")
    if result.faults:
        raise RuntimeError(f"an answer was wrong: {result.faults[0]}")
    return 1000 * meter.used(server.pids()) / result.requests


# --- length ---------------------------------------------------------------------------------------------------------
def length(report: Report, urls: Urls, leaves: int) -> None:
    """The structure of a long log: headers, leaves, tree and signatures."""
    forget(urls)
    made = time.perf_counter()
    print(f"Writing a sealed log of {leaves:,} entries ...", flush=True)
    fill(urls, leaves)
    print(f"  {time.perf_counter() - made:.0f} s", flush=True)
    report.title(f"Verifying a log of {leaves:,} entries")
    report.add(
        "its structure, manage.py verify_audit --structure", "s", [verify("--structure")], Target(at_most=60)
    )
    bundle = STATE / "log.jsonl"
    report.add("the same, written as a bundle too", "s", [verify("--structure", "--export", str(bundle))])
    report.add("that bundle, by the offline verifier", "s", [verify_offline(bundle)])
    bundle.unlink()


def fill(urls: Urls, leaves: int) -> None:
    """Entries and their seals, as the sequencer would have made them, set-based."""
    import uuid_utils.compat

    from audit import headers, payload_log
    from audit.seals.merkle import CompactRange
    from audit.seals.notes import Head
    from portal import sealing

    key, tree, at, note = sealing.signing_key(), CompactRange(), datetime.datetime.now(datetime.UTC), ""
    sample = an_exchange()
    template = payload_log.header_of(sample).decode().replace(str(sample.id), "{}")
    before, after = template.split("{}")
    with psycopg.connect(urls.admin) as connection:
        connection.execute(
            "CREATE TEMP TABLE made (index bigint, id uuid, header bytea, leaf bytea, nodes bytea) ON COMMIT DROP"
        )
        signed = []
        with connection.cursor().copy("COPY made FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "uuid", "bytea", "bytea", "bytea"])
            for index in range(leaves):
                entry = uuid_utils.compat.uuid7()
                header = f"{before}{entry}{after}".encode()
                leaf = headers.leaf_hash(header)
                copy.write_row([index, entry, header, leaf, b"".join(tree.append(leaf))])
                if tree.size % CHECKPOINT_EVERY == 0 or tree.size == leaves:
                    head = Head(key.verifier.name, tree.size, tree.root(), len(signed), at)
                    note = key.sign(head)
                    signed.append((len(signed), tree.size, head.root, at, note))
        connection.execute(
            "INSERT INTO audit_payloadentry SELECT filled.* FROM made, LATERAL jsonb_populate_record("
            "NULL::audit_payloadentry,"
            " %s::jsonb || jsonb_build_object('id', id, 'header', header, 'leaf_hash', leaf)) filled",
            [columns_of(sample)],
        )
        connection.execute("INSERT INTO audit_sealedleaf SELECT index, 1, id, leaf, nodes FROM made")
        connection.cursor().executemany(
            "INSERT INTO audit_checkpoint (number, size, root, at, note) VALUES (%s, %s, %s, %s, %s)", signed
        )
    sealing.head().advance(None, note)
    with psycopg.connect(urls.admin, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE audit_payloadentry, audit_sealedleaf, audit_checkpoint")


def columns_of(exchange: "Exchange") -> str:
    """The columns that every entry of the long log shares, as JSON; structure asks for none of them."""
    import json

    return json.dumps({
        "at": exchange.at.isoformat(), "direction": 1, "api": "resolve", "client_id": "", "client_name": "",
        "status": 200, "outcome": "complete", "error": "", "items_asked": 500, "items_answered": 500,
        "duration_us": 0, "request_bytes": 0, "response_bytes": 0, "user_agent": "", "anomalies": [],
        "links": [], "blind_indexes": [],
    })  # fmt: skip


# --- shared -----------------------------------------------------------------------------------------------------------
def verify(*arguments: str) -> float:
    """Seconds of a `manage.py verify_audit` that finds everything as it was sealed."""
    return _timed([sys.executable, "manage.py", "verify_audit", *arguments])


def verify_offline(bundle: Path) -> float:
    """Seconds of the one file."""
    from audit.seals import verify_evidence
    from portal import sealing

    key = str(sealing.load_key().verifier)
    return _timed([sys.executable, verify_evidence.__file__, str(bundle), "--vkey", key])


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    told = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if told.returncode or not re.search("Everything is as it was sealed", told.stdout):
        raise RuntimeError(
            f"{command[1:3]} ended with {told.returncode}: {told.stdout[-500:]}{told.stderr[-500:]}"
        )
    return time.perf_counter() - began


def asked(urls: Urls, statement: str) -> float:
    """One number, as the administrator."""
    with psycopg.connect(urls.admin, autocommit=True) as connection:
        row = connection.execute(statement).fetchone()  # type: ignore[arg-type]
    return float(row[0]) if row else 0.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Until it holds; RuntimeError after two minutes."""
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come; look at {STATE / 'maintain.log'}")
        time.sleep(0.2)
