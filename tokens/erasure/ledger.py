"""The erasure ledger: what a restored older database must be told again, kept outside of it (docs/erasure.md).

Lines of JSON, one for each record, in the order in which they were written. Nothing is ever changed in it. There is no
clear value in it: people are known by token, subscriber key and blind index.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

VERSION = 1
# Closes what a crash or a full disk cut short. What it closes was never confirmed, and stands whole further down.
CUT = b" <- cut short\n"
Record = dict[str, Any]


class LedgerError(Exception):
    """The erasure ledger can't be read or written: mend that before erasures go on."""


class LedgerDamaged(LedgerError):
    """The erasure ledger holds lines that can't be read: take them from a copy of it."""


class Ledger(Protocol):
    """Where it is kept: a file by default; a store on another machine behind the same face."""

    def append(self, records: Sequence[Record]) -> None:
        """Add records; on return they survive a power cut. Raises LedgerError, and then some may be there."""

    def read(self) -> Iterator[Record]:
        """Every record, the oldest first; a record can be there twice. Raises LedgerError and LedgerDamaged."""


class FileLedger:
    """A file that only grows. A line that was cut short is closed by the next append, and marked: it is no damage."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, records: Sequence[Record]) -> None:
        text = "".join(json.dumps(one | {"v": VERSION}, sort_keys=True) + "\n" for one in records)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_new = not self.path.exists()
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            with os.fdopen(os.open(self.path, flags, 0o600), "r+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _write(file.fileno(), (CUT if _is_cut(file) else b"") + text.encode())
                os.fsync(file.fileno())
            if is_new:
                _sync_folder(self.path.parent)
        except OSError as error:
            said = error.strerror or type(error).__name__
            raise LedgerError(f"The erasure ledger at {self.path} can't be written: {said}.") from None

    def read(self) -> Iterator[Record]:
        damaged = 0
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    record = _read(line)
                    if record is not None:
                        yield record
                    elif line.endswith("\n") and not line.endswith(CUT.decode()):
                        damaged += line.strip() != ""
        except FileNotFoundError:
            return
        except OSError as error:
            raise LedgerError(f"The erasure ledger at {self.path} can't be read: {error.strerror}.") from None
        if damaged:
            raise LedgerDamaged(f"{damaged} lines of the erasure ledger at {self.path} can't be read.")

    def cut_lines(self) -> list[int]:
        """The numbers of the lines that were cut short and closed: skipped, since each was written again."""
        try:
            with self.path.open("rb") as file:
                return [
                    number
                    for number, line in enumerate(file, 1)
                    if line.endswith(CUT) and _read(line.decode(errors="replace")) is None
                ]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LedgerError(f"The erasure ledger at {self.path} can't be read: {error.strerror}.") from None

    def newest(self, size: int = 1_000_000) -> list[Record]:
        """The records among the last `size` bytes: enough to tell whether a database is older than the ledger."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(self.path.stat().st_size - size, 0))
                lines = file.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LedgerError(f"The erasure ledger at {self.path} can't be read: {error.strerror}.") from None
        return [record for line in lines if (record := _read(line)) is not None]


def _read(line: str) -> Record | None:
    mark = CUT.decode().strip()
    while (line := line.strip()).endswith(
        mark
    ):  # all but its end may be there, and the mark was cut short too
        line = line.removesuffix(mark)
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.get("v") == VERSION else None


def _is_cut(file: Any) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) != b"\n")


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # the new name too survives a power cut
    finally:
        os.close(descriptor)
