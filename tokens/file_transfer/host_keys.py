"""Host keys as people compare and pin them: the line of OpenSSH, and the fingerprint that `ssh-keygen -l` shows."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import Final

from tokens.file_transfer.errors import BadHostKey

# By kind: the signature algorithms with which a server proves that it has the key. SHA-1 is none of them.
ALGORITHMS: Final[dict[str, tuple[str, ...]]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
_LONGEST: Final = 5_000


@dataclass(frozen=True, slots=True)
class HostKey:
    """The public key of a server. `blob` is its wire form, which names the kind once more."""

    kind: str
    blob: bytes = field(repr=False)

    @property
    def line(self) -> str:
        """`ssh-ed25519 AAAA…`"""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as OpenSSH writes it."""
        return f"SHA256:{base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip('=')}"

    @classmethod
    def parse(cls, text: str) -> "HostKey":
        """Of a line of known_hosts or of a .pub file. Raises BadHostKey."""
        words = text[:_LONGEST].split()
        places = [place for place, word in enumerate(words[:-1]) if word in ALGORITHMS]
        if not places or len(text.strip().splitlines()) != 1 or words[0] == "@revoked":
            raise BadHostKey
        kind, encoded = words[places[0]], words[places[0] + 1]
        try:
            blob = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise BadHostKey from None
        named = len(kind).to_bytes(4, "big") + kind.encode()
        if not blob.startswith(named) or len(blob) < len(named) + 32:
            raise BadHostKey("it is cut off")
        return cls(kind, blob)
