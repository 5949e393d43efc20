"""The bodies of an exchange as a page shows them: masked, each mask explained, and proven by their digests."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Final

from audit.models import Api, PayloadEntry
from tokens.formats.reasons import Reason as ValueReason
from tokens.log import rebuild
from tokens.log.rebuild import DAMAGED, DESTROYED, Proof
from tokens.log.recording import Anomaly, Side
from tokens.payload import DamagedPayload, HoleKind, Segment
from tokens.payload.display import Reason

WHY: Final[dict[Reason, str]] = {
    Reason.CLEAR_VALUE: "the clear value of a person",
    Reason.ATTRIBUTES: "personalisation attributes of a contact",
    Reason.FOREIGN_TOKEN: "sent as a token, but not one of ours: it may be a clear value",
    Reason.FOREIGN_KEY: "a subscriber key that is not on record: it may name somebody",
    Reason.NO_MAPPING: "a value that no mapping holds in this spelling",
    Reason.UNSAFE_SHAPE: "an id or code that looks like an address or a number",
    Reason.UNKNOWN_FIELD: "a field that the contract does not have, with its name",
    Reason.UNEXPECTED_SHAPE: "another kind of value than the contract has here",
    Reason.WHOLE_BODY: "a body that is sealed as a whole: it was refused before it was understood, or was never read",
}
PROOFS: Final[dict[Proof, tuple[str, str, str]]] = {
    Proof.PROVEN: ("good", "verified", "proven: the rebuilt body matches its digest, byte for byte"),
    Proof.ALTERED: ("bad", "gpp_bad", "altered: the rebuilt body does not match its digest"),
    Proof.DAMAGED: ("bad", "gpp_bad", "damaged: something stored was altered and can't be read"),
    Proof.DESTROYED: ("", "delete_forever", "destroyed in part: a value was erased or its key ended, as it should"),
    Proof.UNPROVEN: ("warn", "help", "whole, but unproven: the key of its digest is gone"),
    Proof.NOT_KEPT: ("", "hide_source", "no body was kept"),
}  # fmt: skip
ANOMALIES: Final[dict[str, str]] = {
    Anomaly.REPEATED_ID_DIFFERS: "The same tokenRequestId came before with another value: the first was answered.",
    Anomaly.KEY_NOT_LINKED: "The subscriber key does not hold this token: the value was sent without attributes.",
    Anomaly.CLEAR_VALUE_AS_TOKEN: "A clear value was sent where a token belongs: find how it came there.",
    Anomaly.TOKEN_AS_CLEAR_VALUE: "A token was sent where a clear value belongs: find who sends tokens as addresses.",
    Anomaly.REPEATED_EVENT: "The event was delivered before: it counts once.",
    Anomaly.NO_FREE_TOKEN: "The country of the number has run out of tokens: give it longer ones.",
    Anomaly.UNKNOWN_TOKEN_TYPE: "The tokenType is neither Email nor MobileNumber: the item was left out.",
    Anomaly.CANNOT_OPEN: "The sealed value did not open: it was altered, moved or planted. An alarm was raised.",
}
_PATHS: Final = {Api.RESOLVE: "resolve", Api.GET_TOKEN: "get"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text of a body; with `why` it is a mask."""

    text: str
    why: str = ""
    look: str = ""
    # Which hole of its body it is, from 0, where it can be revealed.
    number: int | None = None


@dataclass(frozen=True, slots=True)
class BodyView:
    """One body: masked pieces, and what can be proven of it."""

    title: str
    side: str
    pieces: list[Piece]
    tone: str
    icon: str
    proof: str


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something odd about an item, explained; `count` items in all, the first of them at `index` (from 0)."""

    code: str
    explanation: str
    index: int
    count: int


def body_views(entry: PayloadEntry) -> list[BodyView]:
    """Request and answer, in this order."""
    try:
        segments = rebuild.masked(entry)
    except DamagedPayload:
        segments = {side: [] for side in Side}
    exchange = rebuild.rebuild(entry)
    return [
        _view("Request", Side.REQUEST, segments[Side.REQUEST], exchange.request.proof),
        _view("Answer", Side.RESPONSE, segments[Side.RESPONSE], exchange.response.proof),
    ]


def legend(views: Iterable[BodyView]) -> list[Piece]:
    """Each reason for a mask once, in the order in which they appear."""
    found = {(piece.why, piece.look): piece for view in views for piece in view.pieces if piece.why}
    return list(found.values())


def as_curl(entry: PayloadEntry, views: list[BodyView], base: str) -> str:
    """The request as a call to paste and complete: masks are still masks. "" where there is no body to send."""
    path, body = _PATHS.get(Api(entry.api)), "".join(piece.text for piece in views[0].pieces)
    if path is None or not body:
        return ""
    quoted = body.replace("'", "'\\''")
    return (
        f'curl -sS -u "$CLIENT_ID:$SECRET" "{base}/api/v1/tokens/{path}" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d '{quoted}'"
    )


def oddities(entry: PayloadEntry) -> list[Oddity]:
    """The anomalies of an entry, grouped by code."""
    positions: dict[str, list[int]] = {}
    for index, code in entry.anomalies:
        positions.setdefault(code, []).append(index)
    return [Oddity(code, _explained(code), min(found), len(found)) for code, found in positions.items()]


def _explained(code: str) -> str:
    if code in ANOMALIES:
        return ANOMALIES[code]
    try:
        return f"The value was refused and left out. {ValueReason(code).hint}"
    except ValueError:
        return "An oddity that this version of the portal has no words for."


def _view(title: str, side: Side, segments: list[Segment], proof: Proof) -> BodyView:
    numbers = count()
    pieces = [_piece(segment, next(numbers) if segment.hole else None) for segment in segments]
    return BodyView(title, side.value, pieces, *PROOFS[proof])


def _piece(segment: Segment, number: int | None) -> Piece:
    if segment.hole is None or segment.reason is None:
        return Piece(segment.text)
    if segment.text in (DESTROYED, DAMAGED):
        return Piece(segment.text, f"{WHY[segment.reason]}, {segment.text}", "gone")
    look = "sealed" if segment.hole.kind is HoleKind.RESIDUE else ""
    return Piece(segment.text, WHY[segment.reason], look, number)
