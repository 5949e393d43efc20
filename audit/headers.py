"""Canonical headers of log entries and events, and their leaf hashes (decision 7).

A header is JSON with sorted keys and no blanks, in UTF-8. `v` is the version of the format and `kind` says what
it heads. Bodies appear by SHA-256 only, so that the structure of the log verifies without reading them. The leaf
hash is that of RFC 6962: SHA-256(0x00 || header).
"""

import datetime
import hashlib
import json
from typing import Any, Final

VERSION: Final = 1


def canonical(kind: str, facts: dict[str, Any]) -> bytes:
    """The header of an entry of `kind`; values are JSON values, UUIDs, datetimes (UTC) or bytes (hex)."""
    return json.dumps(
        {"v": VERSION, "kind": kind} | facts,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        default=_plain,
    ).encode()


def body_hash(stored: bytes | None) -> str | None:
    """SHA-256 of a body as it is stored, in hex."""
    return None if stored is None else hashlib.sha256(stored).hexdigest()


def leaf_hash(header: bytes) -> bytes:
    """RFC 6962 leaf hash of a header: 32 bytes."""
    return hashlib.sha256(b"\x00" + header).digest()


def _plain(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
