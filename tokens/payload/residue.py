"""The residue of a log entry: bytes that are clear but belong to no mapping and no attribute set."""

import msgspec

from tokens.payload.errors import DamagedPayload

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[bytes])


class Residue:
    """Collects the residue of one log entry, of its request and its answer together.

    The caller seals `encode()` under the day key. Equal bytes share a slot, so a request id that
    the answer echoes is stored once.
    """

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, raw: bytes) -> int:
        """Keep these bytes and return their slot."""
        return self._slots.setdefault(raw, len(self._slots))

    def encode(self) -> bytes:
        """The slots as one MessagePack array of byte strings."""
        return _encoder.encode(list(self._slots))

    @staticmethod
    def decode(encoded: bytes) -> list[bytes]:
        """The slots of `encode()`; raises DamagedPayload when these bytes are something else."""
        try:
            return _decoder.decode(encoded)
        except msgspec.DecodeError:
            raise DamagedPayload("residue") from None
