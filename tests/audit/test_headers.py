"""Canonical headers and leaf hashes are frozen: a verifier written today reads the log of any later year."""

import datetime
import hashlib
import uuid

from audit import headers, payload_log
from audit.models import Api, Direction, Outcome
from audit.payload_log import Exchange

ID = uuid.UUID("01900000-0000-7000-8000-000000000001")
FROZEN = "aa0f4b249abc8fb898ba0f58b527deac05d0a06206a321da144d7acff20991fa"
AT = datetime.datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=datetime.UTC)


def an_exchange(**facts: object) -> Exchange:
    known: dict[str, object] = {
        "id": ID,
        "at": AT,
        "direction": Direction.INBOUND,
        "api": Api.RESOLVE,
        "status": 200,
        "outcome": Outcome.COMPLETE,
    }
    return Exchange(**(known | facts))  # type: ignore[arg-type]


def test_the_leaf_hash_is_that_of_rfc_6962() -> None:
    # The hash of the empty leaf, from the test vectors of RFC 6962 implementations.
    empty = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert headers.leaf_hash(b"").hex() == empty


def test_a_header_is_sorted_compact_json_with_its_version() -> None:
    header = headers.canonical("event", {"b": AT, "a": b"\x01", "id": ID, "ä": None})
    assert header.decode() == (
        '{"a":"01","b":"2026-11-21T12:00:00.123456+00:00","id":"01900000-0000-7000-8000-000000000001",'
        '"kind":"event","v":1,"ä":null}'
    )


def test_version_1_of_an_entrys_header_is_frozen() -> None:
    header = payload_log.header_of(
        an_exchange(request_skeleton=b"1{}", links=[3, 5], blind_indexes=[b"x" * 32])
    )
    assert hashlib.sha256(header).hexdigest() == FROZEN


def test_a_body_stands_in_the_header_by_its_hash_only() -> None:
    header = payload_log.header_of(an_exchange(response_skeleton=b"a body", residue=b"sealed"))
    assert b"a body" not in header
    assert hashlib.sha256(b"a body").hexdigest().encode() in header
    assert hashlib.sha256(b"sealed").hexdigest().encode() in header


def test_every_fact_of_an_exchange_changes_its_leaf() -> None:
    """The known-bad twin of a header that forgets a column: an edit of that column would go unseen."""
    plain = payload_log.header_of(an_exchange())
    changed: dict[str, object] = {
        "id": uuid.UUID(int=ID.int + 1), "at": AT + datetime.timedelta(microseconds=1), "enterprise_id": 7,
        "direction": Direction.OUTBOUND, "api": Api.OAUTH, "client_id": "c", "client_name": "n",
        "remote_address": "192.0.2.1", "status": 500, "outcome": Outcome.FAILED, "error": "e", "items_asked": 1,
        "items_answered": 1, "duration_us": 1, "request_bytes": 1, "response_bytes": 1, "user_agent": "u",
        "anomalies": [(0, "x")], "request_skeleton": b"1", "response_skeleton": b"1", "residue": b"1",
        "digest_key": 1, "request_digest": b"1", "response_digest": b"1", "links": [1], "blind_indexes": [b"1"],
    }  # fmt: skip
    assert set(changed) == set(Exchange.__dataclass_fields__)
    for fact, value in changed.items():
        assert payload_log.header_of(an_exchange(**{fact: value})) != plain, fact
