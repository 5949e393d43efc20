"""Faults on demand: the next calls whose path matches are late, refused, cut off or half done.

Calls to the simulator, and those that it makes to the token server, where the network between is what fails.
"""

import re
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"  # answered after `seconds`
    STATUS = "status"  # refused with `status`, and Retry-After if `retry_after` is given; nothing was done
    RESET = "reset"  # the connection is reset before anything was done
    RESET_AFTER = "reset-after"  # all was done, but the connection is reset instead of an answer
    HALF = "half"  # of the rows of an upsert only the first `rows` are written, then 500


@dataclass(slots=True)
class Planned:
    """One fault, for the next `times` calls whose path contains a match of `path`."""

    kind: Fault
    path: re.Pattern[str]
    times: int = 1
    status: int = 500
    retry_after: int | None = None
    seconds: float = 0
    rows: int = 0

    @classmethod
    def read(cls, said: dict[str, Any]) -> "Planned":
        """From the JSON of the control endpoint. Raises ValueError or TypeError that names what is wrong."""
        path = re.compile(said.get("path", ""), re.IGNORECASE)
        return cls(**{**said, "kind": Fault(said.get("kind", "")), "path": path})


@dataclass(slots=True)
class Faults:
    """The faults that are still to come."""

    planned: list[Planned] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, **said: Any) -> None:
        with self._lock:
            self.planned.append(Planned.read(said))

    def clear(self) -> None:
        with self._lock:
            self.planned.clear()

    def take(self, path: str) -> list[Planned]:
        """The faults of a call, at most one of each kind, each counted down."""
        with self._lock:
            taken: dict[Fault, Planned] = {}
            for fault in self.planned:
                if fault.kind not in taken and fault.path.search(path):
                    fault.times -= 1
                    taken[fault.kind] = fault
            self.planned = [fault for fault in self.planned if fault.times > 0]
            return list(taken.values())
