"""`manage.py simulate_marketing_cloud`: a Marketing Cloud on this machine, to try things without an account."""

import contextlib
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.exit_codes import USAGE
from portal.simulator.server import Simulator, ready_line
from portal.simulator.world import CHILD, EID, World


class Command(BaseCommand):
    help = (
        "Simulate one account of Marketing Cloud in memory until Ctrl-C: auth, REST and SOAP, with faults on demand. "
        "Prints one JSON line when it is ready: where it is, and the credentials of a package in it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
        parser.add_argument(
            "--eid", default=EID, help="the account's EID, as the enterprise has it in the portal"
        )
        parser.add_argument("--mid", nargs="*", default=[CHILD], help="the MIDs of its other business units")

    def handle(self, *, port: int, eid: str, mid: list[str], **options: Any) -> None:
        if not all(unit.isdecimal() for unit in (eid, *mid)):
            raise CommandError("An EID or MID is a number.", returncode=USAGE)
        units = {eid: "Enterprise"} | {unit: f"Unit {unit}" for unit in mid}
        try:
            simulator = Simulator(port, World(units=units))
        except OSError as error:
            raise CommandError(f"Port {port} can't be taken: {error.strerror}.", returncode=USAGE) from None
        package = simulator.world.add_package(redirect_uris=("http://127.0.0.1/callback",))
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with simulator, contextlib.suppress(KeyboardInterrupt):
            self.stdout.write(ready_line(simulator, package.client_id, package.client_secret))
            self.stdout.flush()
            simulator.serve_forever()
