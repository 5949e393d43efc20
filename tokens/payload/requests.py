"""Cutting the two requests that Marketing Cloud sends us: Resolve and Get Token.

Each has two ways to the same skeleton. A *plain* body (see `is_plain`) is proven to be our own spelling of
the decoded request, so whole columns of values are judged at once and the few to be cut are found with
`bytes.find`. Every other body is walked member by member. What stays open is decided here and nowhere else.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence

from tokens.payload.residue import Residue
from tokens.payload.skeleton import canonical_literal, mapping_hole
from tokens.payload.strictness import is_plain
from tokens.payload.walk import RESIDUE, Judge, Place, Shape, Unwalkable, assemble, walk, whole
from tokens.payload.wire import GetTokenRequest, ResolveRequest

# Seven digits can be a phone number, whatever separates them; zeros in front do not count ("r-0000042").
_SEPARATORS = r"[._:-]*+"
_SIX_DIGITS = rf"(?:0{_SEPARATORS})*+(?:[0-9]{_SEPARATORS}){{0,6}}+"
_SAFE_ID = rf"{_SEPARATORS}{_SIX_DIGITS}(?:[A-Za-z]++{_SEPARATORS}{_SIX_DIGITS})*+"
_HEX = "[0-9A-Fa-f]"
_UUID = rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_BARE_UUID = rf"{_HEX}{{32}}"
_SAFE = re.compile(rf"{_UUID}|{_BARE_UUID}|{_SAFE_ID}")
_SAFE_LINES = re.compile(rf"(?:{_UUID}\n|{_BARE_UUID}\n|{_SAFE_ID}\n)*+")
_LONGEST_ID = 128
_TOKEN_TYPES = frozenset(("Email", "MobileNumber"))
_PRIVATE_CODE = re.compile("[0-9]{3,6}")
_FIRST_COLON = re.compile(rb'[ \t\n\r]*+\{[ \t\n\r]*+"[A-Za-z]*+"([ \t\n\r]*+:[ \t\n\r]*+)')


def cut_resolve_request(
    body: bytes,
    request: ResolveRequest | None = None,
    *,
    known_tokens: Container[str],
    known_subscriber_keys: Container[str],
    residue: Residue,
) -> bytes:
    """The skeleton of a Resolve request.

    `known_tokens` and `known_subscriber_keys` hold strings as sent (case and blanks included) that the vault
    knows; only these stay open, so leave out subscriber keys that are addresses. `request` is the decoded
    body where there is one: it is not trusted, but makes ordinary bodies ten times faster.
    """
    shape = Shape(
        fields={b'"sendKey"': _judge_id, b'"tokens"': _never},
        array=b'"tokens"',
        item_fields={
            b'"tokenRequestId"': _judge_id,
            b'"token"': _judge_known(known_tokens),
            b'"subscriberKey"': _judge_known(known_subscriber_keys),
        },
    )
    places = None
    if type(request) is ResolveRequest and is_plain(body, request):
        items = request.tokens
        keys = _strings(item.subscriber_key for item in items)
        columns = {
            b'"sendKey"': _unsafe_ids(_strings([request.send_key])),
            b'"tokenRequestId"': _unsafe_ids([item.token_request_id for item in items]),
            b'"token"': _unknown([item.token for item in items], known_tokens),
            b'"subscriberKey"': _unknown(keys, known_subscriber_keys),
        }
        places = _find_places(body, columns)
    return _cut(body, places, shape, residue)


def cut_get_token_request(
    body: bytes,
    request: GetTokenRequest | None = None,
    *,
    references: Mapping[str, int],
    residue: Residue,
) -> bytes:
    """The skeleton of a Get Token request.

    `references` maps clear values, exactly as their mappings store them, to mapping ids. A value that is not
    there (invalid, erased, stored in another spelling) or is escaped otherwise than we would goes to the
    residue. `request` is as in `cut_resolve_request`.
    """

    def judge_value(value: str) -> bytes:
        mapping_id = references.get(value)
        return RESIDUE if mapping_id is None else mapping_hole(mapping_id)

    shape = Shape(
        fields={b'"tokenValues"': _never},
        array=b'"tokenValues"',
        item_fields={
            b'"tokenRequestId"': _judge_id,
            b'"tokenValue"': judge_value,
            b'"tokenType"': _judge_known(_TOKEN_TYPES),
            b'"privateCode"': _judge_private_code,
        },
    )
    places = None
    if type(request) is GetTokenRequest and is_plain(body, request):
        items = request.token_values
        codes = _strings(item.private_code for item in items)
        columns = {
            b'"tokenRequestId"': _unsafe_ids([item.token_request_id for item in items]),
            b'"tokenValue"': [(item.token_value, judge_value(item.token_value)) for item in items],
            b'"tokenType"': _unknown([item.token_type for item in items], _TOKEN_TYPES),
            b'"privateCode"': [(code, RESIDUE) for code in codes if _judge_private_code(code) is not None],
        }
        places = _find_places(body, columns)
    return _cut(body, places, shape, residue)


def cut_unknown(body: bytes, residue: Residue) -> bytes:
    """The skeleton of a body that is not JSON, or was refused before it was understood: one hole."""
    return whole(body, residue)


def is_safe_id(value: str) -> bool:
    """Whether a request id or send key can't be an address or a phone number.

    Safe are UUIDs, and up to 128 letters, digits and `._:-` without seven digits in a row (see above).
    """
    return len(value) <= _LONGEST_ID and _SAFE.fullmatch(value) is not None


def are_safe_ids(ids: Sequence[str]) -> bool:
    """Whether all of these are safe ids; asked of all lines in one match."""
    lines = "\n".join(ids) + "\n"
    return (
        _SAFE_LINES.fullmatch(lines) is not None
        and lines.count("\n") == max(len(ids), 1)
        and max(map(len, ids), default=0) <= _LONGEST_ID
    )


def _cut(body: bytes, places: list[Place] | None, shape: Shape, residue: Residue) -> bytes:
    if places is None:
        try:
            places = walk(body, shape)
        except Unwalkable:
            return whole(body, residue)
    return assemble(body, places, residue)


def _judge_id(value: str) -> bytes | None:
    return None if is_safe_id(value) else RESIDUE


def _never(_: str) -> bytes:
    return RESIDUE


def _judge_known(known: Container[str]) -> Judge:
    return lambda value: None if value in known else RESIDUE


def _judge_private_code(value: str) -> bytes | None:
    return None if _PRIVATE_CODE.fullmatch(value) else RESIDUE


Column = list[tuple[str, bytes]]
"""The values of one field that are to be cut, in the order of the items, each with its verdict."""


def _strings(values: Iterable[object]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _unsafe_ids(ids: Sequence[str]) -> Column:
    return [] if are_safe_ids(ids) else [(value, RESIDUE) for value in ids if not is_safe_id(value)]


def _unknown(values: Sequence[str], known: Container[str]) -> Column:
    return [(value, RESIDUE) for value in values if value not in known]


def _find_places(body: bytes, columns: Mapping[bytes, Column]) -> list[Place] | None:
    """Where the values of a plain body stand, or None if its colons are not all spaced as the first one is.

    In a plain body the bytes `"name":"value"` can only be that member, because a quote inside a string would
    stand behind a backslash. Each search starts where the last one of its field ended, so that all of them
    together read the body once. If a member is spaced otherwise, an equal one further on may be taken for it,
    but then the matches of that value run short by one and the whole body is walked instead.
    """
    if not any(columns.values()):
        return []
    if (first := _FIRST_COLON.match(body)) is None:
        return None
    places: list[Place] = []
    for name, column in columns.items():
        member, at = name + first[1], 0
        for value, hole in column:
            literal = canonical_literal(value)
            if (found := body.find(member + literal, at)) < 0:
                return None
            at = found + len(member) + len(literal)
            places.append((at - len(literal), at, hole))
    places.sort()
    return places
