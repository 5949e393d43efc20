"""Running the whole portal as `make run` does, with a state folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

from portal.embedded.state import CHECKOUT
from tests import processes
from tests.settings import TEST_ENVIRONMENT

READY = r"is ready:  (\S+)/admin/"


def environment(state: Path, **settings: str) -> dict[str, str]:
    """The environment of a fresh machine: nothing that leads to the databases of the tests."""
    inherited = {name: value for name, value in os.environ.items() if name not in TEST_ENVIRONMENT}
    return (
        inherited | {"PORTAL_STATE_DIR": str(state), "DJANGO_SETTINGS_MODULE": "portal.settings"} | settings
    )


class Run:
    """A `manage.py run_portal`; port 0 lets the system choose."""

    def __init__(self, state: Path, *arguments: str, port: int = 0, **settings: str) -> None:
        self.state = state
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "run_portal", "--port", str(port), *arguments],
            cwd=CHECKOUT,
            env=environment(state, **settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = processes.Lines(self.process, seconds=120)

    def wait_until_ready(self) -> str:
        """The address it serves."""
        return self.lines.until(READY)[1]

    def left(self) -> dict[int, str]:
        """What runs on behalf of this state folder, apart from the tests themselves."""
        ours = processes.mentioning(str(self.state))
        return {pid: command for pid, command in ours.items() if pid != os.getpid()}

    def clean_up(self) -> None:
        self.process.terminate()
        self.lines.all()
        self.process.wait(120)
        assert self.process.stdout is not None
        self.process.stdout.close()


def manage(state: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """A management command beside (or without) a running portal."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=CHECKOUT,
        env=environment(state, **settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
