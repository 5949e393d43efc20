"""The process that runs the embedded servers: it restarts what dies, and stops all when nobody uses them.

It is detached from whoever started it, so that a kill of that process neither stops the servers under others
nor leaves them behind: users hold a shared lock, and the keeper gets it for itself once the last one is gone.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from portal.embedded.binaries import find_postgres, find_valkey
from portal.embedded.errors import EmbeddedError
from portal.embedded.home import Home, settle_home
from portal.embedded.locks import StateLocks
from portal.embedded.postgres import Postgres
from portal.embedded.service import Service, end_orphan
from portal.embedded.state import (
    Secrets,
    make_root_keys,
    make_secrets,
    read_secrets,
    root_keys_file,
    secrets_file,
    write_private,
)
from portal.embedded.valkey import Valkey

HEARTBEAT = 0.2
LONGEST_BACK_OFF = 5.0


@dataclass(frozen=True)
class Plan:
    """What a keeper is to run; passed to it as JSON."""

    state: str
    durable: bool = True
    valkey: bool = True
    keys: bool = True
    postgres_bin: str | None = None


class Keeper:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.state = Path(plan.state)
        self.locks = StateLocks(self.state)
        self.services: list[Service] = []
        self.told_to_stop = False

    def start(self) -> None:
        """Starts every service; on an error none is left running."""
        self.locks.keeper.acquire(timeout=10)  # others hold it for an instant, to see whether a keeper runs
        home = settle_home(self.state)
        self._end_orphans(home)
        secrets = first_secrets(self.state, home, keys=self.plan.keys)
        wanted = Path(self.plan.postgres_bin) if self.plan.postgres_bin else None
        logs = self.state / "log"
        binaries = find_postgres(wanted)
        postgres = Postgres(home, logs / "postgres.log", binaries, secrets, durable=self.plan.durable)
        postgres.make_database()
        self.services = [postgres]
        if self.plan.valkey:
            self.services.append(Valkey(home, logs / "valkey.log", find_valkey(), secrets))
        try:
            for service in self.services:
                service.start()
        except EmbeddedError:
            self.stop()
            raise
        self._write_pids()

    def keep(self) -> None:
        """Returns when the last user is gone, or on SIGTERM."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        back_off = HEARTBEAT
        while not self.told_to_stop and not self.locks.users.try_acquire():
            time.sleep(HEARTBEAT)
            for service in self.services:
                if service.has_died():
                    back_off = self._restart(service, back_off)

    def stop(self) -> None:
        for service in reversed(self.services):
            service.stop()
        pids_file(self.state).unlink(missing_ok=True)

    def _restart(self, service: Service, back_off: float) -> float:
        """Starts a dead service again; answers how long to wait should it not stay up."""
        print(f"{service.name} died; starting it again", file=sys.stderr, flush=True)
        try:
            service.start()
            self._write_pids()
            return HEARTBEAT
        except (EmbeddedError, OSError) as error:  # a full disk, for one, which may have room again
            print(error, file=sys.stderr, flush=True)
            time.sleep(back_off)
            return min(back_off * 2, LONGEST_BACK_OFF)

    def _on_sigterm(self, _signal: int, _frame: FrameType | None) -> None:
        self.told_to_stop = True

    def _write_pids(self) -> None:
        pids = {"keeper": os.getpid()}
        pids |= {service.name.lower(): service.process.pid for service in self.services if service.process}
        write_private(pids_file(self.state), json.dumps(pids) + "\n")

    def _end_orphans(self, home: Home) -> None:
        for name, pid in read_pids(self.state).items():
            if name != "keeper":
                end_orphan(pid, home.path)


def first_secrets(state: Path, home: Home, *, keys: bool) -> Secrets:
    """The secrets of the state folder. They and the root keys are made only where there is no database."""
    secrets = read_secrets(state)
    missing = [] if secrets else [secrets_file(state)]
    given = os.environ.get("FIELD_ENCRYPTION_KEY") or os.environ.get("FIELD_ENCRYPTION_KEY_FILE")
    keys_wanted = keys and not given
    if keys_wanted and not root_keys_file(state).exists():
        missing.append(root_keys_file(state))
    if missing and home.data.exists():
        raise EmbeddedError(
            f"{missing[0]} is missing, and the database in {home.data} needs it: restore it from a backup"
            + (", or set FIELD_ENCRYPTION_KEY." if missing[0] == root_keys_file(state) else ".")
        )
    if root_keys_file(state) in missing:
        make_root_keys(state)
    return secrets or make_secrets(state)


def pids_file(state: Path) -> Path:
    return state / "embedded.pids"


def read_pids(state: Path) -> dict[str, int]:
    """Process ids by name ("keeper", "postgresql", "valkey"); empty when nothing runs."""
    try:
        return {str(name): int(pid) for name, pid in json.loads(pids_file(state).read_text()).items()}
    except (FileNotFoundError, ValueError):
        return {}


def encode(plan: Plan) -> str:
    return json.dumps(asdict(plan))


def main() -> None:
    """`keeper PLAN FD`: FD is a pipe on which one line says "ready" or why not."""
    plan, report = Plan(**json.loads(sys.argv[1])), int(sys.argv[2])
    if os.fork():
        os._exit(0)  # the keeper is nobody's child: who started it need not wait for it
    keeper = Keeper(plan)
    try:
        keeper.start()
    except EmbeddedError as error:
        keeper.locks.keeper.release()  # before the report, so that who reads it sees no keeper any more
        os.write(report, str(error).encode())
        raise SystemExit(1) from None
    os.write(report, b"ready")
    os.close(report)
    try:
        keeper.keep()
    finally:
        keeper.stop()


if __name__ == "__main__":
    main()
