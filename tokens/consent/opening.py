"""Opening unsubscribes: the duty of each opt-out begins in the transaction that records it, with its clock computed."""

import uuid
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from django.db import connection
from django.utils import timezone

from tokens.consent import clocks, closing_days
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, Unsubscribe

State, Proof, Scope = Unsubscribe.State, Unsubscribe.Proof, ConsentEvent.Scope

OPEN: Final = """
INSERT INTO tokens_unsubscribe (
    event_id, enterprise_id, state, proof, written_by_id, owner_id, owner_name, law, calendar, asked_at, target_at,
    due_at, alarmed, to_tell, closed_at)
SELECT new.event_id, %(enterprise)s, new.state, new.proof, '', '', '', new.law, new.calendar, new.asked_at,
       new.target_at, new.due_at, 0, new.to_tell, new.closed_at
FROM unnest(%(event_ids)b::uuid[], %(states)b::text[], %(proofs)b::text[], %(laws)b::text[], %(calendars)b::text[],
            %(asked)b::timestamptz[], %(targets)b::timestamptz[], %(due)b::timestamptz[], %(to_tell)b::boolean[],
            %(closed)b::timestamptz[])
     AS new (event_id, state, proof, law, calendar, asked_at, target_at, due_at, to_tell, closed_at)
"""


class OptedOut(NamedTuple):
    """What an unsubscribe needs to know of the opt-out that opens it."""

    event_id: uuid.UUID
    kind: Kind
    scope: ConsentEvent.Scope
    source: ConsentEvent.Source
    law: str
    occurred_at: Any


def open_for(enterprise: Enterprise, opted_out: Sequence[OptedOut]) -> None:
    """Open the unsubscribe of each opt-out, in one statement. What Marketing Cloud told us itself is closed at once."""
    now = timezone.now()
    told = [one.source == ConsentEvent.Source.MARKETING_CLOUD for one in opted_out]
    closed = closing_days.of_enterprise(enterprise.pk)
    due = [clocks.due(one.law, one.occurred_at, closed) for one in opted_out]
    parameters: dict[str, Any] = {
        "enterprise": enterprise.pk,
        "event_ids": [one.event_id for one in opted_out],
        "states": [_first_state(enterprise, one).value for one in opted_out],
        "proofs": [Proof.ITS_OWN.value if by_itself else Proof.NONE.value for by_itself in told],
        "laws": [one.law for one in opted_out],
        "calendars": [one.calendar for one in due],
        "asked": [one.occurred_at for one in opted_out],
        "targets": [one.target_at for one in due],
        "due": [one.at for one in due],
        "to_tell": [_is_to_tell(one) for one in opted_out],
        "closed": [now if by_itself else None for by_itself in told],
    }
    with connection.cursor() as cursor:
        cursor.execute(OPEN, parameters)


def _first_state(enterprise: Enterprise, one: OptedOut) -> Unsubscribe.State:
    if one.source == ConsentEvent.Source.MARKETING_CLOUD:
        return State.CLOSED
    at_resolve = one.scope == Scope.ENTERPRISE and enterprise.optout_blocks_resolve
    return State.BLOCKED if at_resolve else State.RECEIVED


def _is_to_tell(one: OptedOut) -> bool:
    """Whether it waits for the outbox: Marketing Cloud's APIs end subscriptions of e-mail only."""
    told = one.source == ConsentEvent.Source.MARKETING_CLOUD
    return not told and one.kind == Kind.EMAIL and one.scope != Scope.SHORT_CODE
