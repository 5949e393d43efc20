"""`make run SANDBOX=1`: a simulated Marketing Cloud beside the portal, under its supervisor, and calls to try."""

import contextlib
import json
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from portal.settings_errors import refuse
from portal.simulator.server import hosts_at
from portal.supervisor import Program
from portal.synthetic_people import people

# Distance of the simulator's port from the portal's: two checkouts side by side differ by themselves.
PORT_DISTANCE: Final = 900
LAST_PORT: Final = 65535


@dataclass(frozen=True)
class Sandbox:
    """The simulator that will run: where it is, and the program for the supervisor."""

    origin: str
    program: Program

    def wait_until_connected(self) -> None:
        """Returns when it knows the portal, and the portal knows it."""
        while True:
            with contextlib.suppress(OSError, ValueError):
                answer = urllib.request.urlopen(f"{self.origin}/simulator/state", timeout=5)  # noqa: S310 - ours
                with answer:
                    if json.load(answer)["connected"]:
                        return
            time.sleep(0.3)

    def text(self, token: str) -> str:
        """What to print then: where it is, and calls to try; `token` is of somebody's e-mail address."""
        stop = json.dumps({"mobile": next(iter(people(1))).mobile, "text": "STOP"})
        lost = json.dumps({"kind": "reset", "path": "tokens/get", "times": 5})
        refused = json.dumps(
            {"kind": "status", "status": 429, "retry_after": 2, "path": "service.asmx", "times": 3}
        )
        at = f"{self.origin}/simulator"
        lines = [
            "",
            f"The sample enterprise is connected to a simulated Marketing Cloud:  {self.origin}",
            "  somebody texts STOP, and Get Token is asked for their token:",
            f"    curl -d '{stop}' {at}/text",
            "  a send: Resolve is asked 50 times for 500 tokens each:",
            f"    curl -d '{{\"batches\": 50}}' {at}/send",
            "  the next five calls of Get Token get lost: a STOP then drops into the No Token Queue, in four minutes:",
            f"    curl -d '{lost}' {at}/faults",
            "  its extract, to import on the page No Token Queue:",
            f"    curl -o queue.csv {at}/no-token-queue.csv",
            "  the next three calls that unsubscribe or read back are refused:",
            f"    curl -d '{refused}' {at}/faults",
            "  somebody unsubscribes by the link of a mail, and the portal is told by an event:",
            f"    curl -d '{json.dumps({'to': token})}' {at}/unsubscribe",
            "  what came of it all, people with their status included:",
            f"    curl {at}/state",
            "More to try: docs/marketing-cloud-simulator.md",
            "",
        ]
        return "\n".join(lines)


def refuse_where_it_makes_no_sense(only: Sequence[str]) -> None:
    """A simulator proves nothing to real data, and calls the portal without TLS."""
    if not settings.EMBEDDED:
        refuse(
            "SANDBOX=1 goes with the sample data of the embedded database",
            "take DATABASE_URL or SANDBOX away",
        )
    if settings.TLS_CERT:
        refuse("the simulated Marketing Cloud calls the portal without TLS", "take TLS_CERT or SANDBOX away")
    if "web" not in only:
        refuse("SANDBOX=1 needs the web server", "run the part web too")


def refuse_beside(real: Sequence[str]) -> None:
    """Every connection of this database would go to the simulator, and opt-outs would be handed over to nobody."""
    if real:
        refuse(
            f"this database has connections in use ({', '.join(real)}), and all would go to the simulator",
            "stop using them, or take SANDBOX away",
        )


def prepare(address: str) -> Sandbox:
    """The sandbox of the portal at `address`. What is started from now on finds its Marketing Cloud there."""
    listener = _listener(int(address.rpartition(":")[2]) + PORT_DISTANCE)
    origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    os.environ["MARKETING_CLOUD_HOSTS"] = hosts_at(origin)
    # The socket must stay open here while the simulator is started anew; the program holds it.
    os.set_inheritable(listener.fileno(), True)
    command = [sys.executable, "manage.py", "simulate_marketing_cloud", "--sandbox", address]
    program = Program(
        "simulator", [*command, "--descriptor", str(listener.fileno())], descriptors=[listener.detach()]
    )
    return Sandbox(origin, program)


def _listener(port: int) -> socket.socket:
    """A socket at that port of this machine, or at any free one."""
    for wanted in (port if port <= LAST_PORT else 0, 0):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted))
        except OSError:
            listener.close()
            continue
        listener.listen(128)
        return listener
    raise OSError("no port of this machine is free")
