"""Marketing Cloud's side of a fault run: many callers, and a journal of what they hold.

A line is written, flushed to the disk, for each answer of status 200 that was received whole. The journal is what the
log is judged by afterwards.
"""

import hashlib
import http.client
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from tests.tokens.api import cast


@dataclass
class Journal:
    """Answers that callers hold, and how many requests got none."""

    file: IO[str]
    lock: threading.Lock = field(default_factory=threading.Lock)
    answered: int = 0
    interrupted: int = 0
    other_status: list[int] = field(default_factory=list)

    def hold(self, request_id: str, request: bytes, response: bytes) -> None:
        """Note an answer of status 200; it is on the disk when this returns."""
        line = {"id": request_id, "status": 200, "request": _sha256(request), "response": _sha256(response)}
        with self.lock:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
            os.fsync(self.file.fileno())
            self.answered += 1


class Callers:
    """Threads that call Resolve and Get Token in turn, each on its own connection, until enough was asked."""

    def __init__(self, url: str, authorization: str, tokens: list[str], journal: Journal, total: int) -> None:
        self.address = urlsplit(url).netloc
        self.headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self.tokens, self.journal = tokens, journal
        self._left = iter(range(total))
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Ask nothing more."""
        self._left = iter(())

    def _next(self) -> int | None:
        with self._lock:
            return next(self._left, None)

    def call(self) -> None:
        """Ask until nothing is left to ask; an answer that never came is not asked for again."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        while (number := self._next()) is not None:
            try:
                self._ask(connection, *self._request(number))
            except (http.client.HTTPException, OSError):
                with self.journal.lock:
                    self.journal.interrupted += 1
                connection.close()
                time.sleep(0.02)
        connection.close()

    def _request(self, number: int) -> tuple[str, bytes]:
        if number % 3 == 0:
            value = {
                "tokenRequestId": "g",
                "tokenValue": f"p{number}@mail.example",
                "tokenType": "EmailAddress",
            }
            return cast.GET, json.dumps({"tokenValues": [value]}).encode()
        items = [cast.ask(token) | {"tokenRequestId": f"r{n}"} for n, token in enumerate(self.tokens)]
        return cast.RESOLVE, json.dumps({"sendKey": f"send-{number}", "tokens": items}).encode()

    def _ask(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> None:
        connection.request("POST", path, body, self.headers)
        answer = connection.getresponse()
        received = answer.read()
        if answer.status == 200:
            self.journal.hold(answer.headers["X-Request-ID"], body, received)
        else:
            with self.journal.lock:
                self.journal.other_status.append(answer.status)
            time.sleep(0.2)


@contextmanager
def calling(folder: Path, threads: int, **facts: Any) -> Iterator[Journal]:
    """Callers at work while the context lasts; they have asked everything when it ends."""
    with (folder / "journal.jsonl").open("w") as file:
        journal = Journal(file)
        callers = Callers(journal=journal, **facts)
        crowd = [threading.Thread(target=callers.call) for _ in range(threads)]
        for thread in crowd:
            thread.start()
        try:
            yield journal
        except BaseException:
            callers.stop()
            raise
        finally:
            for thread in crowd:
                thread.join(3600)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
