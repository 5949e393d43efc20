"""Get Token answers whoever texts STOP, whatever else is down (P11).

Broker, cache and Celery workers are down from the start. By default one web worker is killed among 160 calls, and
PostgreSQL once. FAULTS=full asks 2,000 times for each row of the matrix, with 5 kills, then mixes them, and holds
PostgreSQL's recovery to 15 s.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from bench.cpu import descendants
from portal.synthetic_people import people
from tests import serving
from tests.conftest import OwnDatabase
from tests.faults.callers import Journal, Stops, asked, calling
from tests.processes import wait_for
from tests.tokens.api import cast
from tests.tokens.cast import an_enterprise

pytestmark = pytest.mark.slow
FULL = os.environ.get("FAULTS") == "full"
CALLS, KILLS, THREADS = (2_000, 5, 50) if FULL else (160, 1, 8)
SEED = int(os.environ.get("FAULTS_SEED", "11"))
# The figure is for a quiet machine; a busy one takes its time.
BACK_WITHIN = 15.0 if FULL else 120.0
# Five tries, as Marketing Cloud makes; shorter waits, which bridge the recovery of PostgreSQL.
FIVE_TRIES = (1.0, 2.0, 4.0, 8.0)
NOWHERE = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "CACHE_URL": "redis://127.0.0.1:1/1"}


@dataclass
class Scene:
    """A web server of two workers, without broker, cache or Celery, and the people who text STOP."""

    database: OwnDatabase
    server: serving.Server
    caller: cast.MarketingCloud
    folder: Path
    numbers: Sequence[str]
    chance: random.Random

    def stops(
        self, *faults: Callable[[], object], waits: Sequence[float] = (), count: int = CALLS, **facts: Any
    ) -> Journal:
        """What became of the calls while `faults` struck, at equal distances of answered calls."""
        given = {"url": self.server.url, "authorization": self.caller.authorization, "waits": waits, **facts}
        with calling(self.folder, THREADS, Stops, numbers=self.numbers[:count], **given) as journal:
            for number, fault in enumerate(faults, start=1):
                due = number * count // (len(faults) + 2)
                wait_for(lambda due=due: asked(journal) >= due, seconds=600)
                fault()
        return journal

    def kill_web_worker(self) -> None:
        """SIGKILL to one of the two, as soon as both are there."""
        wait_for(lambda: len(descendants(self.server.process.pid)) > 2)
        os.kill(self.chance.choice(descendants(self.server.process.pid)[1:]), signal.SIGKILL)

    def kill_database(self) -> None:
        """SIGKILL to PostgreSQL; returns when Get Token answers again."""
        os.kill(self.database.servers.pids()["postgresql"], signal.SIGKILL)
        began = time.monotonic()
        wait_for(self.answers, seconds=BACK_WITHIN)
        print(f"Get Token answered {time.monotonic() - began:.1f} s after PostgreSQL was killed")

    def answers(self) -> bool:
        """Whether one call is answered now."""
        return self.stops(count=1).answered == 1


@pytest.fixture
def scene(crashing_database: OwnDatabase, tmp_path: Path) -> Iterator[Scene]:
    caller = cast.a_caller(an_enterprise())
    connection.close()
    environment = crashing_database.environment | NOWHERE | {"WEB_WORKERS": "2"}
    server = serving.Server(environment, "tests.faults.broker_bound:application")
    try:
        server.wait_until_served()
        numbers = [one.mobile for one in people(CALLS)]
        yield Scene(crashing_database, server, caller, tmp_path, numbers, random.Random(SEED))
    finally:
        server.stop()


def test_every_stop_is_answered_whatever_else_is_down(scene: Scene) -> None:
    quiet = scene.stops(waits=FIVE_TRIES)
    assert (quiet.answered, quiet.other_status) == (CALLS, [])

    # The known-bad twin: a view that hands work to Celery first is found by the same look.
    twin = scene.stops(count=8, headers={"X-Twin": "broker"})
    assert (twin.answered, twin.given_up) == (0, 8)

    killed = scene.stops(*[scene.kill_web_worker] * KILLS, waits=FIVE_TRIES)
    assert (killed.answered, killed.given_up) == (CALLS, 0)

    scene.kill_database()
    again = scene.stops(waits=FIVE_TRIES)
    assert (again.answered, again.given_up) == (CALLS, 0)
    if FULL:
        faults = [scene.kill_web_worker, scene.kill_database] * KILLS
        scene.chance.shuffle(faults)
        mixed = scene.stops(*faults, waits=FIVE_TRIES)
        print(
            f"seed {SEED}: {mixed.interrupted} interrupted, {len(mixed.other_status)} refused, none given up"
        )
        assert (mixed.answered, mixed.given_up) == (CALLS, 0)
