"""`manage.py embedded`: look at the embedded PostgreSQL and Valkey of this checkout, or open psql on it."""

import json
import os
import signal
import subprocess
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

from portal.command_line import PortalCommand
from portal.embedded import EmbeddedError, EmbeddedServices, state_dir
from portal.embedded.binaries import find_postgres
from portal.settings_errors import USAGE


class Command(PortalCommand):
    help = "The embedded servers under var/: show their state, keep them running, or open psql."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("what", choices=["status", "start", "psql"])
        parser.add_argument("--role", choices=["app", "owner", "admin"], default="app", help="of psql")
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--command", help="psql runs this and ends; rows unaligned, without headings")
        parser.add_argument("arguments", nargs="*", help="of psql, after --")

    def handle(self, *, what: str, **options: Any) -> None:
        try:
            getattr(self, what)(EmbeddedServices(), **options)
        except EmbeddedError as error:
            self.stderr.write(f"token-portal: {error}")
            sys.exit(USAGE)

    def status(self, services: EmbeddedServices, **options: Any) -> None:
        pids = services.pids()
        if options["json"]:
            self.stdout.write(json.dumps({"running": bool(pids), "state": str(state_dir()), "pids": pids}))
            return
        running = ", ".join(f"{name} {pid}" for name, pid in pids.items())
        self.stdout.write(f"{running or 'not running'} ({state_dir()})")

    def start(self, services: EmbeddedServices, **options: Any) -> None:
        services.start()
        self.stdout.write(f"The servers of {state_dir()} run until Ctrl-C.")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
        services.stop()

    def psql(
        self,
        services: EmbeddedServices,
        *,
        role: str,
        command: str | None,
        arguments: list[str],
        **options: Any,
    ) -> None:
        url = urlsplit(getattr(services.start(), role))
        # By the environment: arguments of a process are public, its environment is not.
        access = {
            "PGHOST": parse_qs(url.query)["host"][0],
            "PGUSER": url.username or "",
            "PGPASSWORD": url.password or "",
            "PGDATABASE": url.path.removeprefix("/"),
        }
        psql = find_postgres().bin / "psql"
        one = ["-XtAc", command] if command else []
        sys.exit(subprocess.run([psql, *one, *arguments], env=os.environ | access, check=False).returncode)
