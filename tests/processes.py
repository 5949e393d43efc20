"""Looking at the processes of this machine, for tests that promise that nothing is left behind. Linux only."""

import queue
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def mentioning(text: str) -> dict[int, str]:
    """Command lines, by process id, of the running processes whose command line or environment holds `text`."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (folder / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if text in command or text in environment:
            found[int(folder.name)] = command
    return found


def wait_for(condition: Callable[[], object], *, seconds: float = 60) -> None:
    """Returns once the condition holds, however soon; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


class Lines:
    """What a process prints, line by line, without ever waiting for it longer than `seconds`."""

    def __init__(self, process: "subprocess.Popen[str]", *, seconds: float = 90) -> None:
        self.seconds = seconds
        self.seen: list[str] = []
        self._waiting: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()

    def until(self, pattern: str) -> "re.Match[str]":
        """Reads on to the next line that holds the pattern."""
        deadline = time.monotonic() + self.seconds
        while True:
            try:
                self.seen.append(self._waiting.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"no line like {pattern!r} after {self.seen}") from None
            if found := re.search(pattern, self.seen[-1]):
                return found

    def all(self) -> list[str]:
        """Every line up to the end of the output."""
        self._reader.join(self.seconds)
        while not self._waiting.empty():
            self.seen.append(self._waiting.get())
        return self.seen

    def _read(self, output: Iterable[str]) -> None:
        for line in output:
            self._waiting.put(line.rstrip("\n"))
