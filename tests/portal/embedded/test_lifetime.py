"""How long the embedded servers live: as long as somebody holds them, through kills of any of the processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

from portal.embedded import EmbeddedServices
from portal.embedded.state import CHECKOUT
from tests import processes

HOLD = """
import sys, time
from pathlib import Path
from portal.embedded import EmbeddedServices
EmbeddedServices(Path(sys.argv[1]), durable=False).start()
print("holding", flush=True)
time.sleep(600)
"""


def start(folder: Path) -> EmbeddedServices:
    services = EmbeddedServices(folder / "var", durable=False)
    services.start()
    return services


def hold_in_another_process(state: Path) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, state], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    return holder


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def servers_of(services: EmbeddedServices) -> dict[int, str]:
    ours = processes.mentioning(str(services.state))
    return {pid: command for pid, command in ours.items() if pid != os.getpid()}


def note(services: EmbeddedServices, text: str) -> None:
    urls = services.ensure()
    with psycopg.connect(urls.owner) as session:
        session.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        session.execute("INSERT INTO note VALUES (%s)", [text])
    redis.Redis.from_url(urls.broker.replace("redis+socket", "unix").split("?")[0]).set("note", text)


def notes(services: EmbeddedServices) -> tuple[list[str], str]:
    urls = services.ensure()
    with psycopg.connect(urls.app) as session, psycopg.connect(urls.owner) as owner:
        session.execute("SELECT 1")
        found = [text for (text,) in owner.execute("SELECT text FROM note")]
    valkey = redis.Redis.from_url(urls.broker.replace("redis+socket", "unix").split("?")[0])
    return found, (valkey.get("note") or b"").decode()


def answers(services: EmbeddedServices) -> bool:
    try:
        return bool(notes(services))
    except (psycopg.OperationalError, redis.ConnectionError):
        return False


def test_a_second_start_is_quick_and_finds_its_data(open_folder: Path) -> None:
    services = start(open_folder)
    note(services, "kept")
    services.stop()
    assert servers_of(services) == {}
    began = time.monotonic()
    services.start()
    assert time.monotonic() - began < 5
    assert notes(services) == (["kept"], "kept")


def test_starting_what_runs_changes_nothing(open_folder: Path) -> None:
    services = start(open_folder)
    before = services.pids()
    services.start()
    EmbeddedServices(services.state).start()
    assert services.pids() == before


def test_the_servers_outlive_one_holder_and_end_with_the_last(open_folder: Path) -> None:
    services = start(open_folder)
    holder = hold_in_another_process(services.state)
    before = services.pids()
    services.stop()
    assert services.pids() == before
    kill(holder)
    processes.wait_for(lambda: not servers_of(services))


def test_who_stops_the_servers_last_waits_for_their_end(open_folder: Path) -> None:
    services = start(open_folder)
    services.stop()
    assert servers_of(services) == {}


def test_a_killed_keeper_leaves_no_server_behind(open_folder: Path) -> None:
    services = start(open_folder)
    note(services, "kept")
    os.kill(services.pids()["keeper"], signal.SIGKILL)
    processes.wait_for(lambda: not servers_of(services))
    services.ensure()
    assert notes(services) == (["kept"], "kept")


@pytest.mark.parametrize("victim", ["postgresql", "valkey"])
def test_a_killed_server_comes_back_with_its_data(open_folder: Path, victim: str) -> None:
    services = start(open_folder)
    note(services, "kept")
    time.sleep(1.1)  # the append-only file is written once a second
    killed = services.pids()[victim]
    os.kill(killed, signal.SIGKILL)
    processes.wait_for(lambda: services.pids().get(victim) != killed and answers(services))
    assert notes(services) == (["kept"], "kept")


def test_a_start_after_a_power_cut_takes_no_stranger_for_our_server(open_folder: Path) -> None:
    services = start(open_folder)
    note(services, "kept")
    services.stop()
    # After a reboot the number in the pid file can be anybody's: here, ours.
    pid_file = services.state / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{services.state}/postgres\n0\n5432\n\n\n\nready\n")
    services.start()
    assert notes(services) == (["kept"], "kept")


def test_an_interrupted_first_start_is_begun_again(open_folder: Path) -> None:
    services = start(open_folder)
    services.stop()
    data = services.state / "postgres"
    (data / "PG_VERSION").unlink()
    data.rename(services.state / "postgres.partial")
    services.start()
    note(services, "new")
    assert notes(services) == (["new"], "new")
