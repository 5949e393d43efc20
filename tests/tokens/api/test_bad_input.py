"""Malformed requests are refused within a second, by path and without quoting, and everything else is tolerated."""

import gzip
import json
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from audit.models import Outcome
from tests.tokens.api.cast import GET, RESOLVE, MarketingCloud, ask, entry_of, want
from tokens.log.rebuild import Proof, rebuild

CANARY = "canary@mail.example"
MEGABYTE = 1_048_576
ITEM = {"tokenRequestId": "r-1", "token": CANARY}


def resolving(*items: Any) -> bytes:
    return json.dumps({"tokens": items}).encode()


BAD_BODIES: list[tuple[str, bytes, int, str, str]] = [
    # (path, body, status, error code, what the message must name)
    (RESOLVE, b"", 400, "malformed_body", ""),
    (RESOLVE, b"not json", 400, "malformed_body", "byte"),
    (RESOLVE, b'{"tokens":[],}', 400, "malformed_body", "byte"),
    (RESOLVE, b'{"tokens":[]} {}', 400, "malformed_body", "byte"),
    (RESOLVE, b"{'tokens':[]}", 400, "malformed_body", "byte"),
    (RESOLVE, b'{"tokens":[],"x":NaN}', 400, "malformed_body", "byte"),
    (RESOLVE, b"\xef\xbb\xbf" + resolving(), 400, "malformed_body", ""),
    (RESOLVE, resolving().decode().encode("utf-16"), 400, "malformed_body", ""),
    (RESOLVE, b"[]", 400, "invalid_field", "object"),
    (RESOLVE, b"null", 400, "invalid_field", "object"),
    (RESOLVE, b"{}", 400, "invalid_field", "`tokens`"),
    (RESOLVE, b'{"tokens":null}', 400, "invalid_field", "`$.tokens`"),
    (RESOLVE, b'{"tokens":{}}', 400, "invalid_field", "`$.tokens`"),
    (RESOLVE, resolving(1), 400, "invalid_field", "`$.tokens[0]`"),
    (RESOLVE, resolving(ITEM, {"tokenRequestId": "x"}), 400, "invalid_field", "`$.tokens[1]`"),
    (RESOLVE, resolving({"token": CANARY}), 400, "invalid_field", "`tokenRequestId`"),
    (RESOLVE, resolving(ITEM | {"token": 7}), 400, "invalid_field", "`$.tokens[0].token`"),
    (RESOLVE, resolving(ITEM | {"token": None}), 400, "invalid_field", "`$.tokens[0].token`"),
    (RESOLVE, resolving(ITEM | {"tokenRequestId": [CANARY]}), 400, "invalid_field", "`$.tokens[0].tokenRequestId`"),
    (RESOLVE, resolving(ITEM | {"subscriberKey": 5}), 400, "invalid_field", "`$.tokens[0].subscriberKey`"),
    (RESOLVE, b'{"sendKey":{},"tokens":[]}', 400, "invalid_field", "`$.sendKey`"),
    (RESOLVE, resolving(ITEM | {"token": f"{CANARY}\0"}), 400, "invalid_field", "`$.tokens[0].token`"),
    (RESOLVE, resolving(ITEM | {"subscriberKey": "\0"}), 400, "invalid_field", "`$.tokens[0].subscriberKey`"),
    (RESOLVE, b'{"sendKey":"\\u0000","tokens":[]}', 400, "invalid_field", "`$.sendKey`"),
    (RESOLVE, resolving(ITEM | {"token": "\ud800"}), 400, "malformed_body", ""),
    (RESOLVE, b'{"tokens":[],"x":"\\udfff"}', 400, "malformed_body", ""),
    (RESOLVE, b'{"tokens":[],"x":"\xff"}', 400, "malformed_body", ""),
    (RESOLVE, b'{"tokens":[{"tokenRequestId":"1","token":"\xc3"}]}', 400, "malformed_body", "UTF-8"),
    (RESOLVE, resolving(*[ITEM | {"tokenRequestId": str(n)} for n in range(501)]), 400, "too_many_items", "500"),
    (RESOLVE, b'{"tokens":[],"x":' + b"[" * 40 + b"]" * 40 + b"}", 400, "too_deep", ""),
    (RESOLVE, b'{"tokens":[],"x":' + b"[" * 500_000 + b"]" * 500_000 + b"}", 400, "too_deep", ""),
    (RESOLVE, b'{"tokens":' * 90_000 + b"}" * 90_000, 400, "invalid_field", ""),
    (RESOLVE, b'{"tokens":[],"tokens":[]}', 400, "duplicate_key", "`$.tokens`"),
    (
        RESOLVE,
        b'{"tokens":[{"tokenRequestId":"a","token":"%b","token":"b"}]}' % CANARY.encode(),
        400,
        "duplicate_key",
        "`$.tokens[0].token`",
    ),
    (
        RESOLVE,
        b'{"tokens":[{"tokenRequestId":"a","token":"x","\\u0074oken":"b"}]}',
        400,
        "duplicate_key",
        "`$.tokens[0].token`",
    ),
    (RESOLVE, b'{"tokens":[],"x":{"%b":1,"%b":2}}' % ((CANARY.encode(),) * 2), 400, "duplicate_key", "[...]"),
    (RESOLVE, resolving() + b" " * MEGABYTE, 413, "body_too_large", "1048576"),
    (GET, b"{}", 400, "invalid_field", "`tokenValues`"),
    (GET, json.dumps({"tokenValues": [{"tokenRequestId": "1", "tokenValue": CANARY}]}).encode(), 400, "invalid_field",
     "`tokenType`"),
    (GET, json.dumps({"tokenValues": [want(f"{CANARY}\0")]}).encode(), 400, "invalid_field",
     "`$.tokenValues[0].tokenValue`"),
    (GET, json.dumps({"tokenValues": [want(CANARY, str(n)) for n in range(501)]}).encode(), 400, "too_many_items",
     "500"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "named"),
    BAD_BODIES,
    ids=[f"{row[3]}-{index}" for index, row in enumerate(BAD_BODIES)],
)
def test_a_bad_body_is_refused_by_path_and_without_quoting(
    caller: MarketingCloud, path: str, body: bytes, status: int, code: str, named: str
) -> None:
    caller.http.get("/healthz")  # whatever is loaded for the first request of a process
    began = time.process_time()
    response = caller.post(path, body)
    assert time.process_time() - began < 1
    said = response.json()
    assert (response.status_code, said["error"]) == (status, code), said
    assert set(said) == {"error", "message", "requestId"}
    assert said["requestId"] == response["X-Request-ID"]
    assert named in said["message"]
    assert "canary" not in response.content.decode()
    entry = entry_of(response)
    assert (entry.status, entry.error, entry.outcome) == (status, code, Outcome.REFUSED)


def test_a_refused_body_is_logged_sealed_and_comes_back(caller: MarketingCloud) -> None:
    body = resolving({"token": CANARY})
    entry = entry_of(caller.post(RESOLVE, body))
    exchange = rebuild(entry)
    assert (exchange.request.exact, exchange.request.proof) == (body, Proof.PROVEN)
    assert b"invalid_field" in (exchange.response.exact or b"")


def test_five_hundred_items_are_welcome(caller: MarketingCloud) -> None:
    said = caller.resolve(*(ask("x@tok.example", str(number)) for number in range(500))).json()
    assert len(said["unresolvedTokens"]) == 500


def test_a_deep_but_bearable_unknown_field_is_tolerated(caller: MarketingCloud) -> None:
    assert caller.post(RESOLVE, b'{"tokens":[],"x":' + b"[" * 20 + b"]" * 20 + b"}").status_code == 200


def test_nul_in_an_unknown_field_is_tolerated(caller: MarketingCloud) -> None:
    assert caller.post(RESOLVE, b'{"tokens":[],"x":"\\u0000"}').status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
        'application/json; charset="utf-8"',
        "",
    ],
)
def test_json_in_utf8_is_welcome_however_it_is_declared(caller: MarketingCloud, content_type: str) -> None:
    assert caller.post(RESOLVE, resolving(), {"Content-Type": content_type}).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/xml",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "json",
        ";",
    ],
)
def test_anything_else_is_an_unsupported_media_type(caller: MarketingCloud, content_type: str) -> None:
    response = caller.post(RESOLVE, resolving(), {"Content-Type": content_type})
    assert (response.status_code, response.json()["error"]) == (415, "unsupported_media_type")


# --- gzip --------------------------------------------------------------------------------------------------
def packed(caller: MarketingCloud, body: bytes, encoding: str = "gzip") -> Any:
    return caller.post(RESOLVE, body, {"Content-Encoding": encoding})


def test_a_gzip_body_is_accepted_and_logged_as_its_content(caller: MarketingCloud, ana: str) -> None:
    body = resolving(ask(ana))
    response = packed(caller, gzip.compress(body))
    assert len(response.json()["resolvedTokens"]) == 1
    entry = entry_of(response)
    assert rebuild(entry).request.exact == body
    assert entry.request_bytes == len(gzip.compress(body))


def test_a_gzip_body_of_several_members_is_accepted(caller: MarketingCloud) -> None:
    body = resolving()
    assert packed(caller, gzip.compress(body[:4]) + gzip.compress(body[4:])).status_code == 200


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        (lambda: gzip.compress(b" " * 100 * MEGABYTE), 413, "body_too_large"),
        (lambda: gzip.compress(gzip.compress(b" " * 100 * MEGABYTE)), 400, "malformed_body"),
        (lambda: gzip.compress(b"") * 100_000, 413, "body_too_large"),
        (lambda: gzip.compress(b"") * 20_000, 400, "malformed_gzip"),
        (lambda: gzip.compress(resolving())[:-1], 400, "malformed_gzip"),
        (lambda: gzip.compress(resolving())[:-4] + b"\0\0\0\0", 400, "malformed_gzip"),
        (lambda: gzip.compress(resolving()) + b"garbage", 400, "malformed_gzip"),
        (resolving, 400, "malformed_gzip"),
        (bytes, 400, "malformed_gzip"),
        (lambda: zlib.compress(resolving()), 400, "malformed_gzip"),
    ],
    ids=[
        "bomb",
        "bomb-in-gzip",
        "many-members",
        "fewer-members",
        "cut",
        "wrong-length",
        "tail",
        "plain",
        "empty",
        "zlib",
    ],
)
def test_a_gzip_bomb_or_a_damaged_stream_is_refused_at_once(
    caller: MarketingCloud, make: Callable[[], bytes], status: int, code: str
) -> None:
    body = make()  # here, since whoever collects tests should not have to pack a hundred megabytes
    caller.http.get("/healthz")  # whatever is loaded for the first request of a process
    began = time.process_time()
    response = packed(caller, body)
    assert time.process_time() - began < 1
    assert (response.status_code, response.json()["error"]) == (status, code)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
def test_other_encodings_are_unsupported(caller: MarketingCloud, encoding: str) -> None:
    response = packed(caller, resolving(), encoding)
    assert (response.status_code, response.json()["error"]) == (415, "unsupported_encoding")


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.0, br", False),
        (None, False),
    ],
)
def test_the_answer_is_packed_if_the_caller_asks_for_it(
    caller: MarketingCloud, ana: str, accepted: str | None, is_packed: bool
) -> None:
    items = [ask(ana, f"r-{number}") for number in range(20)]
    plain = caller.resolve(*items).content
    response = caller.resolve(*items, headers={"Accept-Encoding": accepted})
    assert (response.get("Content-Encoding") == "gzip") == is_packed
    assert (gzip.decompress(response.content) if is_packed else response.content) == plain
    assert response["Vary"] == "Accept-Encoding"
    entry = entry_of(response)
    assert entry.response_bytes == len(response.content)
    assert rebuild(entry).response.exact == plain


# --- methods and addresses ---------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "options", "head", "trace"])
@pytest.mark.parametrize("path", [RESOLVE, GET])
def test_only_post_is_answered(caller: MarketingCloud, path: str, method: str) -> None:
    response = getattr(caller.http, method)(path)
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert "X-Request-ID" in response
    if method != "head":
        assert response.json()["error"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/api/v1/tokens/nothing", "/api/", "/oauth2/authorize", RESOLVE + "/"])
def test_other_addresses_of_the_api_are_not_found_in_json(caller: MarketingCloud, path: str) -> None:
    response = caller.post(path, {})
    assert (response.status_code, response.json()["error"]) == (404, "not_found")
    assert response.json()["requestId"] == response["X-Request-ID"]


def test_a_host_that_is_not_ours_is_refused_in_json(caller: MarketingCloud) -> None:
    response = caller.post(RESOLVE, {"tokens": []}, {"Host": "evil.example"})
    assert (response.status_code, response.json()["error"]) == (400, "bad_request")
