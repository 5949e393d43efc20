"""`make run`: what it starts, that it survives kills, and that nothing is left when it ends."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from portal.embedded import EmbeddedServices
from portal.embedded.urls import urls
from tests import processes
from tests.components import need_curl
from tests.portal.running import Run, manage

pytestmark = pytest.mark.slow
PROGRAMS = {
    "web": "gunicorn",
    "worker": "celery:app worker",
    "beat": "celery:app beat",
    "maintenance": "manage.py maintain",
}


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="portal-run-"))
    folder.chmod(0o755)
    yield folder / "var"
    EmbeddedServices(folder / "var").destroy()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def portal(state: Path) -> Iterator[Run]:
    run = Run(state)
    yield run
    run.clean_up()


@pytest.fixture(scope="module")
def address(portal: Run) -> str:
    return portal.wait_until_ready()


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own address
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def pids_of(run: Run, program: str) -> set[int]:
    return {pid for pid, command in run.left().items() if PROGRAMS[program] in command}


def test_the_web_server_answers_where_it_says(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")
    assert status_of(f"{address}/healthz") < 500


def test_the_call_that_is_printed_resolves_a_token(portal: Run, address: str) -> None:
    portal.lines.until("Ctrl-C")
    printed = "\n".join(portal.lines.seen)
    call = printed[printed.index("curl ") : printed.index("Ctrl-C")].replace("\\\n", "")
    answer = subprocess.run(
        [need_curl(), *shlex.split(call)[1:], "--silent"], capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout)["unresolvedTokens"] == []
    assert "@" in json.loads(answer.stdout)["resolvedTokens"][0]["tokenValue"]


@pytest.mark.usefixtures("address")
def test_all_four_programs_run(portal: Run) -> None:
    for program in PROGRAMS:
        processes.wait_for(lambda program=program: pids_of(portal, program))


@pytest.mark.usefixtures("address")
def test_the_database_is_migrated_and_has_its_partitions(state: Path) -> None:
    with psycopg.connect(urls(state).owner) as session:
        row = session.execute(
            "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r'"
        ).fetchone()
    assert row is not None
    assert row[0] >= 7


@pytest.mark.usefixtures("address")
def test_commands_beside_it_use_the_same_database(state: Path) -> None:
    before = EmbeddedServices(state).pids()
    told = manage(state, "embedded", "psql", "--command", "SELECT current_user")
    assert told.stdout == "portal_app\n"
    assert manage(state, "showmigrations", "--plan", "--database", "owner").returncode == 0
    assert EmbeddedServices(state).pids() == before


def test_a_port_in_use_is_said_in_one_line(state: Path, address: str, tmp_path: Path) -> None:
    port = address.rpartition(":")[2]
    refused = manage(state, "run_portal", "--port", port)
    assert refused.returncode == 2
    assert refused.stderr.strip() == (
        f"token-portal: port {port} is in use: "
        f"stop what listens there, or choose another: PORT={int(port) + 1}."
    )


@pytest.mark.usefixtures("address")
def test_a_second_run_over_the_same_database_is_refused(state: Path) -> None:
    refused = manage(state, "run_portal", "--port", "0")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "runs already" in refused.stderr


def test_whatever_is_killed_comes_back(portal: Run, state: Path, address: str) -> None:
    for program in ("web", "worker"):
        for pid in pids_of(portal, program):
            os.kill(pid, signal.SIGKILL)
        portal.lines.until(f"{program} .*starting again")
    os.kill(EmbeddedServices(state).pids()["keeper"], signal.SIGKILL)

    def recovered() -> bool:
        try:
            psycopg.connect(urls(state).app).close()
        except psycopg.OperationalError:
            return False
        return status_of(f"{address}/healthz") < 500 and all(pids_of(portal, program) for program in PROGRAMS)

    processes.wait_for(recovered, seconds=120)


@pytest.mark.usefixtures("address")
def test_ctrl_c_ends_every_process_and_a_second_run_keeps_the_data(portal: Run, state: Path) -> None:
    """Last of all, since it ends the run that the others look at."""
    with psycopg.connect(urls(state).owner) as session:
        session.execute("INSERT INTO django_session VALUES ('kept', '', now())")
    assert len(portal.left()) >= 8
    portal.process.send_signal(signal.SIGINT)
    assert portal.process.wait(120) == 0
    processes.wait_for(lambda: not portal.left(), seconds=120)

    began = time.monotonic()
    second = Run(state)
    second.wait_until_ready()
    assert time.monotonic() - began < 60  # two or three seconds on a machine that does nothing else
    with psycopg.connect(urls(state).app) as session:
        assert session.execute("SELECT session_key FROM django_session").fetchall() == [("kept",)]
    second.process.kill()
    second.process.wait()
    processes.wait_for(lambda: not second.left(), seconds=120)
    second.clean_up()
