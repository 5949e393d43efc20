"""The API behind a real web server: what only sockets show."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connections

from audit.models import PayloadEntry
from tests.conftest import OwnDatabase
from tests.serving import Server
from tests.tokens.api import cast
from tests.tokens.api.cast import RESOLVE, MarketingCloud, ask
from tests.tokens.cast import an_enterprise

HOME, AWAY = "203.0.113.7", "198.51.100.7"


@pytest.fixture
def caller(shared_database: OwnDatabase) -> MarketingCloud:
    return cast.a_caller(an_enterprise())


@pytest.fixture
def connection(shared_server: Server) -> Iterator[http.client.HTTPConnection]:
    """A connection that stays open."""
    host, _, port = shared_server.url.removeprefix("http://").partition(":")
    with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=90)) as opened:
        yield opened


def post(
    connection: http.client.HTTPConnection, who: MarketingCloud, body: bytes | Iterator[bytes], **headers: str
) -> tuple[int, dict[str, object]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"Authorization": who.authorization, "Content-Type": "application/json"} | named
    connection.request("POST", RESOLVE, body, headers, encode_chunked="Transfer-Encoding" in headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def batch(*tokens: str) -> bytes:
    return json.dumps({"tokens": [ask(token, str(n)) for n, token in enumerate(tokens)]}).encode()


def test_one_connection_carries_answers_and_refusals(
    connection: http.client.HTTPConnection, caller: MarketingCloud
) -> None:
    token = cast.a_person(caller.client.enterprise, *cast.ANA)
    for _ in range(3):
        assert post(connection, caller, batch(token))[0] == 200
        assert post(connection, caller, b"{")[0] == 400
        assert post(connection, caller, batch(token), Authorization="Basic eDp5")[0] == 401
    assert PayloadEntry.objects.filter(enterprise_id=caller.client.enterprise_id).count() == 6


def test_a_chunked_body_is_read(connection: http.client.HTTPConnection, caller: MarketingCloud) -> None:
    token = cast.a_person(caller.client.enterprise, *cast.ANA)
    body = batch(token)
    status, said = post(connection, caller, iter([body[:9], body[9:]]), Transfer_Encoding="chunked")
    assert (status, len(said["resolvedTokens"])) == (200, 1)  # type: ignore[arg-type]


def test_a_chunked_body_has_the_same_limit(
    connection: http.client.HTTPConnection, caller: MarketingCloud
) -> None:
    chunks = (b" " * 65_536 for _ in range(17))
    status, said = post(connection, caller, chunks, Transfer_Encoding="chunked")
    assert (status, said["error"]) == (413, "body_too_large")


def test_fifty_megabytes_are_refused_before_they_are_read(
    connection: http.client.HTTPConnection, caller: MarketingCloud
) -> None:
    connection.putrequest("POST", RESOLVE)
    for name, value in (
        ("Authorization", caller.authorization),
        ("Content-Type", "application/json"),
        ("Content-Length", str(50 * 1_048_576)),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 413  # of the fifty megabytes not one byte was sent


def test_a_caller_that_waits_for_100_continue_gets_its_answer(
    connection: http.client.HTTPConnection, caller: MarketingCloud
) -> None:
    assert post(connection, caller, batch(), Expect="100-continue")[0] == 200


def send_raw(server: Server, caller: MarketingCloud, headers: str, body: str) -> bytes:
    """The answer to what no client library would send; nothing comes after it."""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 10) as raw:
        raw.sendall(
            f"POST {RESOLVE} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {caller.authorization}\r\n"
            f"Connection: close\r\n{headers}\r\n\r\n{body}".encode()
        )
        raw.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: raw.recv(65_536), b""))


@pytest.mark.parametrize("body", ['{"tokens":', '{"tokens":[]}'])
def test_a_body_that_ends_early_is_refused(shared_server: Server, caller: MarketingCloud, body: str) -> None:
    answer = send_raw(shared_server, caller, "Content-Type: application/json\r\nContent-Length: 100", body)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"ended before" in answer


@pytest.mark.parametrize("body", ["zz\r\n{}\r\n0\r\n\r\n", "-1\r\n{}\r\n0\r\n\r\n", "2\r\n{}}\r\n0\r\n\r\n"])
def test_chunks_that_cannot_be_read_are_the_callers_mistake(
    shared_server: Server, caller: MarketingCloud, body: str
) -> None:
    headers = "Content-Type: application/json\r\nTransfer-Encoding: chunked"
    answer = send_raw(shared_server, caller, headers, body)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"malformed_body" in answer


def test_a_content_type_with_a_charset_that_nobody_knows_is_no_error_of_ours(
    shared_server: Server, caller: MarketingCloud
) -> None:
    headers = "Content-Type: application/json; charset*0*=bogus'x'%FF\r\nContent-Length: 13"
    answer = send_raw(shared_server, caller, headers, '{"tokens":[]}')
    assert b" 200 " in answer.partition(b"\r\n")[0]


def test_a_caller_on_loopback_says_nothing_about_scheme_and_place(
    shared_server: Server, caller: MarketingCloud
) -> None:
    # gunicorn would believe it: as a prefix of every link, and with a 400 for schemes that contradict each other.
    headers = "Content-Type: application/json\r\nContent-Length: 13\r\n"
    lies = "SCRIPT_NAME: /elsewhere\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off"
    answer = send_raw(shared_server, caller, headers + lies, '{"tokens":[]}')
    assert b" 200 " in answer.partition(b"\r\n")[0]


def test_killed_connections_to_the_database_come_back_without_a_restart(
    connection: http.client.HTTPConnection, shared_database: OwnDatabase, caller: MarketingCloud
) -> None:
    token = cast.a_person(caller.client.enterprise, *cast.ANA)
    assert post(connection, caller, batch(token))[0] == 200
    connections.close_all()  # those of this test
    with psycopg.connect(shared_database.urls.admin, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [shared_database.name],
        )
    statuses = [post(connection, caller, batch(token))[0] for _ in range(20)]
    assert set(statuses) <= {200, 503}
    assert statuses[-1] == 200


@pytest.mark.slow
def test_a_call_that_waits_for_a_locked_table_hears_503(
    connection: http.client.HTTPConnection, shared_database: OwnDatabase, caller: MarketingCloud
) -> None:
    assert post(connection, caller, batch())[0] == 200
    with psycopg.connect(shared_database.urls.owner) as owner:
        owner.execute("LOCK TABLE tokens_apiclient IN ACCESS EXCLUSIVE MODE")
        began = time.perf_counter()
        assert post(connection, caller, batch())[0] == 503
        assert time.perf_counter() - began < 15
    assert post(connection, caller, batch())[0] == 200


# --- the allowlist cannot be talked round (promise P19) ----------------------------------------------------
SPOOFED = [
    HOME,
    f"{HOME}:443",
    f" {HOME} ",
    f"::ffff:{HOME}",
    f"[::ffff:{HOME}]:443",
    f"{HOME}, 10.0.0.1",
    f"10.0.0.1, {HOME}",
    f"{AWAY}, {HOME}",
    f"{HOME}, {AWAY}",
    f"{HOME},",
    f",{HOME}",
    f'"{HOME}"',
    f"for={HOME}",
    f'for="{HOME}";proto=https;by=10.0.0.1',
    "10.0.0.1",
    "127.0.0.1",
    "localhost",
    "unix",
    "::1",
    "203.0.113.0/24",
]
NAMES = [
    "X-Forwarded-For",
    "x-forwarded-for",
    "X_Forwarded_For",
    "HTTP_X_FORWARDED_FOR",
    "Forwarded",
    "Forwarded-For",
    "X-Forwarded",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Originating-IP",
    "X-Remote-IP",
    "X-Remote-Addr",
    "Remote-Addr",
    "REMOTE_ADDR",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Fastly-Client-IP",
    "X-Azure-ClientIP",
    "X-Forwarded-Host",
    "X-Original-Forwarded-For",
    "Via",
]


def variants() -> list[str]:
    """Header lines that claim to come from HOME, one name at a time, doubled, and beside each other."""
    lines = [f"{name}: {value}\r\n" for name in NAMES for value in SPOOFED]
    lines += [f"X-Forwarded-For: {AWAY}\r\nX-Forwarded-For: {value}\r\n" for value in SPOOFED]
    lines += [
        f"X-Forwarded-For: {value}\r\nX-Real-IP: {HOME}\r\nForwarded: for={HOME}\r\n" for value in SPOOFED
    ]
    return lines


def status_of(port: int, who: MarketingCloud, lines: str, opening: str = "") -> int:
    body = '{"tokens":[]}'
    with socket.create_connection(("127.0.0.1", port), 10) as raw:
        raw.sendall(
            f"{opening}POST {RESOLVE} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}Authorization: {who.authorization}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode(
                "latin-1"
            )
        )
        return int(raw.recv(65_536).split(b" ", 2)[1])


@pytest.fixture
def stack(own_database: OwnDatabase) -> MarketingCloud:
    """Marketing Cloud, which calls from HOME's network only."""
    return cast.a_caller(an_enterprise(), networks=["203.0.113.0/24"])


def served(own_database: OwnDatabase, trusted: str) -> Server:
    server = Server(own_database.environment | {"TRUSTED_PROXIES": trusted})
    server.wait_until_served()
    return server


def test_a_peer_that_is_not_allowed_cannot_talk_itself_in(
    own_database: OwnDatabase, stack: MarketingCloud
) -> None:
    server = served(own_database, "10.0.0.0/8,unix")
    try:
        port = int(server.url.rpartition(":")[2])
        tried = variants()
        assert len(tried) >= 300
        statuses = [status_of(port, stack, lines) for lines in tried]
        statuses.append(status_of(port, stack, "", opening=f"PROXY TCP4 {HOME} 127.0.0.1 443 443\r\n"))
        assert set(statuses) <= {400, 403}
        assert statuses.count(403) >= 300
        assert not PayloadEntry.objects.exists()
    finally:
        server.stop()


def test_what_stands_left_of_the_proxys_own_word_is_not_believed(
    own_database: OwnDatabase, stack: MarketingCloud
) -> None:
    server = served(own_database, "127.0.0.0/8")
    try:
        port = int(server.url.rpartition(":")[2])
        # The proxy appends who called it, in the same line or in one of its own.
        appended = [f"X-Forwarded-For: {value}, {AWAY}\r\n" for value in SPOOFED]
        appended += [f"X-Forwarded-For: {value}\r\nX-Forwarded-For: {AWAY}\r\n" for value in SPOOFED]
        assert {status_of(port, stack, lines) for lines in appended} <= {400, 403}
        # The same server lets in whom the proxy names, so the refusals above are no accident.
        assert status_of(port, stack, f"X-Forwarded-For: {AWAY}, {HOME}\r\n") == 200
        # The twin without the defence, which reads from the left, would have let these in.
        assert sum(line.split(": ", 1)[1].split(",")[0].strip() == HOME for line in appended) >= 5
    finally:
        server.stop()
