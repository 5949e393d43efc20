"""The portal without its first defence, for a known-bad twin: it answers first and logs a moment later.

A WSGI application like portal.wsgi, served by the same web server.
"""

import contextlib
import queue
import threading
import time
from typing import Any, Final

from portal import wsgi
from tokens.log import recording

DELAY_SECONDS: Final = 0.2
application = wsgi.application

_record = recording.record
_waiting: "queue.Queue[tuple[float, tuple[Any, ...]]]" = queue.Queue()


def record_later(*args: Any) -> None:
    """Leaves the entry to a thread of its own, as a library with a background writer does."""
    if not any(thread.name == "late-log" for thread in threading.enumerate()):
        threading.Thread(target=_write_what_waits, name="late-log", daemon=True).start()
    _waiting.put((time.monotonic() + DELAY_SECONDS, args))


def _write_what_waits() -> None:
    while True:
        due, args = _waiting.get()
        time.sleep(max(0.0, due - time.monotonic()))
        with contextlib.suppress(Exception):  # the database is away: such a library drops what waits
            _record(*args)


recording.record = record_later
