"""A server that the keeper runs: what to start, when it is ready, how to end it, what a dead keeper left."""

import abc
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from portal.embedded import leash
from portal.embedded.account import server_environment
from portal.embedded.errors import EmbeddedError
from portal.embedded.home import Home

LARGEST_LOG = 10_000_000


class Service(abc.ABC):
    """Base of Postgres and Valkey. `home` is where it lives, `log` what it writes to."""

    name: str
    stop_signal = signal.SIGTERM
    kill_signal = signal.SIGKILL

    def __init__(self, home: Home, log: Path) -> None:
        self.home = home
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    def configuration(self) -> bytes:
        """What the server reads from its standard input; secrets go this way, since arguments are public."""
        return b""

    @abc.abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers."""

    def clear_remains(self) -> None:  # noqa: B027 - most servers leave nothing
        """Removes what would hinder a start after a crash."""

    def start(self, timeout: float = 600) -> None:
        """Starts the server and waits until it answers; replaying a long log after a crash takes minutes."""
        self.clear_remains()
        account = self.home.account
        with open_log(self.log) as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", leash.__file__),
                    *(str(os.getpid()), str(int(self.stop_signal)), f"{account.uid}:{account.gid}"),
                    *self.command(),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                env=server_environment(),
                start_new_session=True,
            )
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as stdin:
            stdin.write(self.configuration())
        self._wait_until_ready(timeout)

    def has_died(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def stop(self, timeout: float = 20) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        for how in (self.stop_signal, self.kill_signal, signal.SIGKILL):
            self.process.send_signal(how)
            try:
                self.process.wait(timeout)
                return
            except subprocess.TimeoutExpired:
                continue

    def _wait_until_ready(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.has_died():
                raise EmbeddedError(f"{self.name} did not start: {last_line(self.log)} (see {self.log})")
            if self.is_ready():
                return
            time.sleep(0.02)
        self.stop()
        raise EmbeddedError(f"{self.name} was not ready after {timeout:.0f} s (see {self.log}).")


def open_log(path: Path) -> IO[bytes]:
    """Opens a log for appending, the previous one put aside once it is large."""
    path.parent.mkdir(exist_ok=True, mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LARGEST_LOG:
            path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab")


def last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines[-20:] if "FATAL" in line or "ERROR" in line or "error" in line]
    return (telling or lines or ["it said nothing"])[-1].strip()


def end_orphan(pid: int, belongs_to: Path) -> None:
    """Ends a process left by a keeper that was killed, if it is what we think: pids are reused."""
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if str(belongs_to) not in command_of(pid):
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
            time.sleep(0.1)


def command_of(pid: int) -> str:
    """The command line of a running process; empty when there is none (or it is a zombie)."""
    if Path("/proc/self").exists():
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    listing = ["ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(listing, capture_output=True, text=True, check=False).stdout
