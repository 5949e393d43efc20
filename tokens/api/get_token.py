"""Get Token: clear values in, tokens out. Marketing Cloud calls it when a person writes to a number of the customer.

A STOP can only be processed with a token, so a valid value always gets one: unknown values are minted, erased
ones answer their retired token, and what can't be answered is left out while the others are answered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db import transaction
from django.http import HttpResponse
from rest_framework.request import Request

from audit.models import Api
from tokens.api import alarms, budgets, schema
from tokens.api.call import Call
from tokens.api.decoding import decode_get_token
from tokens.api.endpoint import Endpoint
from tokens.api.failures import answering
from tokens.api.items import first_of_each_id, outcome_of
from tokens.api.replies import json_reply
from tokens.crypto.errors import CannotOpen
from tokens.crypto.keyring import keyring
from tokens.errors import NoFreeToken
from tokens.formats.kinds import Kind
from tokens.formats.normalise import InvalidValue, normalise
from tokens.log import recording
from tokens.log.recording import Anomaly, Bodies
from tokens.models import Enterprise
from tokens.models.clients import Scope
from tokens.payload import (
    GetTokenItem,
    GetTokenRequest,
    Issued,
    Residue,
    cut_get_token_request,
    get_token_answer,
)
from tokens.vault.contacts import Primary, with_primary
from tokens.vault.cursors import binary_cursor
from tokens.vault.mint import Held, Wanted, get_or_create, place_of_value

Mint = Callable[[Enterprise, Sequence[Wanted]], Sequence[Held | None]]

# The spellings that known mappings hold: only a value that was sent exactly so can be cut out as theirs.
STORED: Final = "SELECT id, kind, token, value FROM tokens_mapping WHERE id = ANY(%(ids)b::bigint[])"


class GetToken(Endpoint):
    """`POST /api/v1/tokens/get`"""

    api = Api.GET_TOKEN
    scope = Scope.GET

    @schema.GET_TOKEN
    def post(self, request: Request) -> HttpResponse:
        """Answer each request id once with a token and a subscriber key, or leave it out."""
        body = self.read(request)
        asked = decode_get_token(body)
        try:
            return self.answer(request, body, asked, get_or_create)
        except NoFreeToken:
            self.call.anomalies.clear()
            return self.answer(request, body, asked, one_by_one)

    def answer(self, request: Request, body: bytes, asked: GetTokenRequest, mint: Mint) -> HttpResponse:
        """The answer with its log entry, in one transaction."""
        call = self.call
        items = first_of_each_id(asked.token_values, what_of_item, call.anomalies)
        with answering():
            batch = issue(call, items, mint)
            answer = get_token_answer(batch.issued, batch.residue)
            references = batch.spellings(call)
            skeleton = cut_get_token_request(body, asked, references=references, residue=batch.residue)
            reply = json_reply(request._request, answer.body)
            exchange = call.exchange(
                status=200,
                outcome=outcome_of(len(items), len(batch.issued)),
                items_asked=len(items),
                items_answered=len(batch.issued),
                response_bytes=len(reply.content),
                links=sorted({primary.link_id for primary in batch.primaries.values()}),
                blind_indexes=unanswered(call, asked.token_values, items, batch.without),
            )
            if batch.minted:
                budgets.note_minted(call, batch.minted)
            recording.record(exchange, Bodies(body, skeleton, answer.body, answer.skeleton, batch.residue))
        return reply


@dataclass(slots=True)
class Batch:
    """What came of the items of one request."""

    issued: list[Issued]
    held: list[tuple[Wanted, Held]]
    primaries: dict[int, Primary]
    without: list[Wanted]  # valid, and no token was free
    residue: Residue = field(default_factory=Residue)

    @property
    def minted(self) -> int:
        return len({held.mapping_id for _, held in self.held if held.is_new})

    def spellings(self, call: Call) -> dict[str, int]:
        """The clear values of these mappings as they are stored, with the mapping's id."""
        known = {want.spelling: held.mapping_id for want, held in self.held if held.is_new}
        ids = sorted({held.mapping_id for _, held in self.held if not held.is_new})
        return known | stored_spellings(call, ids) if ids else known


def issue(call: Call, items: Sequence[tuple[int, GetTokenItem]], mint: Mint) -> Batch:
    """A token for every item that has a valid value."""
    enterprise = Enterprise.objects.get(pk=call.proven.enterprise_id)
    wanted = [
        (index, item, want)
        for index, item in items
        if (want := wanted_of(item, index, call.anomalies, call.proven.token_domain)) is not None
    ]
    minted = mint(enterprise, [want for *_, want in wanted])
    held = [(item, want, one) for (_, item, want), one in zip(wanted, minted, strict=True) if one is not None]
    call.anomalies += [
        (index, Anomaly.NO_FREE_TOKEN) for (index, *_), one in zip(wanted, minted, strict=True) if one is None
    ]
    primaries = with_primary(enterprise, [one for *_, one in held])
    issued = [
        Issued(item.token_request_id, one.token, primaries[one.mapping_id].subscriber_key)
        for item, _, one in held
    ]
    without = [want for (*_, want), one in zip(wanted, minted, strict=True) if one is None]
    return Batch(issued, [(want, one) for _, want, one in held], primaries, without)


def wanted_of(
    item: GetTokenItem, index: int, anomalies: list[tuple[int, str]], token_domain: str
) -> Wanted | None:
    """What an item wants a token for, or None and why not among the anomalies."""
    kind = Kind.from_wire(item.token_type)
    if kind is None:
        anomalies.append((index, Anomaly.UNKNOWN_TOKEN_TYPE))
        return None
    try:
        normalised = normalise(kind, item.token_value)
    except InvalidValue as invalid:
        anomalies.append((index, invalid.code))
        return None
    if kind == Kind.EMAIL and normalised.endswith(f"@{token_domain}"):
        # Nobody has an address there: a token of a token would later resolve to a dead address.
        anomalies.append((index, Anomaly.TOKEN_AS_CLEAR_VALUE))
        return None
    # What is kept is what will be sent: an address as it was written, a number as its digits.
    return Wanted(kind, normalised, item.token_value.strip() if kind == Kind.EMAIL else normalised)


def one_by_one(enterprise: Enterprise, wanted: Sequence[Wanted]) -> list[Held | None]:
    """Each value apart, when a country has run out of tokens: the others must not wait for it."""
    return [_alone(enterprise, want) for want in wanted]


def _alone(enterprise: Enterprise, want: Wanted) -> Held | None:
    try:
        with transaction.atomic():
            return get_or_create(enterprise, [want])[0]
    except NoFreeToken:
        return None


def stored_spellings(call: Call, mapping_ids: list[int]) -> dict[str, int]:
    """The clear values of known mappings. One that does not open raises an alarm; its item is answered all the same."""
    enterprise_id = call.proven.enterprise_id
    open_value = keyring(enterprise_id).opener()
    place_of = {kind.value: place_of_value(enterprise_id, kind, "") for kind in Kind}
    spellings: dict[str, int] = {}
    unopened: list[int] = []
    with binary_cursor() as cursor:
        cursor.execute(STORED, {"ids": mapping_ids})
        rows = cursor.fetchall()
    for mapping_id, kind, token, value in rows:
        if value is None:
            continue
        try:
            clear = open_value(value, place_of.get(kind, b"") + token.encode())
        except CannotOpen:
            unopened.append(mapping_id)
        else:
            spellings[clear.decode()] = mapping_id
    if unopened:
        alarms.cannot_open(call, unopened)
    return spellings


def unanswered(
    call: Call,
    asked: Sequence[GetTokenItem],
    items: Sequence[tuple[int, GetTokenItem]],
    without: Sequence[Wanted],
) -> list[bytes]:
    """Blind indexes of valid values that got no token: their request id was taken before, or no token was free."""
    if len(items) == len(asked) and not without:
        return []
    ring = keyring(call.proven.enterprise_id)
    answered = {index for index, _ in items}
    passed = [
        wanted_of(item, index, [], call.proven.token_domain)
        for index, item in enumerate(asked)
        if index not in answered
    ]
    left_out = [*without, *(want for want in passed if want is not None)]
    return list({ring.blind_index(want.kind, want.normalised): None for want in left_out})


def what_of_item(item: GetTokenItem) -> object:
    """Two items of one id ask the same when this is equal."""
    return item.token_value, item.token_type
