"""A cheap load client: raw sockets in one thread, closed loop, every answer checked.

It runs in a process of its own. The first answer to each prepared request is parsed and compared with what is
known; later answers must have the checksum of a body that passed, or are parsed again. A journal, if asked for, holds
a line for every answer: which request, request id, status, SHA-256 of both bodies, but no body.
"""

import contextlib
import hashlib
import json
import multiprocessing
import selectors
import socket
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

RECEIVE = 1 << 18
LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Prepared:
    """A request in bytes, and what its answer must say: request id -> what stands in the answer for it."""

    wire: bytes
    expected: dict[str, Any]


@dataclass
class Result:
    """What one run saw. Latencies are seconds from the first byte sent to the last one received."""

    seconds: float = 0.0
    requests: int = 0
    items: int = 0
    cpu_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def percentile(self, percent: float) -> float:
        """A percentile of the latencies, in milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def http_request(path: str, authorization: str, body: bytes) -> bytes:
    """A POST with a JSON body, as it stands on the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def resolved_items(body: bytes) -> dict[str, Any]:
    """Request id -> (value, attributes) of a Resolve answer; None where it was unresolved."""
    answer = json.loads(body)
    found: dict[str, Any] = {item["tokenRequestId"]: None for item in answer["unresolvedTokens"]}
    for item in answer["resolvedTokens"]:
        attributes = {one["name"]: one["value"] for one in item.get("attributes", ())}
        found[item["tokenRequestId"]] = (item["tokenValue"], attributes)
    if len(found) != len(answer["resolvedTokens"]) + len(answer["unresolvedTokens"]):
        raise ValueError("an id was answered twice")
    return found


def token_items(body: bytes) -> dict[str, Any]:
    """Request id -> (token, subscriber key) of a Get Token answer."""
    tokens = json.loads(body)["tokens"]
    return {item["tokenRequestId"]: (item["token"], item["subscriberKey"]) for item in tokens}


def any_token_items(body: bytes) -> dict[str, Any]:
    """Request id -> True of a Get Token answer that gave a token and a key: what new values can be checked for."""
    tokens = json.loads(body)["tokens"]
    return {item["tokenRequestId"]: bool(item["token"] and item["subscriberKey"]) for item in tokens}


class _Connection:
    """One keep-alive connection with at most one request on its way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RECEIVE)
        self.received = bytearray()
        self.length = -1  # of the whole answer; -1 until its head is in
        self.body_start = 0
        self.index = -1
        self.sent_at = 0.0

    def send(self, index: int, wire: bytes) -> None:
        self.index, self.sent_at, self.length = index, time.perf_counter(), -1
        self.received.clear()
        self.socket.setblocking(True)
        self.socket.sendall(wire)
        self.socket.setblocking(False)

    def receive(self) -> bool:
        """Read what is there; True when the answer is whole."""
        part = self.socket.recv(RECEIVE)
        if not part:
            raise ConnectionError("closed in the middle of an answer")
        self.received += part
        if self.length < 0:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.body_start = end + 4
            head = bytes(self.received[:end]).lower()
            where = head.index(b"content-length:") + 15
            self.length = self.body_start + int(head[where:].split(b"\r\n", 1)[0])
        return len(self.received) >= self.length

    @property
    def status(self) -> int:
        return int(self.received[9:12])

    @property
    def request_id(self) -> str:
        head = bytes(self.received[: self.body_start]).lower()
        _, _, rest = head.partition(b"\r\nx-request-id:")
        return rest.split(b"\r\n", 1)[0].strip().decode()

    @property
    def body(self) -> bytes:
        return bytes(self.received[self.body_start :])


class _Client:
    def __init__(
        self, prepared: list[Prepared], parse: Callable[[bytes], dict[str, Any]], journal: IO[str] | None
    ) -> None:
        self.prepared = prepared
        self.parse = parse
        self.journal = journal
        self.passed: dict[int, int] = {}
        self.next = 0
        self.result = Result()

    def take(self) -> int | None:
        """Index of the next request, round and round."""
        self.next += 1
        return (self.next - 1) % len(self.prepared)

    def check(self, connection: _Connection) -> None:
        expected = self.prepared[connection.index].expected
        self.result.latencies.append(time.perf_counter() - connection.sent_at)
        self.result.requests += 1
        self.result.items += len(expected)
        body = connection.body
        if self.journal:
            self.write_down(connection, body)
        if connection.status != 200:
            self.result.faults.append(f"status {connection.status}")
            return
        checksum = zlib.crc32(body)
        if self.passed.get(connection.index) == checksum:
            return
        answered = self.parse(body)
        if answered != expected:
            wrong = sum(answered.get(name) != right for name, right in expected.items())
            self.result.faults.append(f"request {connection.index}: {wrong} items are not what is known")
        self.passed[connection.index] = checksum

    def write_down(self, connection: _Connection, body: bytes) -> None:
        """A line of the journal, written before the answer is judged."""
        assert self.journal is not None
        asked = self.prepared[connection.index].wire.partition(b"\r\n\r\n")[2]
        line = {
            "index": connection.index,
            "id": connection.request_id,
            "status": connection.status,
            "request": hashlib.sha256(asked).hexdigest(),
            "response": hashlib.sha256(body).hexdigest(),
        }
        self.journal.write(json.dumps(line) + "\n")
        self.journal.flush()


class _OnceEach(_Client):
    """Sends every request once: for requests that change what they ask about."""

    def take(self) -> int | None:
        self.next += 1
        return self.next - 1 if self.next <= len(self.prepared) else None


def drive(
    address: tuple[str, int],
    prepared: list[Prepared],
    parse: Callable[[bytes], dict[str, Any]],
    *,
    connections: int,
    seconds: float,
    once: bool = False,
    journal: Path | None = None,
) -> Result:
    """Send `prepared` over `connections` keep-alive connections for `seconds`, in this process."""
    with contextlib.ExitStack() as files:
        book = files.enter_context(journal.open("a", encoding="ascii")) if journal else None
        client = (_OnceEach if once else _Client)(prepared, parse, book)
        return _closed_loop(address, client, connections, seconds)


def _closed_loop(address: tuple[str, int], client: _Client, connections: int, seconds: float) -> Result:
    prepared, result = client.prepared, client.result
    selector = selectors.DefaultSelector()
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(connections):
        if (index := client.take()) is not None:
            connection = _Connection(address)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(index, prepared[index].wire)
    while selector.get_map():
        ready = selector.select(LONGEST_WAIT)
        if not ready:
            result.faults.append(f"no answer within {LONGEST_WAIT:.0f} s")
            break
        for key, _ in ready:
            connection = key.data
            if not connection.receive():
                continue
            client.check(connection)
            index = client.take() if time.perf_counter() - started < seconds else None
            if index is None:
                selector.unregister(connection.socket)
                connection.socket.close()
            else:
                connection.send(index, prepared[index].wire)
    result.seconds = time.perf_counter() - started
    result.cpu_seconds = time.process_time() - cpu
    return result


def _child(pipe: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    pipe.send(drive(*arguments, **options))


def run(
    address: tuple[str, int],
    prepared: list[Prepared],
    parse: Callable[[bytes], dict[str, Any]],
    *,
    connections: int,
    seconds: float,
    once: bool = False,
    journal: Path | None = None,
) -> Result:
    """`drive` in a process of its own, so that its CPU and its interpreter lock are nobody else's."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    options = {"connections": connections, "seconds": seconds, "once": once, "journal": journal}
    process = multiprocessing.get_context("spawn").Process(
        target=_child, args=(theirs, (address, prepared, parse), options)
    )
    process.start()
    theirs.close()
    try:
        answer = ours.recv()
    except EOFError:
        raise RuntimeError("the load client ended without a result; its error stands above") from None
    finally:
        process.join()
    assert isinstance(answer, Result)
    return answer
