"""What is asked: the same batches for the floor, the portal and the twin, with the answers that are right."""

import json
import random
from dataclasses import dataclass
from typing import Any

import psycopg

from bench import people
from bench.fixture import Fixture
from bench.load import Prepared, http_request
from tokens.formats.kinds import Kind

BATCH = 500
RESOLVE_PATH = "/api/v1/tokens/resolve"
GET_PATH = "/api/v1/tokens/get"
TWIN_PATH = "/resolve"


@dataclass(frozen=True)
class Workload:
    """Rows of the fixture, drawn at random and grouped into batches of 500 different mappings."""

    tokens: list[str]
    batches: list[list[int]]

    def resolve_for_floor(self) -> list[list[tuple[str, str]]]:
        """(request id, token) pairs."""
        return [[(_request_id(n), self.tokens[row]) for n, row in enumerate(batch)] for batch in self.batches]

    def resolve_over_http(self, path: str, authorization: str) -> list[Prepared]:
        """Resolve requests as they stand on the wire."""
        found = []
        for batch in self.batches:
            items = [
                {"tokenRequestId": _request_id(n), "token": self.tokens[row]} for n, row in enumerate(batch)
            ]
            body = json.dumps({"sendKey": "bench", "tokens": items}).encode()
            right = {
                _request_id(n): (value_of(row), people.attributes(row // 2)) for n, row in enumerate(batch)
            }
            found.append(Prepared(http_request(path, authorization, body), right))
        return found

    def known_for_floor(self) -> list[list[tuple[str, Kind, str]]]:
        """(request id, kind, clear value) triples of values that have a token."""
        return [
            [(_request_id(n), kind_of(row), value_of(row)) for n, row in enumerate(batch)]
            for batch in self.batches
        ]

    def known_over_http(self, authorization: str) -> list[Prepared]:
        """Get Token requests for values that have a token."""
        found = []
        for asked, batch in zip(self.known_for_floor(), self.batches, strict=True):
            right = {_request_id(n): (self.tokens[row], people.key(row // 2)) for n, row in enumerate(batch)}
            found.append(Prepared(http_request(GET_PATH, authorization, _get_body(asked)), right))
        return found


def draw(fixture: Fixture, admin_url: str, batches: int, seed: int) -> Workload:
    """`batches` batches of the fixture's rows."""
    with psycopg.connect(admin_url) as connection:
        rows = connection.execute(
            "SELECT token FROM tokens_mapping WHERE id <= %s ORDER BY id", [fixture.rows]
        )
        tokens = [token for (token,) in rows]
    drawn = random.Random(seed)
    return Workload(tokens, [drawn.sample(range(fixture.rows), BATCH) for _ in range(batches)])


def new_values(batches: int, serial: str) -> list[list[tuple[str, Kind, str]]]:
    """Triples of values that nobody asked for yet; `serial` must differ between calls."""
    return [
        [(_request_id(n), Kind.EMAIL, f"new.{serial}.{b}.{n}@mail.example") for n in range(BATCH)]
        for b in range(batches)
    ]


def new_over_http(batches: list[list[tuple[str, Kind, str]]], authorization: str) -> list[Prepared]:
    """Get Token requests for new values: any token and key is a right answer."""
    return [
        Prepared(
            http_request(GET_PATH, authorization, _get_body(asked)),
            dict.fromkeys([one[0] for one in asked], True),
        )
        for asked in batches
    ]


def kind_of(row: int) -> Kind:
    """Kind of the mapping with id row + 1."""
    return Kind.MOBILE if row % 2 else Kind.EMAIL


def value_of(row: int) -> str:
    """Clear value of the mapping with id row + 1."""
    return people.mobile(row // 2) if row % 2 else people.email(row // 2)


def _request_id(n: int) -> str:
    # As long as the UUIDs that Marketing Cloud sends.
    return f"0b6c7f2e-41d9-4c5e-9a70-{n:012d}"


def _get_body(asked: list[tuple[str, Kind, str]]) -> bytes:
    names = {Kind.EMAIL: "Email", Kind.MOBILE: "MobileNumber"}
    items: list[dict[str, Any]] = [
        {"tokenRequestId": request_id, "tokenValue": value, "tokenType": names[kind]}
        for request_id, kind, value in asked
    ]
    return json.dumps({"tokenValues": items}).encode()
