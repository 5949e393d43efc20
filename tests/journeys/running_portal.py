"""A portal of its own, started as `make run` starts it: its own state folder, port, database and keys."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cpu import descendants
from bench.servers import free_port
from portal.embedded import EmbeddedServices, urls

CHECKOUT = Path(__file__).resolve().parents[2]
READY = "Token Governance Portal is ready"
START_SECONDS = 120.0
# What the tests set for themselves must not lead this portal to their servers.
FOREIGN = (
    "DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL", "CACHE_URL", "FIELD_ENCRYPTION_KEY", "SECRET_KEY",
    "PRODUCTION", "DJANGO_SETTINGS_MODULE", "PORT", "MAKELEVEL",
)  # fmt: skip


@dataclass
class RunningPortal:
    """What a journey needs to know of it."""

    process: subprocess.Popen[str]
    state: Path
    port: int
    environment: dict[str, str]
    seconds_to_start: float

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
        """stdout of a management command, which talks to this portal's database."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=CHECKOUT, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode not in accept:
            raise AssertionError(
                f"manage.py {arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}"
            )
        return done.stdout

    def start_manage(self, *arguments: str) -> subprocess.Popen[str]:
        """A management command that goes on in the background."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=CHECKOUT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run_script(self, module: str, *arguments: str) -> Any:
        """The JSON that a script prints, run over this portal's database."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=CHECKOUT, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout)

    def sample_access(self) -> dict[str, Any]:
        """Sign-ins and clients of the sample enterprise."""
        found: dict[str, Any] = json.loads((self.state / "sample-access.json").read_text())
        return found

    def admin_url(self) -> str:
        """The database, as its superuser: for looking, and for nothing else."""
        return urls(self.state).admin

    def celery_workers(self) -> list[tuple[int, bool]]:
        """(process id, whether it is a child of the pool) of the Celery worker's processes."""
        found = []
        for pid in descendants(self.process.pid):
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"celery" in b" ".join(command) and b"worker" in command:
                    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                    found.append((pid, parent))
        pids = {pid for pid, _ in found}
        return [(pid, parent in pids) for pid, parent in found]


@contextlib.contextmanager
def running_portal(state: Path, *arguments: str, **settings: str) -> Iterator[RunningPortal]:
    """`manage.py run_portal`, from its banner until the block ends; the state folder is removed afterwards."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    environment |= {"PORTAL_STATE_DIR": str(state), "PYTHONUNBUFFERED": "1"} | settings
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run_portal", "--port", str(port), *arguments],
        cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lines: queue.Queue[str | None] = queue.Queue()
    log = state.with_name(state.name + ".log")
    reader = threading.Thread(target=_copy_output, args=(process, lines, log), daemon=True)
    reader.start()
    try:
        _wait_for_the_banner(lines, log)
        yield RunningPortal(process, state, port, environment, time.monotonic() - started)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(10)
        if process.stdout is not None:
            process.stdout.close()
        EmbeddedServices(state).destroy()


def _copy_output(process: subprocess.Popen[str], lines: "queue.Queue[str | None]", log: Path) -> None:
    assert process.stdout is not None
    with log.open("w", encoding="utf-8") as file:
        for line in process.stdout:
            file.write(line)
            file.flush()
            lines.put(line)
    lines.put(None)


def _wait_for_the_banner(lines: "queue.Queue[str | None]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise AssertionError(
                f"the portal was not ready within {START_SECONDS:.0f} s, see {log}"
            ) from None
        assert line is not None, f"the portal ended before it was ready, see {log}"
        if READY in line:
            return
