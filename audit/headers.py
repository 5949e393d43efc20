"""Canonical headers of log entries and events, and their leaf hashes (decision 7).

A header is JSON with sorted keys and no blanks, in UTF-8. `v` is the version of the format and `kind` says what
it heads. Bodies appear by SHA-256 only, so that the structure of the log verifies without reading them. The leaf
hash is that of RFC 6962: SHA-256(0x00 || header).
"""

import datetime
import hashlib
import ipaddress
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


def means_the_same(one: Any, other: Any, key: str = "") -> bool:
    """Whether two JSON values of a header are equal: 1e5 is 100000, but true is not 1; addresses by their value."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(means_the_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(means_the_same, one, other))
    if key == "address" and isinstance(one, str) and isinstance(other, str) and one != other:
        try:
            return ipaddress.ip_address(one) == ipaddress.ip_address(other)
        except ValueError:
            return False
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
