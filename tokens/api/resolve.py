"""Resolve: tokens in, clear values out. This is the hot path, and it reads from top to bottom.

A batch costs one look-up, whatever is in it, and one statement that writes its log entry. Clear values exist
only in the answer: what fails to open is unresolved, never ciphertext.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.http import HttpResponse
from msgspec import UnsetType
from rest_framework.request import Request

from audit.models import Api
from tokens.api import alarms, budgets, schema
from tokens.api.authentication import Client
from tokens.api.call import Call
from tokens.api.decoding import decode_resolve
from tokens.api.endpoint import Endpoint
from tokens.api.failures import answering
from tokens.api.items import first_of_each_id, outcome_of
from tokens.api.messages import CANNOT_OPEN, UNRESOLVED
from tokens.api.replies import json_reply
from tokens.api.strangers import clear_values_among
from tokens.crypto.envelope import place
from tokens.crypto.errors import CannotOpen
from tokens.crypto.keyring import keyring
from tokens.formats.kinds import Kind
from tokens.formats.lookalikes import canonical_tokens
from tokens.log import recording
from tokens.log.recording import Anomaly, Bodies
from tokens.models.clients import Scope
from tokens.payload import (
    Residue,
    Resolved,
    ResolveItem,
    Unresolved,
    cut_resolve_request,
    resolve_answer,
)
from tokens.vault.cursors import binary_cursor
from tokens.vault.mint import place_of_value

# One row for each item, in order. Who is meant: the contact of the subscriber key where it holds the mapping;
# without a key the primary contact. The primary link is also read when a key holds nothing, because the log
# must know whom the exchange touched. Each LATERAL is one probe of an index: OFFSET 0 keeps the planner from
# joining whole tables when its statistics are old, and a NULL key costs nothing.
LOOK_UP: Final = """
SELECT mapping.id, mapping.kind, mapping.value,
       CASE WHEN mapping.id IS NULL THEN 'unknown'
            WHEN mapping.value IS NULL OR mapping.state = 4 THEN 'retired'
            WHEN named.is_erased OR linked.is_blocked THEN 'contact_erased'
            WHEN asked.key IS NULL AND (holder.is_erased OR prime.is_blocked) THEN 'contact_erased'
            WHEN %(opt_outs_block)s AND EXISTS (
                SELECT FROM tokens_suppression
                WHERE enterprise_id = %(enterprise)s AND kind = mapping.kind
                  AND blind_index = ANY (ARRAY[mapping.blind_index_0, mapping.blind_index_1])
            ) THEN 'opted_out'
       END AS why_not,
       coalesce(linked.id, prime.id) AS link,
       named.id IS NOT NULL AS is_known_key,
       asked.key IS NOT NULL AND linked.id IS NULL AS is_other_key,
       attributes.id::text, attributes.payload
FROM unnest(string_to_array(%(tokens)s, E'\\n', ''), string_to_array(%(keys)s, E'\\n', ''))
     WITH ORDINALITY AS asked (token, key, n)
LEFT JOIN LATERAL (
    SELECT id, kind, state, value, blind_index_0, blind_index_1 FROM tokens_mapping
    WHERE enterprise_id = %(enterprise)s AND token = asked.token OFFSET 0
) mapping ON true
LEFT JOIN LATERAL (
    SELECT id, attributes_id, erased_at IS NOT NULL AS is_erased FROM tokens_contact
    WHERE enterprise_id = %(enterprise)s AND subscriber_key = asked.key OFFSET 0
) named ON true
LEFT JOIN LATERAL (
    SELECT id, blocked_at IS NOT NULL AS is_blocked FROM tokens_contactmapping
    WHERE mapping_id = mapping.id AND contact_id = named.id OFFSET 0
) linked ON true
LEFT JOIN LATERAL (
    SELECT id, contact_id, blocked_at IS NOT NULL AS is_blocked FROM tokens_contactmapping
    WHERE mapping_id = CASE WHEN linked.id IS NULL THEN mapping.id END AND is_primary OFFSET 0
) prime ON true
LEFT JOIN LATERAL (
    SELECT attributes_id, erased_at IS NOT NULL AS is_erased FROM tokens_contact
    WHERE id = CASE WHEN asked.key IS NULL THEN prime.contact_id END OFFSET 0
) holder ON true
LEFT JOIN LATERAL (
    SELECT id, payload FROM tokens_attributeset
    WHERE id = CASE WHEN linked.id IS NULL THEN holder.attributes_id ELSE named.attributes_id END OFFSET 0
) attributes ON true
ORDER BY asked.n
"""


# Stands for what can't be one of our tokens or subscriber keys: those are printable.
NONE_OF_OURS: Final = "\x7f"


class Resolve(Endpoint):
    """`POST /api/v1/tokens/resolve`"""

    api = Api.RESOLVE
    scope = Scope.RESOLVE

    @schema.RESOLVE
    def post(self, request: Request) -> HttpResponse:
        """Answer each request id once: with its clear value and attributes, or with why not."""
        body = self.read(request)
        asked = decode_resolve(body)
        items = first_of_each_id(asked.tokens, what_of_item, self.call.anomalies)
        with answering():
            batch = open_batch(self.call, items)
            answer = resolve_answer(batch.resolved, batch.unresolved, batch.residue)
            skeleton = cut_resolve_request(
                body,
                asked,
                known_tokens=batch.known_tokens,
                known_subscriber_keys=batch.known_keys,
                residue=batch.residue,
            )
            reply = json_reply(request._request, answer.body)
            exchange = self.call.exchange(
                status=200,
                outcome=outcome_of(len(items), len(batch.resolved)),
                items_asked=len(items),
                items_answered=len(batch.resolved),
                response_bytes=len(reply.content),
                links=list(filter(None, batch.links)),
                blind_indexes=note_oddities(self.call, batch),
            )
            recording.record(exchange, Bodies(body, skeleton, answer.body, answer.skeleton, batch.residue))
        return reply


@dataclass(slots=True)
class Batch:
    """What came of the items of one request."""

    resolved: list[Resolved] = field(default_factory=list)
    unresolved: list[Unresolved] = field(default_factory=list)
    # What the vault knows of the request, as it was sent: it may stand open in the log.
    known_tokens: set[str] = field(default_factory=set)
    known_keys: set[str] = field(default_factory=set)
    links: dict[int | None, None] = field(default_factory=dict)
    residue: Residue = field(default_factory=Residue)
    strangers: list[tuple[int, str]] = field(default_factory=list)  # unknown tokens, with the item's index
    unopened: list[int] = field(default_factory=list)  # mappings whose sealed values were tampered with


def open_batch(call: Call, items: Sequence[tuple[int, ResolveItem]]) -> Batch:
    """Look all items up and open what may be opened."""
    client = call.proven
    batch, unseal = Batch(), keyring(client.enterprise_id).opener()
    place_of = {kind.value: place_of_value(client.enterprise_id, kind, "") for kind in Kind}
    place_of_attributes = place("tokens.AttributeSet", "payload", client.enterprise_id, "")
    tokens = [token or NONE_OF_OURS for token in canonical_tokens([item.token for _, item in items])]
    rows = look_up(client, tokens, [_as_key(item.subscriber_key) for _, item in items])
    for (index, item), token, row in zip(items, tokens, rows, strict=True):
        mapping_id, kind, value, why_not, link, is_known_key, is_other_key, set_id, payload = row
        if is_known_key:
            batch.known_keys.add(str(item.subscriber_key))
        if mapping_id is None:
            batch.strangers.append((index, item.token))
        else:
            batch.known_tokens.add(item.token)
            batch.links[link] = None
        if why_not is None:
            try:
                clear = unseal(value, place_of.get(kind, b"") + token.encode()).decode()
                wire = None if payload is None else unseal(payload, place_of_attributes + set_id.encode())
            except CannotOpen:
                why_not = CANNOT_OPEN
                batch.unopened.append(mapping_id)
                call.anomalies.append((index, Anomaly.CANNOT_OPEN))
            else:
                batch.resolved.append(resolved(item.token_request_id, mapping_id, clear, set_id, wire))
                if is_other_key:
                    call.anomalies.append((index, Anomaly.KEY_NOT_LINKED))
                continue
        batch.unresolved.append(Unresolved(item.token_request_id, UNRESOLVED[why_not]))
    return batch


def look_up(client: Client, tokens: list[str], keys: list[str]) -> list[tuple[Any, ...]]:
    """The rows of LOOK_UP. Transactional clients are exempt from opt-outs, and so may be whole enterprises.

    Neither tokens nor keys hold line breaks; an empty key asks for the primary contact.
    """
    parameters = {
        "enterprise": client.enterprise_id,
        "opt_outs_block": client.optout_blocks_resolve and not client.transactional,
        # One text each: psycopg takes ten times as long for a list.
        "tokens": "\n".join(tokens),
        "keys": "\n".join(keys),
    }
    with binary_cursor() as cursor:
        cursor.execute(LOOK_UP, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _as_key(sent: str | UnsetType | None) -> str:
    return sent if sent and sent.isprintable() else (NONE_OF_OURS if sent else "")


def resolved(request_id: str, mapping_id: int, clear: str, set_id: str, wire: bytes | None) -> Resolved:
    """The answer to an item; without a set the contact has no attributes, or lost them by erasure."""
    if wire is None:
        return Resolved(request_id, clear, mapping_id)
    return Resolved(request_id, clear, mapping_id, wire, set_id.replace("-", ""))


def note_oddities(call: Call, batch: Batch) -> list[bytes]:
    """Alarms and accounts of what should not have been; returned are the blind indexes of strangers' clear values."""
    if batch.unopened:
        alarms.cannot_open(call, batch.unopened)
    if not batch.strangers:
        return []
    budgets.note_unknown_tokens(call, len(batch.strangers))
    return clear_values_among(call, batch.strangers)


def what_of_item(item: ResolveItem) -> object:
    """Two items of one id ask the same when this is equal."""
    return item.token, item.subscriber_key
