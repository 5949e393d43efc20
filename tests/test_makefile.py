"""`make` on a machine of which nothing is known: it says what lacks, and installs only what changed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from portal.embedded.state import CHECKOUT

TOOLS = ("sh", "cksum", "tr", "rm", "touch", "env", "mkdir", "chmod", "cat", "printf")
# Makes a .venv whose python writes down what it is asked to do.
PYTHON = """#!/bin/sh
case "$*" in
    *"import sys"*) exit {too_old} ;;
    *"import venv"*) exit {lacks_venv} ;;
    "-m venv .venv")
        mkdir -p .venv/bin
        printf '#!/bin/sh\\necho "$*" >> calls\\n' > .venv/bin/python
        chmod +x .venv/bin/python ;;
esac
"""


class Machine:
    """A checkout with a PATH that holds a few tools and a python3 of our own making."""

    def __init__(self, folder: Path, *, too_old: bool = False, lacks_venv: bool = False) -> None:
        self.folder = folder
        self.path = folder / "bin"
        self.path.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.path / tool).symlink_to(found)
        python = self.path / "python3"
        python.write_text(PYTHON.format(too_old=int(too_old), lacks_venv=int(lacks_venv)))
        python.chmod(0o755)
        (folder / "tests").mkdir()
        for name in ("Makefile", "requirements.txt", "tests/requirements.txt"):
            shutil.copy(CHECKOUT / name, folder / name)

    def make(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        make = shutil.which("make")
        assert make is not None
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        return subprocess.run(
            [make, *arguments],
            cwd=self.folder,
            env=environment | {"PATH": str(self.path)},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """What the environment's python was asked to do since the last look."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines


def test_a_python_that_is_too_old_is_said_in_one_line(tmp_path: Path) -> None:
    told = Machine(tmp_path, too_old=True).make("run")
    assert told.returncode == 2
    assert told.stderr.splitlines()[0].startswith(
        "Python 3.11 or newer is needed and none was found: install it"
    )
    assert not (tmp_path / ".venv").exists()


def test_a_python_without_venv_is_said_in_one_line(tmp_path: Path) -> None:
    told = Machine(tmp_path, lacks_venv=True).make("run")
    assert told.returncode == 2
    assert told.stderr.splitlines()[0].startswith("python3 lacks the module venv: install it")
    assert not (tmp_path / ".venv").exists()


def test_the_first_run_installs_the_hashed_lock_and_the_next_does_not(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.make("run", "PORT=8123").returncode == 0
    install, run = machine.calls()
    assert "--require-hashes -r requirements.txt" in install
    assert run == "manage.py run_portal --port 8123"
    machine.make("run")
    assert machine.calls() == ["manage.py run_portal --port 8000"]


def test_a_changed_lock_is_installed_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.make("run")
    machine.calls()
    with (tmp_path / "requirements.txt").open("a") as lock:
        lock.write("# changed\n")
    machine.make("run")
    assert ["pip install" in call for call in machine.calls()] == [True, False]


def test_an_install_that_failed_is_tried_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.make("run")
    machine.calls()
    python = tmp_path / ".venv" / "bin" / "python"
    working = python.read_text()
    (tmp_path / "requirements.txt").write_text("changed\n")
    python.write_text("#!/bin/sh\nexit 1\n")
    assert machine.make("run").returncode == 2
    python.write_text(working)
    machine.make("run")
    assert ["pip install" in call for call in machine.calls()] == [True, False]


@pytest.mark.parametrize(("target", "runs"), [("test", "-m pytest -n auto"), ("bench", "-m bench")])
def test_other_targets_install_what_tests_need(tmp_path: Path, target: str, runs: str) -> None:
    machine = Machine(tmp_path)
    machine.make(target)
    install, run = machine.calls()
    assert "--require-hashes -r tests/requirements.txt" in install
    assert run.strip() == runs
