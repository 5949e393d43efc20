"""The exact way through a request body: each member with its byte span, whatever the order and spelling."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tokens.payload.residue import Residue
from tokens.payload.skeleton import VERSION, canonical_literal, residue_hole
from tokens.payload.strictness import STRING

RESIDUE = b""
"""The verdict that sends a value to the residue."""

Judge = Callable[[str], bytes | None]
"""What stands in the skeleton for a string value: None leaves it open, bytes are its hole, or RESIDUE."""

Place = tuple[int, int, bytes]
"""A span of the body (start, end) and the hole that takes its place, or RESIDUE."""

MAX_HOLES = 10_000
"""A body that would need more is one hole. 500 items with a dozen unknown fields each stay below it."""


class Shape(NamedTuple):
    """The request bodies of one API: an object with scalar fields and one array of flat objects.

    Names are literals, quotes included, as they stand in the body; a known name spelled with escapes counts
    as unknown. A judge is asked about strings; null stays open, any other value goes to the residue.
    """

    fields: Mapping[bytes, Judge]
    array: bytes
    item_fields: Mapping[bytes, Judge]


class Unwalkable(Exception):
    """The body is not JSON in UTF-8, not an object, or would need too many holes: it is cut as a whole."""


_WS = rb"[ \t\n\r]*+"
_OPEN_OBJECT = re.compile(_WS + rb"\{" + _WS + rb"(\}?+)", re.DOTALL)
_OPEN_ARRAY = re.compile(_WS + rb"\[" + _WS + rb"(\]?+)", re.DOTALL)
# One match takes an ordinary member whole, with its delimiter; groups 2 and 3 stay empty for other values.
_MEMBER = re.compile(
    rb"%b(%b)%b:%b(?:(%b|null)%b([,}]))?" % (_WS, STRING, _WS, _WS, STRING, _WS),
    re.DOTALL,
)
_SCALAR = re.compile(STRING + rb"|[^][{} \t\n\r,\":]++", re.DOTALL)
_NEXT_BRACKET = re.compile(STRING + rb"|([{[])|([]}])", re.DOTALL)
_MORE = re.compile(_WS + rb"([],}])" + _WS)

_BRACE, _BRACKET = b"{["

_decode_any = msgspec.json.Decoder().decode
_decode_string = msgspec.json.Decoder(str).decode


def walk(body: bytes, shape: Shape) -> list[Place]:
    """The places to cut, in order; raises Unwalkable. Linear in the body; depth costs no recursion here."""
    try:
        # The strict decoder decides what is JSON; what follows only finds spans in what it accepted.
        _decode_any(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unwalkable from None
    walker = _Walker(body)
    walker.top(shape)
    return walker.places


def assemble(body: bytes, places: Sequence[Place], residue: Residue) -> bytes:
    """The skeleton of a body that is cut at these places, which are in order and do not overlap."""
    if len(places) > MAX_HOLES:
        return whole(body, residue)
    pieces = [VERSION]
    at = 0
    for start, end, hole in places:
        pieces.append(body[at:start])
        pieces.append(hole or residue_hole(residue.add(body[start:end])))
        at = end
    pieces.append(body[at:])
    return b"".join(pieces)


def whole(body: bytes, residue: Residue) -> bytes:
    """The skeleton of a body that is one hole."""
    return VERSION + residue_hole(residue.add(body))


class _Walker:
    """Walks one body; `at` is the next byte to read, `places` what was found."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0
        self.places: list[Place] = []

    def top(self, shape: Shape) -> None:
        more = not self._match(_OPEN_OBJECT)[1]
        while more:
            more = self._member(shape.fields, shape)

    def _items(self, shape: Shape) -> None:
        more = not self._match(_OPEN_ARRAY)[1]
        while more:
            start = self.at
            if self.body[start] != _BRACE:
                self._skip()
                self._cut(start, self.at, RESIDUE)
            elif not self._match(_OPEN_OBJECT)[1]:
                while self._member(shape.item_fields, None):
                    pass
            more = self._match(_MORE)[1] == b","

    def _member(self, judges: Mapping[bytes, Judge], shape: Shape | None) -> bool:
        """Read one member and the delimiter after it; whether another one follows."""
        member = self._match(_MEMBER)
        name, literal, delimiter = member.groups()
        judge = judges.get(name)
        if literal is not None:
            if judge is None:
                self._cut(member.start(1), member.end(2), RESIDUE)
            elif literal != b"null" and (verdict := judge_literal(literal, judge)) is not None:
                self._cut(member.start(2), member.end(2), verdict)
            return bool(delimiter == b",")
        start = self.at
        if shape is not None and name == shape.array and self.body[start] == _BRACKET:
            self._items(shape)
        else:
            self._skip()
            self._cut(member.start(1) if judge is None else start, self.at, RESIDUE)
        return self._match(_MORE)[1] == b","

    def _skip(self) -> None:
        """Move past one value."""
        if self.body[self.at] not in b"{[":
            self._match(_SCALAR)
            return
        depth = 0
        for found in _NEXT_BRACKET.finditer(self.body, self.at):
            depth += (found[1] is not None) - (found[2] is not None)
            if depth == 0:
                self.at = found.end()
                return
        raise Unwalkable

    def _cut(self, start: int, end: int, verdict: bytes) -> None:
        if len(self.places) > MAX_HOLES:
            raise Unwalkable
        self.places.append((start, end, verdict))

    def _match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        if (found := pattern.match(self.body, self.at)) is None:
            raise Unwalkable
        self.at = found.end()
        return found


def judge_literal(literal: bytes, judge: Judge) -> bytes | None:
    """The verdict on a string literal; one that we would spell otherwise goes to the residue."""
    if b"\\" not in literal:
        return judge(literal[1:-1].decode())
    value = _decode_string(literal)
    return judge(value) if canonical_literal(value) == literal else RESIDUE
