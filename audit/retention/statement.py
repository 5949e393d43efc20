"""What the log's key signs of an act of retention: so a gap is lawful only when the maintenance process made it.

Whoever may write events could say that rows were dropped; the key is not in the database (docs/evidence.md).
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from audit.seals.signing import SigningKey, VerifierKey

NAMES: Final = ("kind", "first", "before", "rows", "kept", "kept_sha256", "signature")


@dataclass(frozen=True, slots=True)
class Statement:
    """How many rows of [first, before) an act dropped, and which are left: SHA-256 over their leaf hashes, by index."""

    kind: str
    first: str
    before: str
    rows: int
    kept: int
    kept_sha256: str

    def text(self, origin: str) -> str:
        """What is signed."""
        return (
            f"{origin}\nretention.partition-dropped\n{self.kind} {self.first} {self.before}\n"
            f"rows {self.rows}\nkept {self.kept} {self.kept_sha256}\n"
        )

    def signed_with(self, key: SigningKey) -> dict[str, Any]:
        """The details of the event: what it says, and the signature over it."""
        facts: dict[str, Any] = {name: getattr(self, name) for name in NAMES[:-1]}
        return facts | {"signature": key.sign_statement(self.text(key.verifier.name))}


def read(details: dict[str, Any], key: VerifierKey) -> Statement | None:
    """The statement in the details of an event; None when it is not one that the key signed."""
    try:
        said = Statement(
            str(details["kind"]), str(details["first"]), str(details["before"]), int(details["rows"]),
            int(details["kept"]), str(details["kept_sha256"]),
        )  # fmt: skip
        is_signed = key.signed(said.text(key.name), str(details["signature"]))
    except (KeyError, TypeError, ValueError):
        return None
    return said if is_signed else None


def digest_of(leaves: Iterable[bytes]) -> tuple[int, str]:
    """How many leaf hashes there are, and the SHA-256 over them."""
    count, digest = 0, hashlib.sha256()
    for leaf in leaves:
        digest.update(leaf)
        count += 1
    return count, digest.hexdigest()


def of_header(header: bytes, key: VerifierKey) -> Statement | None:
    """The statement of an event by its stored header; None when it is not one that the key signed."""
    try:
        details = json.loads(header)["details"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return read(details, key) if isinstance(details, dict) else None
