"""An exchange becomes a log entry: skeletons compressed, residue sealed, exact bodies digested (decision 6)."""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from django.db import Error

from audit import payload_log
from audit.payload_log import Exchange
from tokens.crypto.envelope import place
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose
from tokens.payload import Residue, compress, cut_unknown
from tokens.payload.skeleton import VERSION


class NotRecorded(Exception):
    """The payload log could not be written, so nothing may be answered."""


class Side(StrEnum):
    """Which of the two bodies of an exchange."""

    REQUEST = "request"
    RESPONSE = "response"


class Anomaly(StrEnum):
    """What was odd about an item, in `Exchange.anomalies`; reasons of `tokens.formats` stand beside these."""

    # The first item of that request id was answered, this one not.
    REPEATED_ID_DIFFERS = "repeated_id_differs"
    # A subscriber key that does not hold the token: the value was sent without attributes.
    KEY_NOT_LINKED = "key_not_linked"
    CLEAR_VALUE_AS_TOKEN = "clear_value_as_token"  # noqa: S105
    UNKNOWN_TOKEN_TYPE = "unknown_token_type"  # noqa: S105
    # The country of the number has run out of tokens.
    TOKEN_AS_CLEAR_VALUE = "token_as_clear_value"  # noqa: S105 - an address on the token domain
    # An event of Marketing Cloud that was delivered before.
    REPEATED_EVENT = "repeated_event"
    NO_FREE_TOKEN = "no_free_token"  # noqa: S105
    # A sealed value was altered, moved or planted; an alarm was raised.
    CANNOT_OPEN = "cannot_open"


@dataclass(slots=True)
class Bodies:
    """The exact content-decoded bodies of an exchange, their skeletons, and the residue of both."""

    request: bytes
    request_skeleton: bytes
    response: bytes
    response_skeleton: bytes
    residue: Residue

    def __repr__(self) -> str:
        return "Bodies(…)"


def record(exchange: Exchange, bodies: Bodies) -> None:
    """Write the entry of a known enterprise in the caller's transaction. Raises NotRecorded when it can't."""
    assert exchange.enterprise_id is not None
    ring = keyring(exchange.enterprise_id)
    exchange.request_skeleton = compress(bodies.request_skeleton)
    exchange.response_skeleton = compress(bodies.response_skeleton)
    if bodies.residue:
        where = place_of_residue(exchange.enterprise_id, exchange.id)
        exchange.residue = ring.seal(Purpose.RESIDUE, bodies.residue.encode(), where)
    exchange.digest_key = ring.primary_id(Purpose.LOG_DIGEST)
    exchange.request_digest, exchange.response_digest = (
        ring.digest_with(exchange.digest_key, digested(exchange.id, side, body))
        for side, body in ((Side.REQUEST, bodies.request), (Side.RESPONSE, bodies.response))
    )
    write(exchange)


def write(exchange: Exchange) -> None:
    """Write an entry without bodies, or with those that it has. Raises NotRecorded."""
    try:
        payload_log.record(exchange)
    except Error as error:
        raise NotRecorded(type(error).__name__) from error


def refused_bodies(request: bytes, response: bytes) -> Bodies:
    """Bodies of a refusal: of the request nothing is understood, and the answer is ours."""
    residue = Residue()
    return Bodies(
        request=request,
        request_skeleton=cut_unknown(request, residue),
        response=response,
        response_skeleton=VERSION + response,
        residue=residue,
    )


def sealed_bodies(request: bytes, response: bytes) -> Bodies:
    """Bodies of which nothing stands in the open: both are sealed whole, under the day's key."""
    residue = Residue()
    return Bodies(request, cut_unknown(request, residue), response, cut_unknown(response, residue), residue)


def digested(entry_id: uuid.UUID, side: Side, body: bytes) -> bytes:
    """What the keyed digest of a body covers: its entry and side too, so that equal bodies do not show."""
    return b"%b %b\n%b" % (entry_id.bytes, side.encode(), body)


def place_of_residue(enterprise_id: int, entry_id: uuid.UUID) -> bytes:
    """What the residue of an entry is bound to."""
    return place("audit.PayloadEntry", "residue", enterprise_id, entry_id)
