"""Skeletons are compressed by the app, so that PostgreSQL stores them as they come (EXTERNAL)."""

import threading

import zstandard

from tokens.payload.errors import DamagedPayload

# Measured on bodies of 500 items, mostly random ids and tokens: higher levels take longer and save little.
_LEVEL = 1

MAX_SKELETON = 64 * 1024 * 1024
"""Bytes; what unpacks to more was not written by us."""


class _Coders(threading.local):
    """A zstd context is costly to make and may not be shared between threads."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_coders = _Coders()


def compress(skeleton: bytes) -> bytes:
    """One zstd frame that states its content size."""
    return _coders.compress(skeleton)


def decompress(stored: bytes, *, limit: int = MAX_SKELETON) -> bytes:
    """Undo `compress`; raises DamagedPayload for anything else and for more than `limit` bytes."""
    try:
        # The decompressor trusts the size that a frame states and would allocate it: ask first.
        stated = zstandard.get_frame_parameters(stored).content_size
        if stated <= limit:
            return _coders.decompress(stored, max_output_size=stated, allow_extra_data=False)
    except zstandard.ZstdError:
        raise DamagedPayload("a skeleton that does not unpack") from None
    raise DamagedPayload(f"a skeleton that states no size, or more than {limit} bytes")
