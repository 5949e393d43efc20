"""No opt-out that was acknowledged is ever absent, and nobody flips back (P10).

From every source, each event twice and in any order, with a worker killed at the worst moment and people who consent
anew in between. OPT_OUT_EVENTS=1000000 makes it the promise's size.
"""

import os
import random
import signal
import subprocess
import sys

import pytest
from django.db import connections

from audit.approvals import acts
from portal.embedded.state import CHECKOUT
from tests.conftest import OwnDatabase
from tests.faults.opt_out_sources import World, drawn
from tokens.models import OptOutFile, Suppression
from tokens.opt_out_files import chunks, worker

pytestmark = pytest.mark.slow
EVENTS = int(os.environ.get("OPT_OUT_EVENTS", "4000"))
SEED = int(os.environ.get("FAULTS_SEED", "7"))
# Small chunks, so that a small file has several.
LINES_A_CHUNK = max(250, min(1000, EVENTS // 20))
KILLED_AT_CHUNK = 2
NOTHING_WRONG = {"absent": 0, "unexpected": 0, "flipped back": 0, "blocked unasked": 0}


@pytest.fixture(autouse=True)
def _everybody_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may ask and decide is the portal's matter. And chunks are small."""
    monkeypatch.setattr(acts._outside, "may", lambda *_: True)
    monkeypatch.setattr(chunks, "LINES", LINES_A_CHUNK)


def test_what_was_acknowledged_is_there_and_nobody_is_flipped_back(own_database: OwnDatabase) -> None:
    world = run(own_database, EVENTS)
    assert world.verdict() == NOTHING_WRONG
    assert len(world.acknowledged) == EVENTS
    assert world.lifted
    unblock_somebody_behind_everybodys_back()
    assert world.verdict() == NOTHING_WRONG | {"flipped back": 1}  # so the check can fail


def test_a_worker_that_ends_a_chunk_before_its_lines_are_recorded_is_caught(
    own_database: OwnDatabase,
) -> None:
    """The known-bad twin."""
    assert run(own_database, 1200, "--forgetful").verdict()["absent"] > 0


def run(database: OwnDatabase, events: int, *twin: str) -> World:
    """Everything comes in, some consent anew, and everything comes in again with what is new, in another order."""
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    world = World(people=max(events // 8, 10))
    said = drawn(events, world.people, dice)
    first = said[: events * 3 // 4]
    for file in world.bring(first):
        kill_one_at_it(database, file, *twin)
        worker.work_until_done(file.pk)
    world.consent_anew(dice.sample(sorted({one.person for one in first}), 20))
    again = said if not twin else said[len(first) :]
    dice.shuffle(again)
    for file in world.bring(again):
        worker.work_until_done(file.pk)
    return world


def kill_one_at_it(database: OwnDatabase, file: OptOutFile, *twin: str) -> None:
    """A worker of another process that is killed in a chunk; a small file is over before that."""
    if file.chunks.count() <= KILLED_AT_CHUNK:
        return
    environment = os.environ | database.environment | {"BULK_LEASE_SECONDS": "2"}
    command = [sys.executable, "-m", "tests.faults.opt_out_worker", str(file.pk), str(KILLED_AT_CHUNK), *twin]
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at the worst moment\n"
        process.send_signal(signal.SIGKILL)


def unblock_somebody_behind_everybodys_back() -> None:
    one = Suppression.objects.order_by("pk").values_list("pk", flat=True)[0]
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE tokens_suppression DISABLE TRIGGER stays_while_in_force")
        cursor.execute("DELETE FROM tokens_suppression WHERE id = %s", [one])
        cursor.execute("ALTER TABLE tokens_suppression ENABLE TRIGGER stays_while_in_force")
