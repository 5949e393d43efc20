"""The head of the log outside the database: the note of the newest checkpoint, so that an older database is noticed.

It is advanced after the database has committed. A crash between the two leaves a database that is ahead of its head,
which is what any log looks like that grew; a database behind its head was cut or restored.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from audit.seals.errors import HeadMoved, HeadUnreadable


class Head(Protocol):
    """Where the newest checkpoint is kept: a file by default; a store on another machine behind the same face."""

    def read(self) -> str | None:
        """The note, or None when there is none yet. Raises HeadUnreadable."""

    def advance(self, before: str | None, after: str) -> None:
        """Replace `before` by `after`, durably. Raises HeadMoved when it is not `before`, HeadUnreadable."""


class FileHead:
    """A file that is whole or absent, also after a power cut; a lock beside it makes compare-and-swap one step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise HeadUnreadable(f"The head of the log at {self.path} cannot be read: {error}.") from None

    def advance(self, before: str | None, after: str) -> None:
        try:
            with self._locked():
                if self.read() != before:
                    raise HeadMoved
                self._write(after)
        except OSError as error:
            said = error.strerror or type(error).__name__
            raise HeadUnreadable(f"The head of the log at {self.path} cannot be written: {said}.") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(
            self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, note: str) -> None:
        partial = self.path.with_name(f"{self.path.name}.new")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name too survives a power cut
        finally:
            os.close(folder)
