"""Commands outside `make run`: who needs the embedded servers gets them, and they end with the command."""

import os
from pathlib import Path

import pytest

from portal.embedded import EmbeddedServices
from portal.embedded.on_demand import hold_for_command
from tests import processes
from tests.portal.running import manage

pytestmark = pytest.mark.slow


def test_a_command_starts_what_it_needs_and_leaves_nothing_running(open_folder: Path) -> None:
    state = open_folder / "var"
    assert manage(state, "migrate", "contenttypes", "--verbosity", "0").stderr == ""
    processes.wait_for(lambda: not EmbeddedServices(state).running(), seconds=120)
    query = "SELECT DISTINCT app FROM django_migrations"
    told = manage(state, "embedded", "psql", "--role", "owner", "--command", query)
    assert told.stdout == "contenttypes\n"
    processes.wait_for(lambda: not EmbeddedServices(state).running(), seconds=120)


@pytest.mark.parametrize(
    "command", [["help"], ["check"], ["migrate", "--help"], ["makemigrations", "--check"]]
)
def test_a_command_that_needs_no_database_makes_none(tmp_path: Path, command: list[str]) -> None:
    state = tmp_path / "var"
    assert manage(state, *command).returncode == 0
    assert not state.exists()


def test_with_a_database_named_no_servers_are_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTAL_STATE_DIR", str(tmp_path / "var"))
    assert os.environ["DATABASE_URL"]
    hold_for_command(["manage.py", "migrate"])
    assert not (tmp_path / "var").exists()


def test_the_state_of_the_servers_is_told(open_folder: Path) -> None:
    state = open_folder / "var"
    assert manage(state, "embedded", "status").stdout == f"not running ({state})\n"
    services = EmbeddedServices(state, durable=False)
    services.start()
    told = manage(state, "embedded", "status").stdout
    for name, pid in services.pids().items():
        assert f"{name} {pid}" in told
