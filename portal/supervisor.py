"""Runs the programs of the portal side by side: restarts what dies, shows what they print, ends them all together.

Each program leads a process group and is tied to this process by the kernel, so that nothing is left behind
however this process ends.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from portal.embedded import leash

TICK = 0.2
FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.5, 30.0
# A program that stayed up so long has recovered: its next death is a first one again.
STEADY_AFTER = 60.0
GRACE = 25.0


@dataclass(frozen=True)
class Program:
    """What to run, under a short name; `descriptors` are open files that it inherits."""

    name: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    descriptors: Sequence[int] = ()


class Child:
    """A program and its present process, if it has one."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.output: IO[bytes] | None = None
        self.unfinished_line = b""
        self.started_at = 0.0
        self.start_at = 0.0
        self.back_off = FIRST_BACK_OFF

    def start(self) -> None:
        us = f"{os.geteuid()}:{os.getegid()}"
        tied = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), str(int(signal.SIGTERM)), us]
        self.process = subprocess.Popen(
            [*tied, *self.program.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | self.program.environment,
            pass_fds=self.program.descriptors,
            start_new_session=True,
        )
        self.output = self.process.stdout
        self.started_at = time.monotonic()

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def plan_restart(self) -> float:
        """Sets when to start again after a death; answers the seconds until then."""
        if time.monotonic() - self.started_at > STEADY_AFTER:
            self.back_off = FIRST_BACK_OFF
        delay = self.back_off
        self.back_off = min(self.back_off * 2, LONGEST_BACK_OFF)
        self.start_at = time.monotonic() + delay
        return delay

    def ask_to_end(self) -> None:
        if self.process is not None and self.is_running():
            self.process.send_signal(signal.SIGTERM)

    def kill_group(self) -> None:
        """Ends whatever is left of the program, its own children included."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


class Supervisor:
    """Runs programs until it is told to stop by SIGINT or SIGTERM; `say` gets each line to show.

    From the main thread only: Linux ties a program to the thread that started it.
    """

    def __init__(self, programs: Sequence[Program], *, say: Callable[[str], None]) -> None:
        self.children = [Child(program) for program in programs]
        self.say = say
        self.width = max(len(program.name) for program in programs)
        self.selector = selectors.DefaultSelector()
        self.stop_requests = 0

    def run(self) -> None:
        """Starts everything, and returns when everything has ended."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            self._keep_running()
        finally:
            self._end_all()

    def _keep_running(self) -> None:
        while not self.stop_requests:
            for child in self.children:
                self._look_after(child)
            self._show_output(TICK)

    def _look_after(self, child: Child) -> None:
        if child.is_running():
            return
        if child.process is not None:
            self._bury(child)
        if time.monotonic() >= child.start_at:
            child.start()
            assert child.output is not None
            os.set_blocking(child.output.fileno(), False)
            self.selector.register(child.output, selectors.EVENT_READ, child)

    def _bury(self, child: Child) -> None:
        assert child.process is not None
        self._drain(child)
        # What it had started (pool processes, web workers) must not work on beside its successor.
        child.kill_group()
        code, child.process = child.process.returncode, None
        self._show(child, f"ended with code {code}; starting again in {child.plan_restart():g} s")

    def _end_all(self) -> None:
        for child in self.children:
            child.ask_to_end()
        deadline = time.monotonic() + GRACE
        requests = self.stop_requests
        while any(child.is_running() for child in self.children) and time.monotonic() < deadline:
            self._show_output(TICK / 4)
            if self.stop_requests > requests:
                break  # asked again: no more patience
        for child in self.children:
            child.kill_group()
            if child.process is not None:
                child.process.wait()
            self._drain(child)

    def _show_output(self, timeout: float) -> None:
        if not self.selector.get_map():
            time.sleep(timeout)
            return
        for key, _ in self.selector.select(timeout):
            self._read(key.data)

    def _read(self, child: Child) -> bool:
        """Shows what a child printed; answers whether there may be more."""
        if child.output is None:
            return False
        data = child.output.read(65536)
        if data:
            *lines, child.unfinished_line = (child.unfinished_line + data).split(b"\n")
            for line in lines:
                self._show(child, line.decode(errors="replace"))
            return True
        if data == b"":
            self._forget_output(child)
        return False

    def _drain(self, child: Child) -> None:
        while self._read(child):
            pass
        self._forget_output(child)

    def _forget_output(self, child: Child) -> None:
        if child.output is None:
            return
        if child.unfinished_line:
            self._show(child, child.unfinished_line.decode(errors="replace"))
            child.unfinished_line = b""
        with contextlib.suppress(KeyError):
            self.selector.unregister(child.output)
        child.output.close()
        child.output = None

    def _show(self, child: Child, line: str) -> None:
        self.say(f"{child.program.name:<{self.width}} | {line}")

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.stop_requests += 1
