"""Locks of the state folder. The kernel drops them when their holder dies, so a kill leaves nothing."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from portal.embedded.errors import EmbeddedError


class FileLock:
    """A lock on a file, shared or exclusive, held until `release()` or the end of the process and forks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def try_acquire(self, *, shared: bool = False) -> bool:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def acquire(self, *, shared: bool = False, timeout: float = 120) -> None:
        deadline = time.monotonic() + timeout
        while not self.try_acquire(shared=shared):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"{self.path} stayed locked for {timeout:.0f} s: its holder hangs, end it."
                )
            time.sleep(0.02)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()


class StateLocks:
    """Who holds what: `users` every process that uses the servers, shared; `keeper` the process that runs
    them; `start` whoever is just starting a keeper.
    """

    def __init__(self, state: Path) -> None:
        self.users = FileLock(state / "lock" / "users")
        self.keeper = FileLock(state / "lock" / "keeper")
        self.start = FileLock(state / "lock" / "start")
