"""Slices of an export as they are stored: rows as JSON, compressed, then sealed, and bound to export and number."""

import json
from typing import Final

import zstandard

from tokens.crypto import envelope
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose
from tokens.models import Export

_LEVEL: Final = 3


def seal(export: Export, number: int, rows: list[list[str]]) -> bytes:
    """`rows` for that slice."""
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(json.dumps(rows, ensure_ascii=False).encode())
    return keyring(export.enterprise_id).seal(Purpose.BULK, packed, _place(export, number))


def unseal(export: Export, number: int, sealed: bytes) -> list[list[str]]:
    """The rows of a slice. Raises CannotOpen, also if it belongs to another place."""
    packed = keyring(export.enterprise_id).open(sealed, _place(export, number))
    rows: list[list[str]] = json.loads(zstandard.ZstdDecompressor().decompress(packed))
    return rows


def _place(export: Export, number: int) -> bytes:
    return envelope.place("tokens.ExportSlice", "sealed", export.enterprise_id, export.pk, number)
