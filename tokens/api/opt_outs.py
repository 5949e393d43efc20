"""`POST /api/v1/opt-outs`: what other systems of the customer were told by people, and what providers report.

Each opt-out counts once by the id that its client gives it. One that can't be recorded is named with its reason, and
stops no other.
"""

import datetime
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from audit.models import Api
from tokens.api import schema
from tokens.api.decoding import decode_opt_outs
from tokens.api.endpoint import Endpoint
from tokens.api.failures import answering
from tokens.api.items import outcome_of
from tokens.api.replies import json_reply
from tokens.consent import clocks
from tokens.consent.blind import mappings_by_token
from tokens.consent.opt_outs import OptOut, Recorded, record_opt_outs
from tokens.consent.source_ids import source_ids
from tokens.errors import AmbiguousNumber, BadOptOut, SourceIdReused, UnknownToken
from tokens.formats.kinds import Kind
from tokens.formats.reasons import InvalidValue
from tokens.log import recording
from tokens.models import ConsentEvent, Enterprise
from tokens.models.clients import Scope
from tokens.payload import OptOutItem

# Clocks differ by minutes, and nobody has asked tomorrow.
AHEAD: Final = datetime.timedelta(minutes=5)
# Codes are never renamed. Reasons of `tokens.formats` stand beside these.
REASONS: Final[dict[str, str]] = {
    "unknown_value_type": "valueType is Email or MobileNumber.",
    "unknown_law": "law is one of those that the documentation lists, or left out.",
    "occurred_in_future": "occurredAt is in the future: is its time zone right?",
    "occurred_too_early": "occurredAt is before the year 2000: say when the person asked.",
    "scope_unclear": "Give a business unit or a short code: at most 64 characters, no address, no blanks around it.",
    "unknown_token": "The value is on the token domain, and no token of yours reads so.",
    "id_reused": "The id was sent before for another person, channel or scope: give each opt-out an id of its own.",
}
_LAWS: Final = frozenset(law.code for law in clocks.LAWS)
_CODES: Final[dict[type[BadOptOut], str]] = {
    SourceIdReused: "id_reused", UnknownToken: "unknown_token", AmbiguousNumber: "phone_country_missing",
}  # fmt: skip


class OptOuts(Endpoint):
    """`POST /api/v1/opt-outs`"""

    api = Api.OPT_OUTS
    scope = Scope.OPT_OUT

    @schema.OPT_OUTS
    def post(self, request: Request) -> HttpResponse:
        """Record each opt-out, or say why not, with its log entry in one transaction."""
        body = self.read(request)
        items = decode_opt_outs(body).opt_outs
        with answering():
            enterprise = Enterprise.objects.get(pk=self.call.proven.enterprise_id)
            taken = self.take(enterprise, items)
            answer = msgspec.json.encode({"optOuts": [_told(*one) for one in zip(items, taken, strict=True)]})
            reply = json_reply(request._request, answer)
            recorded = [one for one in taken if isinstance(one, Recorded) and one.refusal is None]
            exchange = self.call.exchange(
                status=200,
                outcome=outcome_of(len(items), len(recorded)),
                items_asked=len(items),
                items_answered=len(recorded),
                response_bytes=len(reply.content),
                blind_indexes=sorted({one.blind_index for one in recorded}),
            )
            recording.record(exchange, recording.sealed_bodies(body, answer))
        return reply

    def take(self, enterprise: Enterprise, items: Sequence[OptOutItem]) -> list[Recorded | str]:
        """What came of each, or the code of what is wrong with it."""
        wrong = [_wrong(item) for item in items]
        good = [item for item, code in zip(items, wrong, strict=True) if code is None]
        named = [(self.call.proven.client_id, item.opt_out_id) for item in good]
        ids = source_ids(enterprise, ConsentEvent.Source.API, named)
        tokens = mappings_by_token(enterprise, [item.value for item in good])
        said = [
            _opt_out(item, source_id, tokens.get(item.value))
            for item, source_id in zip(good, ids, strict=True)
        ]
        recorded = iter(record_opt_outs(enterprise, said, actor=self.call.actor))
        return [next(recorded) if code is None else code for code in wrong]


def _wrong(item: OptOutItem) -> str | None:
    if Kind.from_wire(item.value_type) is None:
        return "unknown_value_type"
    if item.law and item.law not in _LAWS:
        return "unknown_law"
    if item.occurred_at < clocks.EARLIEST:
        return "occurred_too_early"
    if item.occurred_at > timezone.now() + AHEAD:
        return "occurred_in_future"
    narrower = [one for one in (item.business_unit, item.short_code) if one]
    if len(narrower) > 1 or any("@" in one or len(one) > 64 or one != one.strip() for one in narrower):
        return "scope_unclear"
    return None


def _opt_out(item: OptOutItem, source_id: str, mapping: Any) -> OptOut:
    kind = Kind.from_wire(item.value_type)
    assert kind is not None
    is_token = mapping is not None and mapping.kind == kind
    scope = ConsentEvent.Scope.ENTERPRISE
    if item.business_unit:
        scope = ConsentEvent.Scope.BUSINESS_UNIT
    elif item.short_code:
        scope = ConsentEvent.Scope.SHORT_CODE
    return OptOut(
        kind=kind,
        raw_value=None if is_token else item.value,
        mapping=mapping if is_token else None,
        source=ConsentEvent.Source.API,
        source_id=source_id,
        occurred_at=item.occurred_at,
        scope=scope,
        scope_id=item.business_unit or item.short_code or "",
        law=item.law or "",
        evidence=item.evidence or "",
    )


def _told(item: OptOutItem, taken: Recorded | str) -> dict[str, str]:
    if isinstance(taken, str):
        return {"optOutId": item.opt_out_id, "state": "refused", "reason": taken, "message": REASONS[taken]}
    if taken.refusal is None:
        return {"optOutId": item.opt_out_id, "state": "new" if taken.is_new else "known"}
    if isinstance(taken.refusal, InvalidValue):
        code, message = taken.refusal.code.value, taken.refusal.hint
    else:
        code = _CODES.get(type(taken.refusal), "scope_unclear")
        message = REASONS.get(code, str(taken.refusal))
    return {"optOutId": item.opt_out_id, "state": "refused", "reason": code, "message": message}
