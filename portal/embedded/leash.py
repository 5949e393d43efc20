"""Runs a command that ends when its parent ends: `leash.py PARENT SIGNAL UID:GID COMMAND…`.

Started by path, with nothing of the project importable. Linux sends SIGNAL to the command when its parent
dies, however it dies; elsewhere the command runs without that. The account is changed here, not by the
caller: the interpreter itself may stand where that account cannot read.
"""

import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def tie_to_parent(death_signal: int) -> None:
    """From now on this process gets `death_signal` when its parent dies. Linux only; elsewhere nothing happens."""
    if prctl := _prctl():
        prctl(PR_SET_PDEATHSIG, death_signal)


def _prctl() -> Callable[[int, int], int] | None:
    if sys.platform != "linux":
        return None
    import ctypes

    return ctypes.CDLL(None).prctl


def main() -> None:
    parent, death_signal, (uid, gid) = int(sys.argv[1]), int(sys.argv[2]), map(int, sys.argv[3].split(":"))
    prctl = _prctl()  # while we can still read our own standard library
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, death_signal)  # after the change of account, which undoes it
        if os.getppid() != parent:
            sys.exit(1)
    # Python ignores SIGPIPE and an ignored signal survives exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606 - a shell is what this avoids


if __name__ == "__main__":
    main()
