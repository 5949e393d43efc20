"""Log entries made at will, in any number and at any time."""

import datetime
import random
import uuid
from typing import Any

from django.utils import timezone

from audit import payload_log
from audit.models import Api, Direction, Outcome
from audit.payload_log import Exchange
from tokens.models import Enterprise

_random = random.Random(7)


def id_at(moment: datetime.datetime) -> uuid.UUID:
    """A UUIDv7 made at `moment`."""
    milliseconds = int(moment.timestamp() * 1000)
    rest = (7 << 76) | (_random.getrandbits(12) << 64) | (2 << 62) | _random.getrandbits(62)
    return uuid.UUID(int=(milliseconds << 80) | rest)


def logged(enterprise: Enterprise | None, *, ago: float = 0, **facts: Any) -> uuid.UUID:
    """An entry of `ago` seconds ago; its id."""
    at = timezone.now() - datetime.timedelta(seconds=ago)
    given: dict[str, Any] = {
        "id": id_at(at), "at": at, "direction": Direction.INBOUND, "api": Api.RESOLVE, "status": 200,
        "outcome": Outcome.COMPLETE, "enterprise_id": enterprise.pk if enterprise else None, "client_id": "c-1",
        "client_name": "Journeys", "remote_address": "198.51.100.7", "items_asked": 1, "items_answered": 1,
        "duration_us": 2_000,
    }  # fmt: skip
    exchange = Exchange(**(given | facts))
    payload_log.record(exchange)
    return exchange.id
