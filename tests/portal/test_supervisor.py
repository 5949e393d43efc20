"""The supervisor over small programs: what dies is started again, and nothing is ever left behind."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator

import pytest

from portal.embedded.state import CHECKOUT
from tests import processes

SUPERVISE = """
import json, sys
from portal import supervisor
supervisor.FIRST_BACK_OFF = 0.1
supervisor.GRACE = float(sys.argv[2])
programs = [supervisor.Program(name, command) for name, command in json.loads(sys.argv[1]).items()]
supervisor.Supervisor(programs, say=lambda line: print(line, flush=True)).run()
print("all ended", flush=True)
"""
SLEEP = "echo up $$; sleep 600"
SLEEP_IN_A_CHILD = "sleep 600 & echo up $$; wait"
STUBBORN = "trap '' TERM; echo up $$; while true; do sleep 1; done"


class Supervised:
    """A supervisor in a process of its own; all that it starts carries a mark in its environment."""

    def __init__(self, commands: dict[str, str], grace: float) -> None:
        self.mark = f"supervised-by-{uuid.uuid4()}"
        programs = json.dumps({name: ["/bin/sh", "-c", command] for name, command in commands.items()})
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, programs, str(grace)],
            cwd=CHECKOUT,
            env=os.environ | {"MARK": self.mark},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines = processes.Lines(self.process)

    def left(self) -> dict[int, str]:
        return processes.mentioning(self.mark)

    def clean_up(self) -> None:
        self.process.kill()
        self.process.wait()
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)
        assert self.process.stdout is not None
        self.lines.all()
        self.process.stdout.close()


Start = Callable[..., Supervised]


@pytest.fixture
def supervise() -> Iterator[Start]:
    started: list[Supervised] = []

    def start(grace: float = 10, **commands: str) -> Supervised:
        started.append(Supervised(commands, grace))
        return started[-1]

    yield start
    for supervised in started:
        supervised.clean_up()


def test_lines_say_who_printed_them(supervise: Start) -> None:
    supervised = supervise(web="echo hello from web; sleep 600", beat="printf 'no newline' >&2; exit 3")
    supervised.lines.until("starting again in 0.2 s")
    supervised.process.send_signal(signal.SIGTERM)
    lines = supervised.lines.all()
    assert "web  | hello from web" in lines
    assert "beat | no newline" in lines
    assert "beat | ended with code 3; starting again in 0.1 s" in lines


def test_what_dies_is_started_again_each_time_later(supervise: Start) -> None:
    supervised = supervise(web="echo up; exit 1")
    delays = [float(supervised.lines.until(r"starting again in ([\d.]+) s")[1]) for _ in range(4)]
    assert delays == [0.1, 0.2, 0.4, 0.8]


def test_the_children_of_a_killed_program_do_not_live_on_beside_its_successor(supervise: Start) -> None:
    supervised = supervise(worker=SLEEP_IN_A_CHILD)
    first = int(supervised.lines.until(r"up (\d+)")[1])
    os.kill(first, signal.SIGKILL)
    second = int(supervised.lines.until(r"up (\d+)")[1])
    assert second != first
    processes.wait_for(lambda: list(supervised.left().values()).count("sleep 600 ") == 1)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything(supervise: Start, how: signal.Signals) -> None:
    supervised = supervise(web=SLEEP, worker=SLEEP_IN_A_CHILD)
    for _ in range(2):
        supervised.lines.until("up")
    supervised.process.send_signal(how)
    supervised.lines.until("all ended")
    assert supervised.process.wait(60) == 0
    processes.wait_for(lambda: not supervised.left())


def test_a_program_that_ignores_the_request_is_killed_after_a_while(supervise: Start) -> None:
    supervised = supervise(grace=0.3, web=STUBBORN)
    supervised.lines.until("up")
    supervised.process.send_signal(signal.SIGTERM)
    supervised.lines.until("all ended")
    processes.wait_for(lambda: not supervised.left())


def test_a_second_ctrl_c_is_not_kept_waiting(supervise: Start) -> None:
    supervised = supervise(grace=600, web=STUBBORN)
    supervised.lines.until("up")
    supervised.process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        supervised.process.wait(1)
    supervised.process.send_signal(signal.SIGINT)
    assert supervised.process.wait(60) == 0
    processes.wait_for(lambda: not supervised.left())


def test_a_killed_supervisor_leaves_nothing_behind(supervise: Start) -> None:
    supervised = supervise(web=SLEEP, beat=SLEEP)
    for _ in range(2):
        supervised.lines.until("up")
    supervised.process.kill()
    processes.wait_for(lambda: not [command for command in supervised.left().values() if "sh -c" in command])
