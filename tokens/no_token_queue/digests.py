"""Keyed digests by which files, rows and lines are known again: without the key nobody can try numbers against them."""

import json
from dataclasses import dataclass

from tokens.crypto.keyring import Keyring
from tokens.crypto.keyset import Purpose


@dataclass(frozen=True, slots=True)
class Mark:
    """`digest` is stored; `all` are those under every live key, to find what an earlier key marked."""

    digest: bytes
    all: tuple[bytes, ...]


def mark(ring: Keyring, *parts: str | bytes) -> Mark:
    """The mark of what `parts` say, unambiguously."""
    data = json.dumps([part.hex() if isinstance(part, bytes) else part for part in parts]).encode()
    return Mark(
        ring.digest(Purpose.LOG_DIGEST, data)[1], tuple(ring.digests_under_all(Purpose.LOG_DIGEST, data))
    )
