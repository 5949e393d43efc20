"""The maintenance process seals beside many writers, also when it is killed again and again (P7)."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO

from django.core.management import call_command
from django.db import connection

from audit.models import AuditEvent, SealedLeaf
from portal.embedded.state import CHECKOUT
from tests.audit.seals import cast
from tests.conftest import OwnDatabase


@contextmanager
def maintenance(database: OwnDatabase) -> Iterator["subprocess.Popen[bytes]"]:
    """`manage.py maintain` over the database of the test."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "maintain"],
        cwd=CHECKOUT,
        env=os.environ | database.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(60)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def writers(count: int, *, until: threading.Event) -> Iterator[list[uuid.UUID]]:
    """Threads that write entries until told, each in its own transaction."""
    written: list[uuid.UUID] = []

    def write() -> None:
        while not until.is_set():
            written.append(cast.an_entry())
            until.wait(0.05)  # a slow machine must not pile up more than it seals
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        until.set()
        for thread in threads:
            thread.join()


def is_sealed(written: list[uuid.UUID]) -> bool:
    return SealedLeaf.objects.filter(entry_id__in=written, kind=1).count() == len(written)


def test_it_seals_what_many_write_and_ends_when_told(own_database: OwnDatabase) -> None:
    done = threading.Event()
    with maintenance(own_database) as process:
        with writers(6, until=done) as written:
            wait_for(lambda: len(written) >= 60 and is_sealed(written[:40]))
        wait_for(lambda: is_sealed(written))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    call_command("verify_audit", stdout=StringIO())


def test_killed_at_any_moment_it_loses_nothing_and_suspects_nobody(own_database: OwnDatabase) -> None:
    """Also between the commit of a batch and the head outside the database."""
    done = threading.Event()
    with writers(4, until=done) as written:
        for _ in range(4):
            sealed = SealedLeaf.objects.count()
            with maintenance(own_database):
                wait_for(lambda: SealedLeaf.objects.count() > sealed)  # noqa: B023 - called at once
    with maintenance(own_database):
        wait_for(lambda: is_sealed(written))
    leaves = list(SealedLeaf.objects.order_by("index").values_list("index", flat=True))
    assert leaves == list(range(len(leaves)))
    assert not AuditEvent.objects.filter(action__startswith="alarm.").exists()
    call_command("verify_audit", stdout=StringIO())
