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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from tests.tokens.api import cast


@dataclass
class Journal:
    """Answers that callers hold, how many tries got none, and what was given up after the last try."""

    file: IO[str]
    lock: threading.Lock = field(default_factory=threading.Lock)
    answered: int = 0
    interrupted: int = 0
    other_status: list[int] = field(default_factory=list)
    given_up: int = 0

    def hold(self, request_id: str, request: bytes, response: bytes) -> None:
        """Note an answer of status 200; it is on the disk when this returns."""
        line = {"id": request_id, "status": 200, "request": _sha256(request), "response": _sha256(response)}
        with self.lock:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
            os.fsync(self.file.fileno())
            self.answered += 1


def asked(journal: Journal) -> int:
    """Tries that came to an end, of whatever kind."""
    return journal.answered + journal.interrupted + len(journal.other_status)


class Callers:
    """Threads that call Resolve and Get Token in turn, each on its own connection, until enough was asked.

    `waits` are the seconds before each further try of what was not answered with 200.
    """

    def __init__(
        self,
        url: str,
        authorization: str,
        journal: Journal,
        total: int,
        tokens: Sequence[str] = (),
        waits: Sequence[float] = (),
    ) -> None:
        self.address = urlsplit(url).netloc
        self.headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self.tokens, self.journal, self.waits = tokens, journal, waits
        self._left = iter(range(total))
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Ask nothing more."""
        self._left = iter(())

    def _next(self) -> int | None:
        with self._lock:
            return next(self._left, None)

    def call(self) -> None:
        """Ask until nothing is left to ask."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        while (number := self._next()) is not None:
            for wait in (0.0, *self.waits):
                time.sleep(wait)
                if self._try(connection, number):
                    break
            else:
                with self.journal.lock:
                    self.journal.given_up += 1
        connection.close()

    def _try(self, connection: http.client.HTTPConnection, number: int) -> bool:
        """Whether it was answered with 200."""
        try:
            return self._ask(connection, *self._request(number))
        except (http.client.HTTPException, OSError):
            with self.journal.lock:
                self.journal.interrupted += 1
            connection.close()
            time.sleep(0.02)
            return False

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

    def _ask(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> bool:
        connection.request("POST", path, body, self.headers)
        answer = connection.getresponse()
        received = answer.read()
        if answer.status == 200:
            self.journal.hold(answer.headers["X-Request-ID"], body, received)
            return True
        with self.journal.lock:
            self.journal.other_status.append(answer.status)
        time.sleep(0.2)
        return False


class Stops(Callers):
    """People who text STOP: Get Token is asked for the token of each number."""

    def __init__(
        self, numbers: Sequence[str], headers: Mapping[str, str] | None = None, **facts: Any
    ) -> None:
        super().__init__(total=len(numbers), **facts)
        self.headers |= headers or {}
        self.numbers = numbers

    def _request(self, number: int) -> tuple[str, bytes]:
        return cast.GET, json.dumps({"tokenValues": [cast.want(self.numbers[number])]}).encode()


@contextmanager
def calling(folder: Path, threads: int, kind: type[Callers] = Callers, **facts: Any) -> Iterator[Journal]:
    """Callers at work while the context lasts; they have asked everything when it ends."""
    with (folder / "journal.jsonl").open("w") as file:
        journal = Journal(file)
        callers = kind(journal=journal, **facts)
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
