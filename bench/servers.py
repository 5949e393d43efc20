"""Starts and stops the web servers that are measured, and knows their processes and backends."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.cpu import descendants, parent
from bench.fixture import CHECKOUT, STATE

START_SECONDS = 60.0


@dataclass
class Server:
    """A web server that runs."""

    process: subprocess.Popen[bytes]
    port: int
    database: str
    admin_url: str

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def pids(self) -> list[int]:
        """Its processes, and the PostgreSQL backends of its database."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            backends = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'",
                [self.database],
            ).fetchall()
        return descendants(self.process.pid) + [pid for (pid,) in backends]

    def all_pids(self) -> list[int]:
        """Its processes, and every process of PostgreSQL, also those that write in the background."""
        with psycopg.connect(self.admin_url) as connection:
            return self.web_pids() + descendants(parent(connection.info.backend_pid))

    def web_pids(self) -> list[int]:
        """Its processes only."""
        return descendants(self.process.pid)


def portal_command(port: int) -> list[str]:
    """The portal's web server, configured as `make run` does."""
    config = ["--config", "python:portal.web_server"]
    return [
        sys.executable,
        "-m",
        "gunicorn",
        *config,
        "--bind",
        f"127.0.0.1:{port}",
        "portal.wsgi:application",
    ]


def twin_command(port: int, workers: int, threads: int) -> list[str]:
    """The same server in the same size for the twin."""
    size = [
        "--worker-class",
        "gthread",
        "--workers",
        str(workers),
        "--threads",
        str(threads),
        "--keep-alive",
        "75",
    ]
    bind = ["--bind", f"127.0.0.1:{port}", "--log-level", "warning"]
    return [sys.executable, "-m", "gunicorn", *size, *bind, "bench.plain_twin.wsgi:application"]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str],
    port: int,
    environment: dict[str, str],
    *,
    database: str,
    admin_url: str,
    log_name: str,
) -> Iterator[Server]:
    """The server of `command`, from when it listens until the block ends."""
    log = Path(STATE / f"{log_name}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=output, stderr=output)
        try:
            _wait_until_it_listens(process, port, log)
            yield Server(process, port, database, admin_url)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def maintained(environment: dict[str, str]) -> Iterator[None]:
    """The portal's maintenance process, which sorts the log's links into their index."""
    with (STATE / "maintain.log").open("wb") as output:
        command = [sys.executable, "manage.py", "maintain"]
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}; its log is {log}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server does not listen on {port}; its log is {log}")
