"""`make run`: everything that the portal is made of, under one supervisor."""

import contextlib
import errno
import os
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from portal import banner, embedded, preflight, sample_data, sandbox, sealing, simulated_account
from portal.command_line import PortalCommand
from portal.embedded.leash import tie_to_parent
from portal.embedded.locks import FileLock
from portal.settings_errors import refuse
from portal.supervisor import Program, Supervisor

PARTS: Final = ("web", "worker", "beat", "maintenance")


class Command(PortalCommand):
    help = "Migrate, then serve: web server, Celery worker, beat and maintenance under one supervisor."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--port", default=os.environ.get("PORT", "8000"))
        parser.add_argument(
            "--bind", default=os.environ.get("BIND", "127.0.0.1"), help="address to listen on"
        )
        parser.add_argument(
            "--sandbox",
            dest="simulated",
            action="store_true",
            help="connect the sample enterprise to a simulated Marketing Cloud (make run SANDBOX=1)",
        )
        parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="run these parts here")

    def handle(self, *, port: str, bind: str, only: list[str], simulated: bool, **options: Any) -> None:
        if "MAKELEVEL" in os.environ:
            tie_to_parent(signal.SIGTERM)
        if simulated:
            sandbox.refuse_where_it_makes_no_sense(only)
        listener = listen(bind, port) if "web" in only else None
        running = refuse_a_second_run() if settings.EMBEDDED else None
        if settings.EMBEDDED:
            self._say("Preparing the database, keys and pages (half a minute, the first time) ...")
        self._prepare(only)
        sample = make_sample_data(simulated=simulated)
        started = programs(only, listener)
        if listener is not None:
            address = address_of(bind, listener.getsockname()[1])
            text = banner.text(address, sample)
            simulator = sandbox.prepare(address) if simulated else None
            if simulator is not None:
                started.append(simulator.program)
            said = (address, text, simulator, sample.token if sample else "")
            threading.Thread(target=self._say_when_served, args=said, daemon=True).start()
        supervisor = Supervisor(started, say=self._say)
        with servers_kept_up(self._say):
            supervisor.run()
        if running is not None:
            running.release()

    def _prepare(self, only: Sequence[str]) -> None:
        preflight.check_tls()
        preflight.check_databases()
        migrate()
        preflight.check_keys()
        if "maintenance" in only:
            sealing.check_signing_key()
        call_command("collectstatic", interactive=False, verbosity=0)
        connections.close_all()

    def _say(self, line: str) -> None:
        # Whoever read our output may be gone; the work goes on.
        with contextlib.suppress(BrokenPipeError):
            self.stdout.write(line)
            self.stdout.flush()

    def _say_when_served(
        self, address: str, text: str, simulator: sandbox.Sandbox | None, token: str
    ) -> None:
        wait_until_served(address)
        self._say(text)
        if simulator is not None:
            simulator.wait_until_connected()
            self._say(simulator.text(token))


def listen(bind: str, port: str) -> socket.socket:
    """The socket that the web server will accept on. It is ours, so it stays open while workers are replaced."""
    if not port.isdigit() or not 0 <= int(port) <= 65535:
        refuse(f"PORT is {port}", "give a number up to 65535, such as PORT=8001")
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bind, int(port)))
        listener.listen(2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            refuse(
                f"port {port} is in use", f"stop what listens there, or choose another: PORT={int(port) + 1}"
            )
        refuse(f"cannot listen on {bind} port {port} ({error.strerror})", "choose another with PORT or BIND")
    return listener


def refuse_a_second_run() -> FileLock:
    """Two of us over one embedded database would do every periodic task twice."""
    (settings.STATE_DIR / "lock").mkdir(parents=True, exist_ok=True, mode=0o700)
    running = FileLock(settings.STATE_DIR / "lock" / "run")
    if not running.try_acquire():
        refuse(f"the portal of {settings.STATE_DIR} runs already", "stop it first, or use another checkout")
    return running


def make_sample_data(*, simulated: bool) -> banner.Sample | None:
    """People and a client to try things with; never in a database that an operator named."""
    if not settings.EMBEDDED:
        return None
    sample = sample_data.create()
    if simulated:
        sandbox.refuse_beside(simulated_account.real_connections())
    else:
        simulated_account.disconnect()
    connections.close_all()
    return sample


def programs(only: Sequence[str], listener: socket.socket | None) -> list[Program]:
    python = sys.executable
    celery = [python, "-m", "celery", "--quiet", "--app", "portal.celery:app"]
    worker = ["worker", "--loglevel", "WARNING", "--concurrency", str(settings.WORKER_PROCESSES)]
    schedule = str(settings.STATE_DIR / "beat-schedule")
    # Celery objects to root because of pickle, which is not accepted here (CELERY_ACCEPT_CONTENT). Django's system
    # checks load every page, which a worker never shows.
    for_workers = {
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        "CELERY_SKIP_CHECKS": "yes",
    }
    all_of_them = [
        Program("worker", [*celery, *worker, "--without-gossip", "--without-mingle"], for_workers),
        Program("beat", [*celery, "beat", "--loglevel", "WARNING", "--pidfile", "", "--schedule", schedule]),
        Program("maintenance", [python, "manage.py", "maintain"]),
    ]
    if listener is not None:
        socket_address = f"fd://{listener.fileno()}"
        gunicorn = [
            python,
            "-m",
            "gunicorn",
            "--config",
            "python:portal.web_server",
            "--bind",
            socket_address,
        ]
        web = Program("web", [*gunicorn, "portal.wsgi:application"], descriptors=[listener.fileno()])
        all_of_them.insert(0, web)
    return [program for program in all_of_them if program.name in only]


def migrate() -> None:
    """Migrates as the owner, one after the other where several machines start at once."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('token-portal migrate'))")
        call_command("migrate", interactive=False, verbosity=0)
        cursor.execute("SELECT pg_advisory_unlock(hashtext('token-portal migrate'))")


@contextlib.contextmanager
def servers_kept_up(say: Callable[[str], None]) -> Iterator[None]:
    """Revives the embedded servers should their keeper be killed; a thread of its own, since that can take long."""
    ended = threading.Event()

    def watch(services: embedded.EmbeddedServices) -> None:
        while not ended.wait(2):
            try:
                services.ensure()
            except (embedded.EmbeddedError, OSError) as error:
                say(str(error))

    services = embedded.held()
    watcher = threading.Thread(target=watch, args=(services,), daemon=True)
    if services is not None:
        watcher.start()
    yield
    ended.set()
    if services is not None:
        watcher.join(timeout=10)
        services.stop()


def address_of(bind: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(bind, f"[{bind}]" if ":" in bind else bind)  # noqa: S104
    return f"{'https' if settings.TLS_CERT else 'http'}://{host}:{port}"


def wait_until_served(address: str) -> None:
    """Returns when the web server answers anything at all."""
    unverified = ssl._create_unverified_context()  # noqa: S323 - we ask ourselves, and read nothing
    while True:
        try:
            urllib.request.urlopen(f"{address}/healthz", timeout=5, context=unverified).close()  # noqa: S310
            return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.1)
