"""A skeleton as a page shows it: indented JSON in which each hole carries a mask and the reason for it."""

import enum
import re
from collections.abc import Callable
from typing import NamedTuple

from tokens.payload.skeleton import Hole, HoleKind, parse
from tokens.payload.strictness import STRING


class Reason(enum.StrEnum):
    """Why a value is masked; the page has a sentence for each."""

    # The clear value of a mapping; the attributes of a contact.
    CLEAR_VALUE = "clear_value"
    ATTRIBUTES = "attributes"
    # Sent as a token or as a subscriber key, but the vault does not know it: perhaps a clear address.
    FOREIGN_TOKEN = "foreign_token"  # noqa: S105
    FOREIGN_KEY = "foreign_key"
    # No mapping stores the value in this spelling: it is invalid, erased, or spelled otherwise.
    NO_MAPPING = "no_mapping"
    # An id or a code that could be an address or a phone number, or a field with a value not in the contract.
    UNSAFE_SHAPE = "unsafe_shape"
    # A field that is not in the contract, cut with its name.
    UNKNOWN_FIELD = "unknown_field"
    # Another type of value than the contract has there.
    UNEXPECTED_SHAPE = "unexpected_shape"
    # The body is not JSON, or not an object, or was refused before it was understood.
    WHOLE_BODY = "whole_body"


_REASONS_OF_RESIDUE = {
    '"token"': Reason.FOREIGN_TOKEN,
    '"subscriberKey"': Reason.FOREIGN_KEY,
    '"tokenValue"': Reason.NO_MAPPING,
    '"sendKey"': Reason.UNSAFE_SHAPE,
    '"tokenRequestId"': Reason.UNSAFE_SHAPE,
    '"tokenType"': Reason.UNSAFE_SHAPE,
    '"privateCode"': Reason.UNSAFE_SHAPE,
}

_PARTS = re.compile(STRING.decode() + r'|[][{}:,]|[^][{}:,"\s]++', re.DOTALL)


class Segment(NamedTuple):
    """A run of open text (`hole` and `reason` None), or one hole with the mask as its text."""

    text: str
    hole: Hole | None = None
    reason: Reason | None = None


def display(skeleton: bytes, mask: Callable[[Hole], str]) -> list[Segment]:
    """The segments of a skeleton, in order; their texts together are the masked and indented body.

    `mask` gives the text for a hole, made on the server (`1317•••••11`, or a word for what was destroyed).
    Raises DamagedPayload for a damaged skeleton.
    """
    page = _Page()
    for piece in parse(skeleton):
        if isinstance(piece, Hole):
            page.hole(piece, mask(piece))
        else:
            for part in _PARTS.findall(piece.decode("utf-8", "replace")):
                page.part(part)
    return page.finish()


class _Page:
    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.fresh = False
        self.name: str | None = None
        self.last = ""

    def part(self, part: str) -> None:
        """One token of JSON text."""
        if part in "]}":
            if self.open:
                self.open.pop()
            if not self.fresh:
                self._new_line()
            self.text.append(part)
            self.fresh = False
            self.name = None
            return
        self._begin_line_if_fresh()
        if part == ":":
            self.text.append(": ")
            self.name = self.last
        else:
            self.text.append(part)
        if part in "[{":
            self.open.append(part)
            self.fresh = True
            self.name = None
        elif part == ",":
            self._new_line()
            self.name = None
        self.last = part

    def hole(self, hole: Hole, mask: str) -> None:
        self._begin_line_if_fresh()
        self._flush()
        self.segments.append(Segment(mask, hole, self._reason(hole)))

    def finish(self) -> list[Segment]:
        self._flush()
        return self.segments

    def _reason(self, hole: Hole) -> Reason:
        if hole.kind is HoleKind.MAPPING:
            return Reason.CLEAR_VALUE
        if hole.kind is HoleKind.ATTRIBUTES:
            return Reason.ATTRIBUTES
        if not self.open:
            return Reason.WHOLE_BODY
        if self.name is None:
            return Reason.UNKNOWN_FIELD if self.open[-1] == "{" else Reason.UNEXPECTED_SHAPE
        return _REASONS_OF_RESIDUE.get(self.name, Reason.UNEXPECTED_SHAPE)

    def _begin_line_if_fresh(self) -> None:
        if self.fresh:
            self.fresh = False
            self._new_line()

    def _new_line(self) -> None:
        self.text.append("\n" + "  " * len(self.open))

    def _flush(self) -> None:
        if self.text:
            self.segments.append(Segment("".join(self.text)))
            self.text = []
