"""The Ed25519 key of the log, which signs checkpoints and is never in the database.

Keys are written as Go's signed notes write them: `PRIVATE+KEY+<name>+<hash>+<base64>` and `<name>+<hash>+<base64>`,
where the base64 is of one byte of algorithm (1) and 32 bytes of seed or public key. The name is the log's origin.
"""

import base64
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.seals import notes
from audit.seals.errors import SealError, SignatureWrong, SigningKeyMalformed, SigningKeyMissing
from audit.seals.notes import Head

ED25519: Final = b"\x01"
_PRIVATE: Final = re.compile(r"PRIVATE\+KEY\+([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")
_PUBLIC: Final = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half, as it is given to whoever verifies."""

    name: str
    public: bytes

    @property
    def hash(self) -> bytes:
        """The first four bytes of SHA-256(name || newline || algorithm || key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Reads what `str` wrote. Raises SigningKeyMalformed."""
        name, said, key = _parts(_PUBLIC, text)
        found = cls(name, key)
        if found.hash.hex() != said:
            raise SigningKeyMalformed("The verifier key does not match the hash that stands in it.")
        return found

    def open(self, note: str) -> Head:
        """What a note says, once its signature is verified. Raises NoteMalformed or SignatureWrong."""
        head, signatures = notes.parse(note)
        if head.origin != self.name:
            raise SignatureWrong(f"The checkpoint is of the log {head.origin}, and the key of {self.name}.")
        body, ours = (
            head.body().encode(),
            [signature for name, signature in signatures if name == self.name and signature[:4] == self.hash],
        )
        if not ours:
            raise SignatureWrong
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(ours[0][4:], body)
        except InvalidSignature:
            raise SignatureWrong from None
        return head

    def signed(self, statement: str, signature: str) -> bool:
        """Whether `signature` is one that `SigningKey.sign_statement` made over `statement`."""
        try:
            raw = base64.b64decode(signature, validate=True)
            Ed25519PublicKey.from_public_bytes(self.public).verify(raw[4:], statement.encode())
        except (InvalidSignature, ValueError):
            return False
        return raw[:4] == self.hash


class SigningKey:
    """The private half."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._private, self._seed = Ed25519PrivateKey.from_private_bytes(seed), seed
        self.verifier = VerifierKey(name, self._private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"<SigningKey {self.verifier.name}>"

    @classmethod
    def make(cls, origin: str) -> "SigningKey":
        """A fresh key of the log `origin`: a name like a URL without scheme, no blanks and no plus sign."""
        if not origin or re.search(r"[\s+]", origin):
            raise SigningKeyMalformed("The name of a log has neither blanks nor plus signs.")
        return cls(origin, secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Reads the text form. Raises SigningKeyMalformed, which never holds the text."""
        name, said, seed = _parts(_PRIVATE, text)
        found = cls(name, seed)
        if found.verifier.hash.hex() != said:
            raise SigningKeyMalformed("The signing key does not match the hash that stands in it.")
        return found

    def text(self) -> str:
        """The text form, for a file of mode 0600."""
        name, seed = self.verifier.name, base64.b64encode(ED25519 + self._seed).decode()
        return f"PRIVATE+KEY+{name}+{self.verifier.hash.hex()}+{seed}"

    def sign(self, head: Head) -> str:
        """The signed note of a checkpoint."""
        return notes.joined(head, self.verifier.hash + self._private.sign(head.body().encode()))

    def sign_statement(self, statement: str) -> str:
        """Base64 of the key's hash and the signature over a text that can't be read as a checkpoint."""
        if statement.split("\n", 2)[1:2] in ([], [""]) or statement.split("\n", 2)[1][0].isdecimal():
            raise ValueError(
                "the second line of a checkpoint is a number: a statement must say something else"
            )
        return base64.b64encode(self.verifier.hash + self._private.sign(statement.encode())).decode()


def load(path: Path) -> SigningKey:
    """The key of a file. Raises SigningKeyMissing or SigningKeyMalformed."""
    try:
        return SigningKey.parse(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        raise SigningKeyMissing(f"There is no signing key at {path}.") from None
    except OSError as error:
        raise SigningKeyMissing(f"The signing key at {path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise SigningKeyMalformed(f"The signing key at {path} is malformed.") from None


def store(key: SigningKey, path: Path) -> None:
    """Write a new key to a file of mode 0600. Raises SealError when there is one: a key is never overwritten."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SealError(f"There is a signing key at {path} already: keep it, or move it away.") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(key.text() + "\n")
        file.flush()
        os.fsync(file.fileno())


def _parts(form: re.Pattern[str], text: str) -> tuple[str, str, bytes]:
    match = form.fullmatch(text.strip())
    raw = b""
    if match:
        try:
            raw = base64.b64decode(match[3], validate=True)
        except ValueError:
            raw = b""
    if match is None or len(raw) != 33 or raw[:1] != ED25519:
        raise SigningKeyMalformed
    return match[1], match[2], raw[1:]
