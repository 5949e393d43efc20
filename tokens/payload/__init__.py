"""Cut clear values out of the JSON bodies that the payload log keeps, and put them back.

The log keeps no clear value in the open (design decision 6). What it stores of a body is a *skeleton*: the
content-decoded body bytes in which everything that is or may be clear is a hole. A hole names what fills it:

    skeleton = version (one byte, "1") , { text | hole }
    text     = bytes of the body as they came: structure, known field names, values known to be open
    hole     = 0x01 , kind , reference , 0x02
    kind and reference:
        m <mapping id, decimal>              the canonical JSON literal of the mapping's clear value
        a <attribute set UUID, 32 hex>       the wire form of that version of a contact's attributes
        r <slot, decimal>                    a slot of the entry's residue, as raw bytes

The bytes 0x01 and 0x02 stand in no valid JSON text, and a body that is not valid JSON becomes one residue
hole as a whole, so a skeleton always parses. A hole stands for a whole value (string literals with their
quotes), for a whole `"key":value` member when the name of the field is unknown (a name can be a clear value
too), or for the whole body. Erasing a mapping, an attribute set or the day key of the residue erases the
bytes here as well; as long as all of them live, `rebuild` gives the exact body.

What stays open is listed, never what is cut: the known field names; null; request ids and send keys of a
shape that can't be an address or a number; token types; private codes of 3 to 6 digits (a longer one can't be
told from a person's number); tokens and subscriber keys that the vault says are its own.

This package needs no Django, no database and no key: the caller seals the residue and fetches what holes
name.
"""

from tokens.payload.answers import Answer, Issued, Resolved, Unresolved, get_token_answer, resolve_answer
from tokens.payload.compression import compress, decompress
from tokens.payload.display import Reason, Segment, display
from tokens.payload.errors import DamagedPayload, PayloadError, UnreadableBody
from tokens.payload.requests import cut_get_token_request, cut_resolve_request, cut_unknown
from tokens.payload.residue import Residue
from tokens.payload.skeleton import (
    Hole,
    HoleKind,
    Rebuilt,
    References,
    canonical_literal,
    rebuild,
    references,
)
from tokens.payload.strictness import MAX_DEPTH, exceeds_depth, find_duplicate_key, is_plain
from tokens.payload.wire import (
    GetTokenItem,
    GetTokenRequest,
    OptOutItem,
    OptOutsRequest,
    ResolveItem,
    ResolveRequest,
)

__all__ = [
    "MAX_DEPTH",
    "Answer",
    "DamagedPayload",
    "GetTokenItem",
    "GetTokenRequest",
    "Hole",
    "HoleKind",
    "Issued",
    "OptOutItem",
    "OptOutsRequest",
    "PayloadError",
    "Reason",
    "Rebuilt",
    "References",
    "Residue",
    "ResolveItem",
    "ResolveRequest",
    "Resolved",
    "Segment",
    "UnreadableBody",
    "Unresolved",
    "canonical_literal",
    "compress",
    "cut_get_token_request",
    "cut_resolve_request",
    "cut_unknown",
    "decompress",
    "display",
    "exceeds_depth",
    "find_duplicate_key",
    "get_token_answer",
    "is_plain",
    "rebuild",
    "references",
    "resolve_answer",
]
