"""The measurements, in interleaved rounds: every round asks floor, portal and twin, so that noise meets all of them."""

import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench import load
from bench.cpu import Meter, machine_seconds
from bench.load import Prepared, Result
from bench.servers import Server
from bench.workload import Workload, new_values

Parse = Callable[[bytes], dict[str, Any]]
FloorCall = Callable[[str, list[Any]], tuple[float, float, bytes]]


@dataclass
class Measured:
    """What the rounds of one subject showed."""

    cpu_ms: list[float] = field(default_factory=list)  # a batch: web processes and their backends
    web_ms: list[float] = field(default_factory=list)  # of which the web processes
    items_per_second: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p95: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    client_cpu: list[float] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)  # share of the machine that other programs took
    requests: int = 0
    faults: list[str] = field(default_factory=list)

    def unhindered(self) -> list[float]:
        """Items a second, had no other program taken CPU."""
        return [rate / (1 - taken) for rate, taken in zip(self.items_per_second, self.taken, strict=True)]

    def add(self, result: Result, cpu: float, web: float, others: float) -> None:
        """Take in one round: seconds of CPU, and the share of the machine that others took."""
        self.taken.append(others)
        self.requests += result.requests
        self.faults += result.faults
        self.cpu_ms.append(1000 * cpu / result.requests)
        self.web_ms.append(1000 * web / result.requests)
        self.items_per_second.append(result.items / result.seconds)
        self.p50.append(result.percentile(50))
        self.p95.append(result.percentile(95))
        self.p99.append(result.percentile(99))
        self.client_cpu.append(result.cpu_seconds / result.seconds)


@dataclass(frozen=True)
class Subject:
    """A server and the requests that it is asked."""

    server: Server
    prepared: list[Prepared]
    parse: Parse

    def round(self, into: Measured, *, connections: int, seconds: float, once: bool = False) -> None:
        """Ask for `seconds`, and add what was seen."""
        all_cpu, web_cpu = Meter(self.server.pids()), Meter(self.server.web_pids())
        ours, machine, started = Meter(self.server.all_pids()), machine_seconds(), time.perf_counter()
        result = load.run(
            self.server.address,
            self.prepared,
            self.parse,
            connections=connections,
            seconds=seconds,
            once=once,
        )
        others = machine_seconds() - machine - ours.used(self.server.all_pids()) - result.cpu_seconds
        others /= (time.perf_counter() - started) * (os.cpu_count() or 1)
        cpu, web = all_cpu.used(self.server.pids()), web_cpu.used(self.server.web_pids())
        into.add(result, cpu, web, others)


class Rounds:
    """Figures by name, gathered round by round."""

    def __init__(self, floor: FloorCall, workload: Workload) -> None:
        self.floor = floor
        self.workload = workload
        self.floor_ms: dict[str, list[float]] = defaultdict(list)
        self.measured: dict[str, Measured] = defaultdict(Measured)

    def warm_up(self, subjects: list[Subject], seconds: float) -> None:
        """Touch the rows and start the connections; nothing is counted."""
        self.floor("resolve", self.workload.resolve_for_floor())
        for subject in subjects:
            subject.round(Measured(), connections=50, seconds=seconds)

    def floor_round(self, name: str, verb: str, batches: list[Any]) -> None:
        """CPU ms of the floor for a batch."""
        cpu, _, _ = self.floor(verb, batches)
        self.floor_ms[name].append(1000 * cpu / len(batches))

    def round_of(
        self, name: str, subject: Subject, *, connections: int, seconds: float, once: bool = False
    ) -> None:
        """One round of a subject under `name`."""
        subject.round(self.measured[name], connections=connections, seconds=seconds, once=once)

    def ratios(self, above: list[float], below: list[float]) -> list[float]:
        """Round by round, so that both sides of a ratio met the same noise."""
        return [a / b for a, b in zip(above, below, strict=True)]


def floor_new_batches(batches: int, serial: str) -> list[Any]:
    """Values that only the floor mints."""
    return list(new_values(batches, f"floor.{serial}"))
