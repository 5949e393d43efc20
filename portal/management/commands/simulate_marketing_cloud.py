"""`manage.py simulate_marketing_cloud`: a Marketing Cloud on this machine, to try things without an account."""

import contextlib
import signal
import socket
import threading
from typing import Any

from django.core.management.base import CommandError
from django.db import connections

from portal import sample_data, simulated_account
from portal.command_line import PortalCommand
from portal.exit_codes import FIX_THE_DATA, USAGE
from portal.simulator.server import Simulator, ready_line
from portal.simulator.world import CHILD, EID, World
from tokens.errors import BadConnection


class Command(PortalCommand):
    help = (
        "Simulate one account of Marketing Cloud in memory until Ctrl-C: auth, REST and SOAP, with faults on demand. "
        "Prints one JSON line when it is ready: where it is, and the credentials of a package in it."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
        parser.add_argument(
            "--eid", default=EID, help="the account's EID, as the enterprise has it in the portal"
        )
        parser.add_argument("--mid", nargs="*", default=[CHILD], help="the MIDs of its other business units")
        parser.add_argument(
            "--sandbox",
            metavar="URL",
            help="be the account of the sample enterprise of the portal at URL (make run)",
        )
        parser.add_argument("--descriptor", type=int, help="a socket that listens already (make run)")

    def handle(
        self,
        *,
        port: int,
        eid: str,
        mid: list[str],
        sandbox: str | None,
        descriptor: int | None,
        **options: Any,
    ) -> None:
        if not all(unit.isdecimal() for unit in (eid, *mid)):
            raise CommandError("An EID or MID is a number.", returncode=USAGE)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        listener = socket.socket(fileno=descriptor) if descriptor is not None else None
        try:
            simulator = Simulator(port, None if sandbox else account(eid, mid), listener)
        except OSError as error:
            raise CommandError(f"Port {port} can't be taken: {error.strerror}.", returncode=USAGE) from None
        with simulator, contextlib.suppress(KeyboardInterrupt):
            if sandbox:
                serve_sandbox(simulator, sandbox)
                return
            package = next(iter(simulator.world.packages.values()))
            self.stdout.write(ready_line(simulator, package.client_id, package.client_secret))
            self.stdout.flush()
            simulator.serve_forever()


def account(eid: str, mids: list[str]) -> World:
    """An account of its own, with a package of every scope."""
    world = World(units={eid: "Enterprise"} | {unit: f"Unit {unit}" for unit in mids})
    world.add_package(redirect_uris=("http://127.0.0.1/callback",))
    return world


def serve_sandbox(simulator: Simulator, address: str) -> None:
    """Be the account of the sample enterprise until Ctrl-C, connected to the portal at `address`."""
    try:
        simulator.world = simulated_account.account()
        simulator.afterwards = simulated_account.keep
        thread = threading.Thread(target=simulator.serve_forever, daemon=True)
        thread.start()
        simulated_account.connect(simulator, address, sample_data.create())
    except BadConnection as error:
        raise CommandError(f"The sandbox is not connected: {error}.", returncode=FIX_THE_DATA) from None
    connections.close_all()
    thread.join()
