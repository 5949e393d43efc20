"""Programs that only some tests need. A test that lacks one is skipped, by name and with the reason."""

import os
import shutil
import socket
from pathlib import Path
from typing import NoReturn

import pytest

from tests.cluster import POSTGRES_15

RABBITMQ = ("127.0.0.1", 5672)


def need_chromium() -> Path:
    """The system's Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return Path(found)
    return lacking("Chromium", "apt-get install chromium")


def need_redis_server() -> Path:
    """The program redis-server, for a test that starts one of its own."""
    found = shutil.which("redis-server")
    return Path(found) if found else lacking("redis-server", "apt-get install redis-server")


def need_rabbitmq() -> str:
    """URL of the broker on this machine."""
    try:
        socket.create_connection(RABBITMQ, timeout=2).close()
    except OSError:
        lacking("RabbitMQ at 127.0.0.1:5672", "apt-get install rabbitmq-server")
    return "amqp://guest:guest@127.0.0.1:5672//"


def need_node_libraries() -> tuple[Path, Path]:
    """Node, and the folder of the libraries that tests/portal/simulator/node names, as they are locked there."""
    node = shutil.which("node")
    if node is None:
        lacking("Node", "apt-get install nodejs npm")
    lock = Path(__file__).parent / "portal" / "simulator" / "node" / "package-lock.json"
    folder = Path(__file__).parent.parent / "var" / "node-libraries"
    installed = folder / "installed-package-lock.json"
    if not installed.is_file() or installed.read_bytes() != lock.read_bytes():
        lacking("npm's sfmc-sdk", "make node-libraries")
    return Path(node), folder / "node_modules"


def need_curl() -> Path:
    found = shutil.which("curl")
    return Path(found) if found else lacking("curl", "apt-get install curl")


def need_postgres_15() -> Path:
    """The folder of the programs of PostgreSQL 15, the oldest that the portal supports."""
    if (POSTGRES_15 / "initdb").is_file():
        return POSTGRES_15
    return lacking("PostgreSQL 15", "apt-get install postgresql-15")


def need_root() -> None:
    """Some behaviour shows only as root: who may change accounts."""
    if os.geteuid() != 0:
        lacking("root", "run the tests as root")


def lacking(what: str, mend: str) -> NoReturn:
    pytest.skip(f"{what} is not here ({mend})")
