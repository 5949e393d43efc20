"""The two answers we send, each built together with its skeleton from pieces that are already encoded.

Both come from one set of columns, so they cannot drift apart, and no answer is ever parsed to be logged.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tokens.payload.requests import are_safe_ids, is_safe_id
from tokens.payload.residue import Residue
from tokens.payload.skeleton import (
    VERSION,
    attributes_hole,
    canonical_literal,
    mapping_hole,
    residue_hole,
)

NO_ATTRIBUTES = b"[]"


class Resolved(msgspec.Struct, frozen=True, gc=False):
    """One resolved item.

    `attributes` is the wire form of the array, `attribute_set` the 32 hex digits of the version it comes
    from; without a version the array must be empty.
    """

    request_id: str
    clear_value: str
    mapping_id: int
    attributes: bytes = NO_ATTRIBUTES
    attribute_set: str | None = None

    def __repr__(self) -> str:
        # Clear values do not belong in tracebacks.
        return f"Resolved(mapping_id={self.mapping_id})"


class Unresolved(msgspec.Struct, frozen=True, gc=False):
    """One unresolved item; `message` is ours and holds nothing of the request."""

    request_id: str
    message: str


class Issued(msgspec.Struct, frozen=True, gc=False):
    """One item of a Get Token answer: the token and the subscriber key that the vault gives for a value."""

    request_id: str
    token: str
    subscriber_key: str


class Answer(NamedTuple):
    """The body to send and the skeleton to log."""

    body: bytes
    skeleton: bytes

    def __repr__(self) -> str:
        return f"Answer({len(self.body)} bytes)"


_RESOLVED_FRAME = (b'{"tokenRequestId":', b',"tokenValue":', b',"attributes":')
_UNRESOLVED_FRAME = (b'{"tokenRequestId":', b',"message":')
_ISSUED_FRAME = (b'{"tokenRequestId":', b',"token":', b',"subscriberKey":')


def resolve_answer(
    resolved: Sequence[Resolved], unresolved: Sequence[Unresolved], residue: Residue
) -> Answer:
    """The answer of Resolve, always with both arrays. Raises ValueError for attributes without a version."""
    ids = list(map(canonical_literal, [item.request_id for item in resolved]))
    open_ids = _open_ids([item.request_id for item in resolved], ids, residue)
    refused_ids = list(map(canonical_literal, [item.request_id for item in unresolved]))
    open_refused_ids = _open_ids([item.request_id for item in unresolved], refused_ids, residue)
    messages = list(map(canonical_literal, [item.message for item in unresolved]))
    values = list(map(canonical_literal, [item.clear_value for item in resolved]))

    def body(*columns: Sequence[Sequence[bytes]]) -> list[bytes]:
        found, missing = columns
        return [
            b'{"resolvedTokens":[',
            *_rows(_RESOLVED_FRAME, found),
            b'],"unresolvedTokens":[',
            *_rows(_UNRESOLVED_FRAME, missing),
            b"]}",
        ]

    holes = [mapping_hole(item.mapping_id) for item in resolved]
    attributes = [item.attributes for item in resolved]
    sets = [_open_attributes(item) for item in resolved]
    return Answer(
        b"".join(body((ids, values, attributes), (refused_ids, messages))),
        b"".join([VERSION, *body((open_ids, holes, sets), (open_refused_ids, messages))]),
    )


def get_token_answer(issued: Sequence[Issued], residue: Residue) -> Answer:
    """The answer of Get Token; tokens and subscriber keys are ours and stay open."""
    ids = list(map(canonical_literal, [item.request_id for item in issued]))
    tokens = list(map(canonical_literal, [item.token for item in issued]))
    keys = list(map(canonical_literal, [item.subscriber_key for item in issued]))
    body = b"".join([b'{"tokens":[', *_rows(_ISSUED_FRAME, (ids, tokens, keys)), b"]}"])
    open_ids = _open_ids([item.request_id for item in issued], ids, residue)
    if open_ids is ids:
        return Answer(body, VERSION + body)
    rows = _rows(_ISSUED_FRAME, (open_ids, tokens, keys))
    return Answer(body, b"".join([VERSION, b'{"tokens":[', *rows, b"]}"]))


def _open_ids(ids: Sequence[str], literals: list[bytes], residue: Residue) -> list[bytes]:
    """The literals as they stand in the skeleton; the very same list when all of them are safe."""
    if are_safe_ids(ids):
        return literals
    return [
        literal if is_safe_id(request_id) else residue_hole(residue.add(literal))
        for request_id, literal in zip(ids, literals, strict=True)
    ]


def _open_attributes(item: Resolved) -> bytes:
    if item.attribute_set is not None:
        return attributes_hole(item.attribute_set)
    if item.attributes != NO_ATTRIBUTES:
        raise ValueError("An item has attributes but names no attribute set that they come from.")
    return NO_ATTRIBUTES


def _rows(frame: Sequence[bytes], columns: Sequence[Sequence[bytes]]) -> list[bytes]:
    """The pieces of a list of objects: before each column its piece of the frame, commas between rows."""
    count = len(columns[0])
    width = 2 * len(frame) + 1
    pieces = [b"},"] * (width * count)
    for place, (text, column) in enumerate(zip(frame, columns, strict=True)):
        pieces[2 * place :: width] = [text] * count
        pieces[2 * place + 1 :: width] = column
    if pieces:
        pieces[-1] = b"}"
    return pieces
