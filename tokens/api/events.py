"""`POST /api/v1/marketing-cloud/events`: the address that Marketing Cloud sends its events to.

Two calls come here. The handshake of a new address is unsigned and only taken while somebody waits for it. Events are
signed with the key of a callback over the very bytes of the body: they are stored, sealed, with their log entry in one
transaction, and worked later. Without a key that fits nothing is taken.
"""

from typing import Final

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from audit.models import Api, Outcome
from tokens.api.authentication import Client
from tokens.api.bodies import media_type, read_body
from tokens.api.call import Call
from tokens.api.errors import ApiError, ErrorCode
from tokens.api.failures import answering, as_api_error, log_refusal
from tokens.api.replies import JSON, error_body, error_reply
from tokens.connections import callbacks, intake
from tokens.connections.intake import BadEvents
from tokens.crypto.errors import CryptoError
from tokens.log import recording
from tokens.log.recording import Anomaly
from tokens.models import EventCallback

SIGNATURE: Final = "X-Sfmc-Ens-Signature"
LONGEST_SIGNATURE: Final = 200


class Handshake(msgspec.Struct, rename="camel"):
    """What an unsigned call brings."""

    callback_id: str
    verification_key: str


@method_decorator(csrf_exempt, name="dispatch")
class Events(View):
    """Handshake, events, or a refusal."""

    http_method_names = ["post"]
    call: Call

    def post(self, request: HttpRequest) -> HttpResponse:
        self.call = Call.begin(request, Api.EVENTS)
        try:
            body = self.body(request)
            signature = request.headers.get(SIGNATURE)
            said = read_handshake(body)
            if said is not None or signature is None:
                return self.handshake(said)
            return self.events(body, signature)
        except Exception as error:  # noqa: BLE001 - each becomes an answer
            return self.refuse(request, as_api_error(error, Api.EVENTS))

    def http_method_not_allowed(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        self.call = Call.begin(request, Api.EVENTS)
        return self.refuse(request, ApiError(ErrorCode.METHOD_NOT_ALLOWED, headers={"Allow": "POST"}))

    def body(self, request: HttpRequest) -> bytes:
        """The bytes as they were sent: what is packed could be signed in two ways. Raises ApiError 400, 413 or 415."""
        media_type(request, JSON)
        if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise ApiError(
                ErrorCode.UNSUPPORTED_ENCODING, "Send the body as it is, without Content-Encoding."
            )
        body, self.call.request_bytes = read_body(request)
        return body

    def handshake(self, said: Handshake | None) -> HttpResponse:
        """200 where somebody waits for it; it is answered by a worker. Logged as facts: its body is a secret."""
        if said is None:
            raise ApiError(ErrorCode.BAD_SIGNATURE)
        with answering():
            row = callbacks.take_handshake(said.callback_id, said.verification_key)
            if row is None:
                raise ApiError(ErrorCode.UNEXPECTED_HANDSHAKE)
            self.call.client = source(row)
            recording.write(self.call.exchange(status=200, outcome=Outcome.COMPLETE, response_bytes=0))
        return HttpResponse(status=200)

    def events(self, body: bytes, signature: str) -> HttpResponse:
        """204 once all are stored; those that came before are not stored again."""
        try:
            row = callbacks.signer_of(body, signature) if len(signature) <= LONGEST_SIGNATURE else None
        except CryptoError:
            raise ApiError(ErrorCode.UNAVAILABLE) from None
        if row is None:
            raise ApiError(ErrorCode.BAD_SIGNATURE)
        self.call.client, self.call.body = source(row), body
        try:
            events = intake.read(body, row.connection.enterprise.eid)
        except BadEvents as error:
            raise ApiError(ErrorCode.INVALID_FIELD, str(error)) from None
        with answering():
            repeated = intake.store(row, events, entry_id=self.call.id)
            self.call.anomalies += [(place, Anomaly.REPEATED_EVENT) for place in repeated]
            exchange = self.call.exchange(
                status=204,
                outcome=Outcome.COMPLETE,
                response_bytes=0,
                items_asked=len(events),
                items_answered=len(events),
            )
            recording.record(exchange, recording.refused_bodies(body, b""))
        return HttpResponse(status=204)

    def refuse(self, request: HttpRequest, error: ApiError) -> HttpResponse:
        """A refusal; of who is not proven it only counts."""
        body = error_body(error, self.call.id)
        reply = error_reply(request, error, body)
        log_refusal(self.call, error, body, reply)
        return reply


def read_handshake(body: bytes) -> Handshake | None:
    """The handshake that `body` is, signed or not: as events, which are an array, it would be logged with its key."""
    try:
        return msgspec.json.decode(body, type=Handshake)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def source(row: EventCallback) -> Client:
    """Who sends events, as the log names callers."""
    return Client(
        pk=0,
        client_id="",
        name=f"{row.connection.name}, events",
        enterprise_id=row.enterprise_id,
        auth="signature",
        transactional=False,
        mint_budget_per_day=0,
        optout_blocks_resolve=True,
        token_domain="",
        switched_off=False,
        scopes=frozenset(),
        networks=(),
    )
