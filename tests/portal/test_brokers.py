"""A real worker over each broker that the portal supports: a message sent is work done, and an id is all it carries."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection

from portal.celery import app
from portal.embedded.state import CHECKOUT
from tests import components, processes
from tests.settings import TEST_ENVIRONMENT

pytestmark = pytest.mark.slow


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[str]:
    program = components.need_redis_server()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    processes.wait_for(lambda: accepts(port))
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait()


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def valkey_server() -> str:
    return TEST_ENVIRONMENT["CELERY_BROKER_URL"]


@pytest.fixture
def rabbitmq() -> str:
    return components.need_rabbitmq()


@pytest.mark.parametrize("broker", ["valkey_server", "redis_server", "rabbitmq"])
def test_a_worker_does_what_it_is_sent(broker: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = request.getfixturevalue(broker)
    queue = f"test-{uuid.uuid4()}"
    worker = start_worker(url, queue)
    try:
        with Connection(url, transport_options=app.conf.broker_transport_options) as connection:
            app.send_task(
                "tests.write", [str(tmp_path / "done"), "by a worker"], queue=queue, connection=connection
            )
        processes.wait_for((tmp_path / "done").exists, seconds=180)
        processes.wait_for(lambda: (tmp_path / "done").read_text() == "by a worker")
    finally:
        worker.terminate()
        said, _ = worker.communicate(timeout=180)
        delete(url, queue)
    assert "Traceback" not in said


def start_worker(url: str, queue: str) -> "subprocess.Popen[str]":
    settings = {
        "DJANGO_SETTINGS_MODULE": "tests.served_settings",
        "CELERY_BROKER_URL": url,
        "CELERY_SKIP_CHECKS": "yes",
    }
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "--quiet", "--app", "portal.celery:app", "worker"),
            *("--include", "tests.portal.broker_tasks", "--queues", queue, "--concurrency", "1"),
            *("--hostname", f"{queue}@test", "--without-gossip", "--without-mingle", "--loglevel", "WARNING"),
        ],
        cwd=CHECKOUT,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def delete(url: str, queue: str) -> None:
    with Connection(url) as connection:
        connection.default_channel.queue_delete(queue)
