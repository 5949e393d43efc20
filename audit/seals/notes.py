"""Checkpoints as text: C2SP tlog-checkpoint in a signed note. Signing and verifying are `audit.seals.signing`.

The lines are: origin, size, root in base64, and two of our own (`checkpoint <number>`, `time <RFC 3339>`), so that
neither a checkpoint that is missing nor the time of one can be made up. An empty line and the signature follow.
"""

import base64
import binascii
import datetime
import re
from dataclasses import dataclass
from typing import Final

from audit.seals.errors import NoteMalformed

_BODY: Final = re.compile(
    r"(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]*)\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"checkpoint (?P<number>0|[1-9][0-9]*)\ntime (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)\n"
)
_SIGNATURE: Final = re.compile(r"— (?P<name>[^ \n]+) (?P<signature>[A-Za-z0-9+/]+={0,2})\n")


@dataclass(frozen=True, slots=True)
class Head:
    """What a checkpoint says: the log, the number of its leaves, their root (32 bytes), its own number, its time."""

    origin: str
    size: int
    root: bytes
    number: int
    at: datetime.datetime

    def body(self) -> str:
        """The text that is signed."""
        time = self.at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\ncheckpoint {self.number}\ntime {time}\n"


def joined(head: Head, signature: bytes) -> str:
    """The whole note; `signature` begins with the four bytes of the key's hash."""
    return f"{head.body()}\n— {head.origin} {base64.b64encode(signature).decode()}\n"


def parse(note: str) -> tuple[Head, list[tuple[str, bytes]]]:
    """The head of a note and its signatures (name, bytes), none of them verified. Raises NoteMalformed."""
    body, gap, tail = note.partition("\n\n")
    match = _BODY.fullmatch(body + "\n")
    signatures = _SIGNATURE.findall(tail)
    if not gap or match is None or not signatures or not _SIGNATURE.sub("", tail) == "":
        raise NoteMalformed
    try:
        at = datetime.datetime.strptime(match["time"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.UTC)
        known = [(name, base64.b64decode(text, validate=True)) for name, text in signatures]
    except (ValueError, binascii.Error):
        raise NoteMalformed from None
    root = base64.b64decode(match["root"])
    return Head(match["origin"], int(match["size"]), root, int(match["number"]), at), known
