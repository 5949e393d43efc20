"""The real web server over a test's own database, for tests that are about sockets or need a browser."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from functools import cache

from bench.cpu import descendants
from portal.embedded.locks import FileLock
from portal.embedded.state import CHECKOUT
from tests import cluster, processes


class Server:
    """gunicorn as the portal configures it, one process. `url` has no slash at its end; `log` is what it printed."""

    def __init__(
        self,
        environment: dict[str, str],
        application: str = "portal.wsgi:application",
        *,
        preload: bool = False,
    ) -> None:
        collect_static()
        self.listener = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if environment.get("TLS_CERT") else "http"
        self.url = f"{scheme}://127.0.0.1:{self.listener.getsockname()[1]}"
        bind = f"fd://{self.listener.fileno()}"
        gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:portal.web_server", "--bind", bind]
        if preload:
            gunicorn.append("--preload")
        # A file, since a pipe that nobody reads would stop a server with much to say.
        self._printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by stop()
        self.process = subprocess.Popen(
            [*gunicorn, application],
            cwd=CHECKOUT,
            env=os.environ | {"WEB_WORKERS": "1"} | environment,
            pass_fds=[self.listener.fileno()],
            stdout=self._printed,
            stderr=subprocess.STDOUT,
        )
        self.log = ""

    def wait_until_served(self, seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while not answers(self.url):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"the web server did not start:\n{self.log}")
            time.sleep(0.05)

    def renew(self) -> None:
        """Replaces the worker by one that has served nobody. Preloaded, that takes a moment: nothing is imported."""
        old = descendants(self.process.pid)[1:]
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        processes.wait_for(lambda: not set(old) & set(descendants(self.process.pid)))
        self.wait_until_served()

    def stop(self) -> None:
        if self._printed.closed:
            return  # a test stopped it to read what it printed
        self.process.terminate()
        self.process.wait(120)
        with self._printed as printed:
            printed.seek(0)
            self.log = printed.read()
        self.listener.close()


def answers(url: str) -> bool:
    """Whether anything at all is answered there."""
    unverified = ssl._create_unverified_context()  # noqa: S323 - certificates of tests, and nothing is read
    try:
        urllib.request.urlopen(f"{url}/healthz", timeout=30, context=unverified).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


@cache
def collect_static() -> None:
    """Collects the static files once for all test processes of a checkout."""
    state = cluster.main().state
    with FileLock(state / "lock" / "static").held():
        command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
        subprocess.run(
            command,
            cwd=CHECKOUT,
            check=True,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.served_settings"},
        )
