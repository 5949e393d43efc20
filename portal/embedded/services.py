"""The face of the package: start, hold and let go of the embedded servers of one state folder."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from portal.embedded.errors import EmbeddedError
from portal.embedded.home import prepare_state_folder, recorded_home
from portal.embedded.keeper import Plan, encode, read_pids
from portal.embedded.locks import StateLocks
from portal.embedded.service import open_log
from portal.embedded.state import CHECKOUT, state_dir
from portal.embedded.urls import Urls, urls


class EmbeddedServices:
    """PostgreSQL and Valkey of a state folder (default: of this checkout).

    They run while at least one process holds them by `start()`; a process that dies has let go.
    `durable=False` is for tests: a power cut may lose data.
    """

    def __init__(
        self,
        state: Path | None = None,
        *,
        durable: bool = True,
        valkey: bool = True,
        keys: bool = True,
        postgres_bin: Path | None = None,
    ) -> None:
        self.state = (state or state_dir()).absolute()
        self.plan = Plan(str(self.state), durable, valkey, keys, str(postgres_bin) if postgres_bin else None)
        self._locks: StateLocks | None = None

    def start(self) -> Urls:
        """Holds the servers, started if they do not run. Idempotent; raises EmbeddedError with one line."""
        if self._locks is None:
            prepare_state_folder(self.state)
            locks = StateLocks(self.state)
            locks.users.acquire(shared=True)
            self._locks = locks
        try:
            return self.ensure()
        except EmbeddedError:
            self.release()
            raise

    def ensure(self) -> Urls:
        """Starts the servers again if their keeper died; cheap when all is well. Only after `start()`."""
        assert self._locks is not None, "ensure() before start()"
        with self._locks.start.held():
            if self._locks.keeper.try_acquire():
                self._locks.keeper.release()
                self._launch_keeper()
            else:
                self._locks.keeper.release()
        return urls(self.state)

    def running(self) -> bool:
        """Whether a keeper runs, ours or another process's."""
        if not (self.state / "lock").is_dir():
            return False
        keeper = StateLocks(self.state).keeper
        free = keeper.try_acquire()
        keeper.release()
        return not free

    def pids(self) -> dict[str, int]:
        """Process ids by name: keeper, postgresql, valkey."""
        return read_pids(self.state) if self.running() else {}

    def release(self) -> None:
        """Lets go without waiting: the servers stop when nobody else holds them."""
        if self._locks is not None:
            self._locks.users.release()
            self._locks = None

    def stop(self, timeout: float = 60) -> None:
        """Lets go, and waits for the servers to stop unless somebody else holds them."""
        self.release()
        deadline = time.monotonic() + timeout
        while self.running() and not self._held_by_others():
            if time.monotonic() > deadline:
                raise EmbeddedError(f"The servers of {self.state} did not stop within {timeout:.0f} s.")
            time.sleep(0.05)

    def terminate(self, timeout: float = 60) -> None:
        """Stops the servers under whoever uses them."""
        self.release()
        if keeper := self.pids().get("keeper"):
            os.kill(keeper, signal.SIGTERM)
            deadline = time.monotonic() + timeout
            while self.running() and time.monotonic() < deadline:
                time.sleep(0.05)

    def destroy(self) -> None:
        """Stops the servers and deletes the state folder with everything in it. For tests."""
        self.terminate()
        home = recorded_home(self.state)
        if home is not None:
            shutil.rmtree(home.path, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)

    def _held_by_others(self) -> bool:
        probe = StateLocks(self.state).users
        nobody_holds = probe.try_acquire()
        # A keeper that is stopping holds this lock alone and would refuse a share; other users would not.
        others_hold = not nobody_holds and probe.try_acquire(shared=True)
        probe.release()
        return others_hold

    def _launch_keeper(self) -> None:
        reader, writer = os.pipe()
        path = str(CHECKOUT)
        code = f"import sys; sys.path.insert(0, {path!r}); from portal.embedded.keeper import main; main()"
        log_file = self.state / "log" / "keeper.log"
        with open_log(log_file) as log:
            forked = subprocess.run(
                [sys.executable, "-c", code, encode(self.plan), str(writer)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                pass_fds=[writer],
                start_new_session=True,
                check=False,
            )
        os.close(writer)
        with os.fdopen(reader) as report:
            said = report.read()
        if forked.returncode or said != "ready":
            raise EmbeddedError(said or f"The embedded servers did not start (see {log_file}).")
