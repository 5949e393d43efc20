"""Every 200 that a caller holds has its log entry, whatever was killed in between (P3).

FAULTS=full asks 100,000 times and kills 100 web workers and PostgreSQL 10 times.
"""

import json
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from django.db import OperationalError, connection

from bench.cpu import descendants
from portal.embedded import EmbeddedServices
from tests import serving
from tests.conftest import OwnDatabase
from tests.faults.callers import Journal, asked, calling
from tests.journeys.log_check import verdict
from tests.processes import wait_for
from tests.tokens.api import cast
from tests.tokens.cast import an_enterprise

pytestmark = pytest.mark.slow
REQUESTS, WORKER_KILLS, DATABASE_KILLS = (
    (100_000, 100, 10) if os.environ.get("FAULTS") == "full" else (1_500, 6, 1)
)
SEED = int(os.environ.get("FAULTS_SEED", "7"))
PEOPLE = 20


def test_every_answer_that_a_caller_holds_is_in_the_log_with_the_same_bodies(
    crashing_database: OwnDatabase, tmp_path: Path
) -> None:
    held = run(crashing_database, tmp_path, "portal.wsgi:application")
    assert Counter(held) == {"found": len(held)}
    assert len(held) > REQUESTS / 4


def test_a_server_that_answers_before_it_logs_is_caught(
    crashing_database: OwnDatabase, tmp_path: Path
) -> None:
    """The known-bad twin."""
    held = run(crashing_database, tmp_path, "tests.faults.late_log:application")
    assert Counter(held)["unlogged"] > 0


def run(database: OwnDatabase, folder: Path, application: str) -> list[str]:
    """What the log knows of each answer of a run with kills."""
    caller = cast.a_caller(an_enterprise())
    tokens = [
        cast.a_person(caller.client.enterprise, f"p{n}@mail.example", f"SUB-{n}") for n in range(PEOPLE)
    ]
    connection.close()
    server = serving.Server(database.environment | {"WEB_WORKERS": "2"}, application, preload=True)
    try:
        server.wait_until_served()
        facts = {"url": server.url, "authorization": caller.authorization, "tokens": tokens}
        with calling(folder, threads=8, total=REQUESTS, **facts) as journal:
            kill_in_turn(journal, server, database.servers)
        print(f"seed {SEED}: {journal.answered} answered, {journal.interrupted} interrupted")
        assert journal.interrupted > 0, "no fault was felt"
    finally:
        server.stop()
    wait_for(database_answers, seconds=120)
    lines = (folder / "journal.jsonl").read_text().splitlines()
    return [verdict(json.loads(line)) for line in lines]


def kill_in_turn(journal: Journal, server: serving.Server, servers: EmbeddedServices) -> None:
    """Kill workers, and PostgreSQL now and then, at equal distances of answered requests."""
    chance = random.Random(SEED)
    faults = ["worker"] * WORKER_KILLS + ["database"] * DATABASE_KILLS
    chance.shuffle(faults)
    for number, fault in enumerate(faults, start=1):
        due = number * REQUESTS // (len(faults) + 2)
        wait_for(lambda due=due: asked(journal) >= due, seconds=600)
        if fault == "database":
            os.kill(servers.pids()["postgresql"], signal.SIGKILL)
        elif workers := descendants(server.process.pid)[1:]:
            os.kill(chance.choice(workers), signal.SIGKILL)


def database_answers() -> bool:
    """Whether PostgreSQL is up again."""
    try:
        connection.close()
        connection.ensure_connection()
    except OperationalError:
        return False
    return True
