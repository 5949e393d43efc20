"""Events of Marketing Cloud are stored first, sealed, and worked later (`CloudEvent.worked_at`)."""

import datetime
import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import Any, Final

import uuid_utils.compat
from django.utils import timezone

from tokens.crypto.fields import Clear
from tokens.models import CloudEvent, EventCallback

MOST_EVENTS: Final = 5000
_LONGEST_CATEGORY: Final = 100


class BadEvents(Exception):
    """A signed body that holds no events. The message names the place, never a value."""


def read(body: bytes, eid: str) -> list[dict[str, Any]]:
    """The events in a body, which must all be of the account `eid`. Raises BadEvents."""
    try:
        events = json.loads(body)
    except (ValueError, RecursionError):
        raise BadEvents("Send one JSON array of events in UTF-8.") from None
    if not isinstance(events, list) or len(events) > MOST_EVENTS:
        raise BadEvents(f"Send one JSON array of at most {MOST_EVENTS} events.")
    for place, event in enumerate(events):
        if not isinstance(event, dict):
            raise BadEvents(f"$[{place}]: expected an object.")
        if "eid" in event and str(event["eid"]) != eid:
            raise BadEvents(f"$[{place}].eid: the account is not the one of this callback.")
    return events


def store(callback: EventCallback, events: Sequence[dict[str, Any]], *, entry_id: uuid.UUID) -> list[int]:
    """Keep the events that are new, in the caller's transaction; the places of those that came before."""
    digests = [digest_of(event) for event in events]
    known = CloudEvent.objects.filter(enterprise_id=callback.enterprise_id, digest__in=digests)
    seen = {bytes(one) for one in known.values_list("digest", flat=True)}
    rows, repeated = [], []
    for place, (event, digest) in enumerate(zip(events, digests, strict=True)):
        if digest in seen:
            repeated.append(place)
            continue
        seen.add(digest)
        rows.append(_row(callback, event, digest, entry_id))
    # Another delivery of the same may be under way: the unique constraint decides.
    CloudEvent.objects.bulk_create(rows, ignore_conflicts=True)
    return repeated


def digest_of(event: dict[str, Any]) -> bytes:
    """What tells a repeated delivery: SHA-256 over category, composite id and time, or over all of an odd event."""
    parts = [event.get(name) for name in ("eventCategoryType", "compositeId", "timestampUTC")]
    told = event if None in parts else parts
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).digest()


def _row(callback: EventCallback, event: dict[str, Any], digest: bytes, entry_id: uuid.UUID) -> CloudEvent:
    return CloudEvent(
        id=uuid_utils.compat.uuid7(),
        enterprise_id=callback.enterprise_id,
        callback=callback,
        digest=digest,
        category=_category(event),
        occurred_at=_moment(event.get("timestampUTC")),
        entry_id=entry_id,
        event=Clear(json.dumps(event)),
    )


def _category(event: dict[str, Any]) -> str:
    said = str(event.get("eventCategoryType", ""))[:_LONGEST_CATEGORY]
    # A name of the contract is a word with dots; anything else may be anything, and stays sealed.
    return said if said.replace(".", "").replace("_", "").isalnum() and said.isascii() else "unknown"


def _moment(milliseconds: Any) -> datetime.datetime:
    """When it occurred as it says, also in the future; now where it says nothing that is a time."""
    try:
        return datetime.datetime.fromtimestamp(int(milliseconds) / 1000, datetime.UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return timezone.now()
