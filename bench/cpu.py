"""CPU time of web processes and of the PostgreSQL backends that serve them, read from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of every thread of `pid`, in seconds; 0 when the process is gone."""
    try:
        # The name stands in brackets and may hold blanks: fields are counted behind the last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def machine_seconds() -> float:
    """Busy seconds of all cores since the machine started, also those that a hypervisor took away."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND


def parent(pid: int) -> int:
    """The process that started `pid`."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def descendants(pid: int) -> list[int]:
    """`pid` and every process below it."""
    found, frontier = [], [pid]
    while frontier:
        parent = frontier.pop()
        found.append(parent)
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                frontier += map(int, task.read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


class Meter:
    """CPU seconds that a set of processes used since the meter was made.

    A process that appears later counts from its birth; one that ends takes its share along, so nothing that is
    measured may be recycled in between.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._start = {pid: cpu_seconds(pid) for pid in pids}

    def used(self, pids: Iterable[int]) -> float:
        """Seconds used until now by `pids`, which should be asked for again at the end."""
        return sum(cpu_seconds(pid) - self._start.get(pid, 0.0) for pid in set(pids) | set(self._start))


class TreeMeter:
    """CPU seconds that processes and everything below them used since the meter was made.

    What has ended and was waited for is counted by its parent, so backends and pool processes may come and go.
    """

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = list(roots)
        self._start = self._total()

    def used(self) -> float:
        """Seconds used until now."""
        return self._total() - self._start

    def _total(self) -> float:
        pids = {pid for root in self._roots for pid in descendants(root)}
        return sum(map(_with_ended_children, pids))


def _with_ended_children(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS_PER_SECOND
