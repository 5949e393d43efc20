"""What faults cost a bulk job: time, and nothing else (P8). Real workers, a real broker; the file is the oracle."""

import csv
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import OperationalError, connection
from psycopg.errors import IdleInTransactionSessionTimeout

from audit.trail import SYSTEM
from portal import synthetic_people
from portal.embedded.state import CHECKOUT
from tests.conftest import OwnDatabase
from tests.tokens.bulk.crew import HASTE, Crew, finished, wait_until
from tests.tokens.bulk.scene import make_enterprise, planned, rows_of
from tokens.bulk import jobs, leases, rejects, worker
from tokens.bulk.columns import ColumnMap
from tokens.bulk.progress import progress
from tokens.bulk.reconcile import reconcile
from tokens.models import BulkJob, Contact, ContactMapping, Enterprise, Mapping

pytestmark = pytest.mark.slow
ROWS, CHUNK = 6_000, 100
PEOPLE = ColumnMap.parse(
    ["email=EmailAddress", "mobile=MobileNumber", "subscriber_key=SubscriberKey"], ["Surname=LastName"]
)


def started(enterprise: Enterprise) -> BulkJob:
    out = io.StringIO(newline="")
    csv.writer(out).writerow(synthetic_people.COLUMNS)
    csv.writer(out).writerows(row.cells for row in synthetic_people.rows(ROWS, seed=3))
    return jobs.start(planned(enterprise, out.getvalue(), PEOPLE, chunk_rows=CHUNK), actor=SYSTEM)


def assert_nothing_lost_duplicated_or_unexpected(job: BulkJob) -> None:
    """The oracle is the file: every good value has one mapping, every row its tokens, every bad cell its reject."""
    people = list(synthetic_people.rows(ROWS, seed=3))
    bad = {(line, row.bad_column): row.reason for line, row in enumerate(people, start=2) if row.bad_column}
    found = [(reject.line, reject.column, reject.code) for reject in rejects.of(job)]
    assert Counter(found) == Counter((*place, reason) for place, reason in bad.items())
    normalised = {(m.kind, m.token): m.value.open() for m in Mapping.objects.all() if m.value}
    good = {(one.kind, one.normalised) for one in synthetic_people.expected(ROWS, seed=3)}
    assert len(normalised) == len(good) == Mapping.objects.count()
    token_of: dict[tuple[str, str], str] = {}
    for row, one in zip(rows_of(job), people, strict=True):
        for column, value in (("EmailAddress", one.person.email), ("MobileNumber", one.person.mobile)):
            if one.bad_column == column:
                assert row[column] == ""
            else:
                assert token_of.setdefault((column, value), row[column]) == row[column] != ""
    assert len(set(token_of.values())) == len(token_of) == len(good)
    assert Contact.objects.count() == len({one.person.subscriber_key for one in people})
    assert ContactMapping.objects.filter(is_primary=True).count() == len(good)
    assert reconcile(job, actor=SYSTEM).balanced


@pytest.fixture
def crew(own_database: OwnDatabase, tmp_path: Path) -> Iterator[Crew]:
    broker(own_database.environment).flushdb()
    with Crew(own_database.environment, tmp_path) as hired:
        yield hired
    broker(own_database.environment).flushdb()


def broker(environment: dict[str, str]) -> "redis.Redis[bytes]":
    url = environment["CELERY_BROKER_URL"].replace("redis+socket", "unix").replace("virtual_host", "db")
    return redis.Redis.from_url(url)


def test_workers_that_are_killed_and_replaced_lose_and_repeat_nothing(crew: Crew) -> None:
    job = started(make_enterprise())
    for share in (0.1, 0.3, 0.6):
        wait_until(job, lambda now, share=share: now.rows_done > share * ROWS)
        crew.kill()
        crew.hire()
    assert wait_until(job, finished).state == "finished"
    assert_nothing_lost_duplicated_or_unexpected(job)


def test_a_flushed_broker_costs_seconds(crew: Crew, own_database: OwnDatabase) -> None:
    job = started(make_enterprise())
    for share in (0.05, 0.3):
        wait_until(job, lambda now, share=share: now.rows_done > share * ROWS)
        broker(own_database.environment).flushdb()
    assert wait_until(job, finished).state == "finished"
    assert_nothing_lost_duplicated_or_unexpected(job)


def test_messages_and_logs_of_workers_name_nobody(crew: Crew, own_database: OwnDatabase) -> None:
    seen = b""
    server = broker(own_database.environment)
    job = started(make_enterprise())
    while not finished(wait_until(job, lambda now: True)):
        for key in server.scan_iter():
            kind = server.type(key)
            values = server.lrange(key, 0, -1) if kind == b"list" else []
            seen += key + b"".join(values) + b"".join(server.hvals(key) if kind == b"hash" else [])
        time.sleep(0.02)
    assert str(job.pk).encode() in seen
    log = crew.log.read_bytes()
    for one in synthetic_people.people(ROWS, seed=3):
        assert one.email.partition("@")[0].encode() not in seen + log
        assert one.mobile.encode() not in seen + log


def test_a_killed_postgresql_costs_seconds(crashing_database: OwnDatabase, tmp_path: Path) -> None:
    with Crew(crashing_database.environment, tmp_path):
        job = started(make_enterprise())
        wait_until(job, lambda now: now.rows_done > 0.2 * ROWS)
        os.kill(crashing_database.servers.pids()["postgresql"], signal.SIGKILL)
        connection.close()
        wait_for_database()
        assert wait_until(job, finished).state == "finished"
    assert_nothing_lost_duplicated_or_unexpected(job)


def test_a_worker_that_is_stopped_past_its_lease_blocks_nobody_and_writes_nothing_when_it_goes_on(
    own_database: OwnDatabase,
) -> None:
    job = started(make_enterprise())
    with by_hand(job, own_database) as zombie:
        number = stop_within_a_transaction(job, zombie)
        epoch = job.chunk_set.get(number=number).epoch
        wait_until(job, lambda now: now.workers_busy == 0)
        worker.work_until_done(job.pk)
        assert progress(job).state == "finished"
        assert job.chunk_set.get(number=number).epoch == epoch + 1
        before = written()
        zombie.send_signal(signal.SIGCONT)
        assert zombie.wait(90) == 0
    assert written() == before
    assert_nothing_lost_duplicated_or_unexpected(job)


def test_a_worker_that_is_stopped_in_a_transaction_begun_after_its_lease_ran_out_blocks_nobody(
    own_database: OwnDatabase, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = started(make_enterprise())
    stopped = stopped_before_it_finishes(monkeypatch)
    settings.BULK_LEASE_SECONDS = 1
    late = leases.claim(job, seconds=0)
    assert late is not None
    zombie, errors = in_a_thread(lambda: worker.Chunks(job).convert(late))
    assert stopped.reached.wait(90)
    settings.BULK_LEASE_SECONDS = 30
    worker.work_until_done(job.pk)
    assert progress(job).state == "finished"
    assert job.chunk_set.filter(error="").count() == job.chunk_set.count()
    before = written()
    stopped.go_on.set()
    zombie.join(90)
    assert [type(error.__cause__) for error in errors] == [IdleInTransactionSessionTimeout]
    assert written() == before
    assert_nothing_lost_duplicated_or_unexpected(job)


@dataclass
class Stopped:
    """Where a worker stands still in the transaction of its chunk."""

    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


def stopped_before_it_finishes(monkeypatch: pytest.MonkeyPatch) -> Stopped:
    """The first worker that is about to finish a chunk stands still until it may go on."""
    stopped, finish = Stopped(), leases.finish

    def wait(lease: leases.Lease, *rest: Any) -> None:
        if not stopped.reached.is_set():
            stopped.reached.set()
            stopped.go_on.wait(300)
        finish(lease, *rest)

    monkeypatch.setattr(leases, "finish", wait)
    return stopped


def in_a_thread(job: Callable[[], None]) -> tuple[threading.Thread, list[Exception]]:
    """Runs on a connection of its own; what it raises is added to the list."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - the test judges it
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def written() -> list[tuple[int, int | None]]:
    """Rows of each table that a chunk writes to, and when any of them was last written."""
    with connection.cursor() as cursor:
        found = []
        for table in ("mapping", "contact", "contactmapping", "attributeset", "bulkchunk", "bulkreject"):
            cursor.execute(f"SELECT count(*), max(xmin::text::bigint) FROM tokens_{table}")
            found.append(cursor.fetchone())
        return found


@contextmanager
def by_hand(job: BulkJob, database: OwnDatabase) -> Iterator["subprocess.Popen[bytes]"]:
    """`manage.py bulk work` in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "bulk", "work", str(job.pk)],
        cwd=CHECKOUT,
        env=os.environ | database.environment | HASTE | {"DJANGO_SETTINGS_MODULE": "portal.settings"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def stop_within_a_transaction(job: BulkJob, process: "subprocess.Popen[bytes]") -> int:
    """SIGSTOP the worker while it is in the transaction of a chunk; the number of that chunk."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        process.send_signal(signal.SIGSTOP)
        chunk = job.chunk_set.filter(state="pending", holder__isnull=False).first()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'idle in transaction'"
                " AND query LIKE '%%INSERT INTO tokens%%'",
                [chunk.holder if chunk else None],
            )
            if chunk is not None and cursor.fetchone() is not None:
                return chunk.number
        process.send_signal(signal.SIGCONT)
        time.sleep(0.01)
    raise AssertionError("the worker was never seen in a transaction")


def wait_for_database() -> None:
    """Until PostgreSQL answers again."""
    deadline = time.monotonic() + 180
    while True:
        try:
            connection.ensure_connection()
            return
        except OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
