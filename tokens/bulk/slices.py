"""Slices of a job's file as they are stored: compressed, then sealed, and bound to job and number (decision 14)."""

import uuid
from typing import Final, Literal

import zstandard

from tokens.crypto import envelope
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose

Side = Literal["source", "output"]
_LEVEL: Final = 3


def seal(enterprise_id: int, job_id: uuid.UUID, number: int, side: Side, text: str) -> bytes:
    """`text` for the column `side` of that chunk."""
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(text.encode())
    return keyring(enterprise_id).seal(Purpose.BULK, packed, _place(enterprise_id, job_id, number, side))


def unseal(enterprise_id: int, job_id: uuid.UUID, number: int, side: Side, sealed: bytes) -> str:
    """The text of a slice. Raises CannotOpen, also if it belongs to another chunk or job."""
    packed = keyring(enterprise_id).open(sealed, _place(enterprise_id, job_id, number, side))
    return zstandard.ZstdDecompressor().decompress(packed).decode()


def _place(enterprise_id: int, job_id: uuid.UUID, number: int, side: Side) -> bytes:
    return envelope.place("tokens.BulkChunk", side, enterprise_id, job_id, number)
