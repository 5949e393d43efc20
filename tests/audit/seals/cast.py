"""A small log with its own key and head, for tests of seals."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import uuid_utils.compat
from django.db import connections
from django.utils import timezone

from audit import payload_log, trail
from audit.models import Api, Direction, Outcome
from audit.payload_log import Exchange
from audit.seals.head import FileHead
from audit.seals.sequencer import Sequencer
from audit.seals.signing import SigningKey
from audit.trail import Actor, Target
from audit.vocabulary import Action

OLGA = Actor("user:7", "Olga Officer", "2001:db8::7")
KEY = SigningKey("tests.example/log", bytes(range(32)))
_numbers = itertools.count(1)


def a_sequencer(folder: Path, key: SigningKey = KEY) -> Sequencer:
    """As another process would start one: it remembers nothing."""
    return Sequencer(key, FileHead(folder / "head"))


def an_entry(**facts: Any) -> Any:
    """Records a full exchange; its id is returned."""
    number = next(_numbers)
    known: dict[str, Any] = {
        "id": uuid_utils.compat.uuid7(), "at": timezone.now(), "direction": Direction.INBOUND, "api": Api.RESOLVE,
        "status": 200, "outcome": Outcome.PARTIAL, "enterprise_id": 1, "client_id": "c",
        "client_name": "Zoë’s “client”",
        "remote_address": "192.0.2.1", "items_asked": number, "items_answered": 1, "duration_us": 5,
        "request_bytes": 3, "response_bytes": 4, "user_agent": "SFMC/1 \"é\"", "anomalies": [(0, "unknown_token")],
        "request_skeleton": b"request %d" % number, "response_skeleton": b"\x00response",
        "residue": b"sealed %d" % number,
        "digest_key": 3, "request_digest": bytes(32), "response_digest": b"\xff" * 32, "links": [number, 7],
        "blind_indexes": [b"a" * 32, b"b" * 32],
    }  # fmt: skip
    exchange = Exchange(**(known | facts))
    payload_log.record(exchange)
    return exchange.id


def an_event(**details: Any) -> Any:
    """Records an event with details of every JSON type; its id is returned."""
    said = {
        "text": "“é”",
        "big": 1e21,
        "small": 1e-9,
        "whole": 100000.0,
        "yes": True,
        "none": None,
        "list": [1, {"a": 2}],
    }
    return trail.record(
        Action.CLIENT_CHANGED,
        actor=OLGA,
        enterprise_id=1,
        target=Target("client", "1", "MC"),
        request_id=uuid_utils.compat.uuid7(),
        details=said | details,
    )


def entries(count: int) -> list[Any]:
    """Entries and events, in turns."""
    return [an_event() if number % 3 == 2 else an_entry() for number in range(count)]


def as_superuser(*statements: str, values: Iterable[Any] = ()) -> None:
    """What a database administrator can do: no trigger stands in the way."""
    with connections["owner"].cursor() as cursor:
        tables = ("audit_payloadentry", "audit_auditevent", "audit_sealedleaf", "audit_checkpoint")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement, list(values))
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def asked(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows, as the owner sees them."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement, list(values))
        return [tuple(row) for row in cursor.fetchall()]
