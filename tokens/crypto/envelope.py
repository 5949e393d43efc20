"""The sealed envelope: AES-256-GCM in one self-describing byte string.

    format (1 byte, 0x01) | key id (4 bytes, big-endian) | nonce (12 bytes) | ciphertext and tag (n + 16 bytes)

The associated data is not stored: it is rebuilt from the place where the envelope stands, so an envelope
moved to another row, column or enterprise does not open.
"""

import os
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tokens.crypto.errors import CannotOpen

FORMAT: Final = b"\x01"
NONCE_BYTES: Final = 12
HEADER_BYTES: Final = 5
OVERHEAD_BYTES: Final = HEADER_BYTES + NONCE_BYTES + 16

Decrypt = Callable[[bytes, bytes, bytes], bytes]
"""What a cipher does: (nonce, ciphertext and tag, associated data) to plaintext."""


def place(model: str, column: str, enterprise_id: int | None, *identity: object) -> bytes:
    """Associated data that names a place: model, column, enterprise and the row's immutable identity."""
    return "\x1f".join((model, column, str(enterprise_id), *map(str, identity))).encode()


def header(key_id: int) -> bytes:
    """The first bytes of every envelope that this key sealed."""
    return FORMAT + key_id.to_bytes(4, "big")


def sealer(cipher: AESGCM, key_id: int) -> Callable[[bytes, bytes], bytes]:
    """`seal(plaintext, aad)` under the key `key_id`, for a batch."""
    start, encrypt, random = header(key_id), cipher.encrypt, os.urandom

    def seal(plaintext: bytes, aad: bytes) -> bytes:
        nonce = random(NONCE_BYTES)
        return start + nonce + encrypt(nonce, plaintext, aad)

    return seal


def opener(
    decrypts: Mapping[bytes, Callable[[bytes, bytes, bytes], bytes]],
    otherwise: Callable[[bytes, bytes], bytes],
) -> Callable[[bytes, bytes], bytes]:
    """`open(envelope, aad)` for a batch; `decrypts` has the ciphers by header, `otherwise` opens what has none."""
    nonce_end = HEADER_BYTES + NONCE_BYTES

    def open_one(envelope: bytes, aad: bytes) -> bytes:
        decrypt = decrypts.get(envelope[:HEADER_BYTES])
        if decrypt is None or len(envelope) < OVERHEAD_BYTES:
            return otherwise(envelope, aad)
        try:
            return decrypt(envelope[HEADER_BYTES:nonce_end], envelope[nonce_end:], aad)
        except InvalidTag:
            raise CannotOpen from None

    return open_one


def key_id_of(envelope: bytes) -> int:
    """The id of the key that sealed `envelope`. Raises CannotOpen when it is no envelope of a known format."""
    if len(envelope) < OVERHEAD_BYTES or envelope[:1] != FORMAT:
        raise CannotOpen("unknown format")
    return int.from_bytes(envelope[1:HEADER_BYTES], "big")


def unseal(cipher: AESGCM, envelope: bytes, aad: bytes) -> bytes:
    """The plaintext of `envelope`, which must stand at the place `aad`. Raises CannotOpen."""
    nonce_end = HEADER_BYTES + NONCE_BYTES
    try:
        return cipher.decrypt(envelope[HEADER_BYTES:nonce_end], envelope[nonce_end:], aad)
    except InvalidTag:
        raise CannotOpen from None
