"""Subscriber keys made by us, for rows whose own key would give the person away."""

from __future__ import annotations

import base64

PREFIX = "sk-"
_CHARACTERS = 26
_FEWEST_BYTES = 20


def derived_subscriber_key(digest: bytes) -> str:
    """`sk-` and 26 base32 characters: 130 bits of a keyed digest of the contact, at least 20 bytes long.

    The same digest always gives the same key, so a file that is converted twice keeps its contacts apart and
    together. The digest must come from a secret key (HMAC-SHA256): of a plain hash every address could be
    tried.
    """
    if len(digest) < _FEWEST_BYTES:
        raise ValueError(
            f"a derived subscriber key needs a digest of {_FEWEST_BYTES} bytes, not {len(digest)}"
        )
    text = base64.b32encode(digest[:_FEWEST_BYTES]).decode("ascii").lower()
    return PREFIX + text[:_CHARACTERS]
