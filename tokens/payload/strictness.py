"""What JSON decoders let pass in silence: duplicate keys, unknown fields, odd spellings, deep nesting."""

import json
import re

import msgspec

from tokens.payload.errors import UnreadableBody
from tokens.payload.wire import (
    GetTokenItem,
    GetTokenRequest,
    OptOutItem,
    OptOutsRequest,
    ResolveItem,
    ResolveRequest,
)

MAX_DEPTH = 32
"""Bodies nested deeper are refused; the API's own are three deep."""

_WHITESPACE = b" \t\n\r"
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
# A string that never ends takes the rest: searching on from its inner quotes would be quadratic.
STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
"""A JSON string literal, for patterns with DOTALL."""

_STRINGS = re.compile(STRING, re.DOTALL)
_KNOWN_NAMES = frozenset(
    field.encode_name
    for struct in (ResolveRequest, ResolveItem, GetTokenRequest, GetTokenItem, OptOutsRequest, OptOutItem)
    for field in msgspec.structs.fields(struct)
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

Request = ResolveRequest | GetTokenRequest


def is_plain(body: bytes, request: msgspec.Struct) -> bool:
    """Whether `body` is our own spelling of the request decoded from it, but for whitespace and field order.

    True proves that the body has no duplicate key, no unknown field, no escape that we would not write, and
    no more depth than the contract. False proves nothing. The API asks this of every body, and the exact
    questions below, which cost ten times as much, only when the answer is False.

    Why deleting every whitespace byte is sound: if our encoding has whitespace inside a string, the squeezed
    body, which has none, differs from it; if it has none, then neither has any string of the body.
    """
    encoded = _encode(request)
    if encoded == body:
        return True
    squeezed = body.translate(None, _WHITESPACE)
    # In another order the length stays; an unknown field makes the body longer, as the request drops it.
    return encoded == squeezed or (len(encoded) == len(squeezed) and _is_canonical(body, squeezed))


def _is_canonical(body: bytes, squeezed: bytes) -> bool:
    """Whether a body comes back from decoding and encoding; duplicates and odd escapes do not."""
    try:
        return _encode(_decode(body)) == squeezed
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def exceeds_depth(body: bytes, limit: int = MAX_DEPTH) -> bool:
    """Whether a valid JSON body nests arrays and objects deeper than `limit`; linear, without recursion."""
    # Strings go first: brackets inside them would hide real ones. Each round then folds the innermost level.
    brackets = _STRINGS.sub(b"", body).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(limit):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


class _Members(list[tuple[str, object]]):
    """The members of one object, duplicates included."""


def find_duplicate_key(body: bytes, request: Request | None = None) -> str | None:
    """The path of a duplicate key in a JSON body, such as `$.tokens[3].token`, or None.

    Decoders take the last of two equal keys in silence, so the API asks this before it trusts one. `request`,
    if given, saves the work for plain bodies. Unknown names read `[...]`: a name can be a clear value.
    Raises UnreadableBody for what is not JSON or nested beyond Python's limit (ask `exceeds_depth` first).
    """
    if request is not None and is_plain(body, request):
        return None
    found = False

    def members(pairs: list[tuple[str, object]]) -> _Members:
        nonlocal found
        found = found or len(dict(pairs)) != len(pairs)
        return _Members(pairs)

    try:
        # Numbers stay text: Python refuses to convert very long ones, and nobody asked for their value.
        root = json.loads(body.decode(), object_pairs_hook=members, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        raise UnreadableBody from None
    return _duplicate_path(root) if found else None


def _duplicate_path(root: object) -> str | None:
    waiting: list[tuple[str, object]] = [("$", root)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _Members):
            seen: set[str] = set()
            for name, child in value:
                step = path + (f".{name}" if name in _KNOWN_NAMES else "[...]")
                if name in seen:
                    return step
                seen.add(name)
                waiting.append((step, child))
        elif isinstance(value, list):
            waiting.extend((f"{path}[{index}]", child) for index, child in enumerate(value))
    return None
