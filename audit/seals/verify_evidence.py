#!/usr/bin/env python3
"""Verifies a bundle of `manage.py verify_audit --export`: this one file, Python 3.11, nothing else.

    python3 verify_evidence.py BUNDLE --vkey KEY [--checkpoint FILE ...] [--json]

It needs no portal and no database. KEY is the verifier key of the log, from somebody you trust and not from whoever
made the bundle; each FILE is a checkpoint that you kept earlier. docs/evidence.md describes the formats, so that you
can write another. Exit codes: 0 everything is as it was sealed, 8 something is not (each is named), 6 the input is
refused, 2 usage. It is one long file so that it can be read, copied and kept as one.
"""

import argparse
import base64
import bisect
import gzip
import hashlib
import ipaddress
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT, VERSION = "token-portal-evidence", 1
MOST_FINDINGS = 10_000
DROPPED = "retention.partition-dropped"
SIGNED = ("kind", "first", "before", "rows", "kept", "kept_sha256")
NOTE = re.compile(
    r"([^\n]+)\n(0|[1-9][0-9]*)\n([A-Za-z0-9+/]{43}=)\n"
    r"checkpoint (0|[1-9][0-9]*)\ntime (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)\n"
)
SIGNATURE = re.compile(r"— ([^ \n]+) ([A-Za-z0-9+/]+={0,2})\n")


class Refused(Exception):
    """The input cannot be verified at all; the message says what is wrong with it."""


# --- Ed25519 (RFC 8032), for machines without the package `cryptography` ----------------------------------------
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int, int, int]


def _add(a: Point, b: Point) -> Point:
    one, two = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    three, four = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = two - one, four - three, four + three, two + one
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(factor: int, point: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            total = _add(total, point)
        point, factor = _add(point, point), factor >> 1
    return total


def _decoded(text: bytes) -> Point | None:
    y = int.from_bytes(text, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def _same(a: Point, b: Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def verify_in_python(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` is that of `public` over `message`."""
    base = _decoded((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    key, point = _decoded(public), _decoded(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if (
        len(signature) != 64
        or len(public) != 32
        or base is None
        or key is None
        or point is None
        or scalar >= Q
    ):
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % Q
    return _same(_times(scalar, base), _add(point, _times(challenge, key)))


def verify_signature(public: bytes, signature: bytes, message: bytes) -> bool:
    """The same, by the package `cryptography` where there is one: a thousand times faster."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return verify_in_python(public, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# --- keys and checkpoints ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Key:
    """A verifier key: name of the log, hash, 32 bytes."""

    name: str
    hash: bytes
    public: bytes


def parse_key(text: str) -> Key:
    """Reads `<name>+<hash>+<base64>`. Raises Refused."""
    name, _, rest = text.strip().partition("+")
    said, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 33 or raw[0] != 1 or hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8] != said:
        raise Refused("the verifier key is malformed: it reads <name>+<8 hex digits>+<base64 of 33 bytes>")
    return Key(name, bytes.fromhex(said), raw[1:])


@dataclass(frozen=True)
class Checkpoint:
    """What a note says."""

    origin: str
    size: int
    root: bytes
    number: int
    time: str
    note: str


def open_note(note: str, keys: list[Key]) -> Checkpoint:
    """A checkpoint, once a signature of one of `keys` over it is verified. Raises Refused."""
    body, gap, tail = note.partition("\n\n")
    match, signatures = NOTE.fullmatch(body + "\n"), SIGNATURE.findall(tail)
    if match is None or not gap or not signatures or SIGNATURE.sub("", tail):
        raise Refused("it is not a checkpoint in the form of a signed note")
    origin, size, root, number, time = match.groups()
    if origin not in {key.name for key in keys}:
        raise Refused(f"it is a checkpoint of another log: {origin}, and not {keys[0].name}")
    for name, encoded in signatures:
        signature = base64.b64decode(encoded + "==")
        for key in keys:
            ours = name == key.name == origin and signature[:4] == key.hash
            if ours and verify_signature(key.public, signature[4:], (body + "\n").encode()):
                return Checkpoint(origin, int(size), base64.b64decode(root), int(number), time, note)
    raise Refused("it bears no valid signature of the key of this log")


# --- the tree of RFC 6962 ------------------------------------------------------------------------------------------
def leaf_hash(header: bytes) -> bytes:
    """SHA-256(0x00 || header)."""
    return hashlib.sha256(b"\0" + header).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(peaks: list[bytes]) -> bytes:
    """The root above complete subtrees of falling size, left to right."""
    root = peaks[-1] if peaks else hashlib.sha256().digest()
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root_of_proof(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to; None when it has the wrong length."""
    place, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if place & 1 or place == last:
            root = node_hash(sibling, root)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        place, last = place >> 1, last >> 1
    return root if last == 0 and index < size else None


# --- headers -----------------------------------------------------------------------------------------------------
def text_bytes(text: str) -> bytes:
    """A header as bytes: what was not UTF-8 travels as lone surrogates."""
    return text.encode("utf-8", "surrogateescape")


def same(one: Any, other: Any, key: str = "") -> bool:
    """Whether two JSON values mean the same: 1e5 is 100000, but true is not 1; addresses by their value."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if key == "address" and isinstance(one, str) and isinstance(other, str) and one != other:
        try:
            return ipaddress.ip_address(one) == ipaddress.ip_address(other)
        except ValueError:
            return False
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def names(header: str, record: dict[str, Any]) -> bool:
    """Whether a header plainly is that of this record, without parsing it: each key stands in it once."""
    return (
        header.count('"id":"') == 1
        and f'"id":"{record["id"]}"' in header
        and header.count('"kind":"') == 1
        and f'"kind":"{record["kind"]}"' in header
    )


def parsed(text: str) -> dict[str, Any]:
    """A header as an object; empty when it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def differing(written: str, made: str) -> list[str]:
    """The keys under which what was written and what the columns say now disagree."""
    before, now = parsed(written), parsed(made)
    if not before:
        return ["header"]
    try:
        return [
            key for key in sorted(before.keys() | now.keys()) if not same(before.get(key), now.get(key), key)
        ]
    except RecursionError:
        return ["header"]


# --- verifying -------------------------------------------------------------------------------------------------------
@dataclass
class Finding:
    """Something that is not as it was sealed: one entry, or the leaves [first, end), or a checkpoint."""

    what: str
    says: str
    index: int | None = None
    kind: str | None = None
    id: str | None = None
    fields: list[str] = field(default_factory=list)
    first: int | None = None
    end: int | None = None
    checkpoint: int | None = None


@dataclass
class Report:
    """What was verified, and what was found."""

    origin: str = ""
    size: int = 0
    rows: int = 0  # whose columns and bodies agree with their leaf
    headers: int = 0  # whose header alone was asked for, and agrees
    checkpoints: int = 0
    proven: int = 0  # leaves under a valid signature
    newest: str = ""
    waiting: int = 0
    findings: list[Finding] = field(default_factory=list)
    found: int = 0  # of which `findings` are the first ten thousand
    gaps: list[dict[str, Any]] = field(default_factory=list)  # acts that dropped rows lawfully
    held: int = 0  # of the rows: copies that such an act kept, with their proof
    remarks: list[str] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Keep a finding."""
        self.found += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)


@dataclass
class Span:
    """Rows [first, before) of a kind that acts of retention dropped, but for some that were kept."""

    kind: str
    first: str
    before: str
    acts: dict[str, dict[str, Any]] = field(default_factory=dict)  # by event: what its signature covers
    missing: int = 0
    present: int = 0
    digest: Any = field(default_factory=hashlib.sha256)  # over the leaf hashes of rows that are there

    @property
    def newest(self) -> str:
        """The last act: what it kept should be there."""
        return max(self.acts)


class Verifier:
    """Takes the records of a bundle in their order; `finish` tells what was found. Raises Refused."""

    def __init__(self, keys: list[Key], trusted: list[Checkpoint] | None = None) -> None:
        self.keys, self.trusted, self.report = keys, list(trusted or []), Report()
        self.next, self.peaks = 0, list[bytes]()
        self.is_lost = False  # a leaf is missing, so that the tree is unknown until the next checkpoint
        self.taken, self.ended, self.mode = {"leaf": 0, "checkpoint": 0, "entry": 0}, False, ""
        self.last: Checkpoint | None = None
        self.roots: dict[int, bytes] = {}
        self.notes: dict[int, str] = {}
        self.watched: set[int] = set()
        self.spans: dict[str, list[Span]] = {}  # by kind, in order
        self.is_part = False  # the log is verified from a checkpoint on
        self.proof_notes: dict[str, Checkpoint] = {}
        self.acts: dict[str, dict[str, Any]] = {}
        self.takers: dict[Any, Callable[[dict[str, Any]], None]] = {
            "leaf": self._leaf,
            "checkpoint": self._checkpoint,
            "start": self._start,
            "gap": self._gap,
            "stray": self._stray,
            "entry": self._entry,
            "end": self._end,
        }

    def take(self, record: dict[str, Any]) -> None:
        """One record."""
        kind = record.get("type")
        if not self.mode:
            self._begin(record)
        elif self.ended or kind not in self.takers:
            raise Refused(f"a record of the type {kind!r} stands where none can")
        else:
            try:
                self.takers[kind](record)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise Refused(
                    f"a record of the type {kind} is malformed ({type(error).__name__}: {error})"
                ) from None

    def finish(self) -> Report:
        """The report, once the last record was taken."""
        if not self.ended:
            raise Refused("the file is cut off: its last line must be the record of the type end")
        report = self.report
        report.size = self.next
        self._finish_gaps()
        if self.mode == "log":
            self._finish_trusted()
            covered = self.last.size if self.last else 0
            if covered < self.next:
                self._range("unsigned", covered, self.next, "no checkpoint covers them")
        return report

    def _begin(self, record: dict[str, Any]) -> None:
        if record.get("type") != "bundle" or record.get("format") != FORMAT:
            raise Refused(f"this is no bundle: its first line does not say that its format is {FORMAT}")
        if record.get("version") != VERSION:
            raise Refused(
                f"the format has version {record.get('version')!r}, and this verifier knows {VERSION}"
            )
        if record.get("mode") not in {"log", "entry"}:
            raise Refused(f"the mode of the bundle is {record.get('mode')!r}, and not log or entry")
        if record.get("origin") != self.keys[0].name:
            raise Refused(
                f"the bundle is of the log {record.get('origin')!r}, and the key of {self.keys[0].name}"
            )
        if parse_key(str(record.get("vkey"))) not in self.keys:
            raise Refused("the bundle was made with another key than the one that you trust")
        self.mode, self.report.origin = record["mode"], self.keys[0].name
        self.report.waiting = int(record.get("waiting") or 0)
        if record.get("head"):
            try:
                self.trusted.append(open_note(record["head"], self.keys))
            except Refused as error:
                self.report.add(Finding("head", f"The head that was kept outside the database: {error}"))
        self.watched = {one.size for one in self.trusted}
        if self.mode == "log" and not self.trusted:
            self.report.remarks.append(
                "No checkpoint from outside was given: a log whose end was cut looks whole."
            )

    def _start(self, record: dict[str, Any]) -> None:
        """From where a part of a log is verified: a signed checkpoint and the peaks that lead to its root."""
        begun = open_note(record["note"], self.keys)
        peaks = [bytes.fromhex(peak) for peak in record["peaks"]]
        if len(peaks) != begun.size.bit_count() or fold(peaks) != begun.root:
            raise Refused(
                f"what stands before leaf #{begun.size} does not lead to the root of its checkpoint"
            )
        self.next, self.peaks, self.last = begun.size, peaks, begun
        self.report.proven = begun.size
        self.is_part = True
        self._note_root()

    def _leaf(self, record: dict[str, Any]) -> None:
        index, leaf, nodes = record["index"], bytes.fromhex(record["leaf"]), bytes.fromhex(record["nodes"])
        self.taken["leaf"] += 1
        if index != self.next:
            self._skipped(index)
        self._row(record, leaf)
        self._grow(leaf, [nodes[at : at + 32] for at in range(0, len(nodes), 32)])

    def _skipped(self, index: int) -> None:
        if index > self.next:
            self._range("missing", self.next, index, "the leaves are gone")
        else:
            self.report.add(Finding("leaf", f"Leaf #{index} stands out of its order.", index=index))
        self.next, self.is_lost = index, True

    def _grow(self, leaf: bytes, stored: list[bytes]) -> None:
        """Append to the tree. Subtrees that are stored beside the leaves tell where a changed one stands."""
        index, rest, top, made = self.next, self.next, leaf, list[bytes]()
        self.next += 1
        if self.is_lost:
            return
        while rest & 1:
            top, rest = node_hash(self.peaks.pop(), top), rest >> 1
            made.append(top)
        self.peaks.append(top)
        if made != stored:
            level = next(
                (n for n, pair in enumerate(zip(made, stored, strict=False), 1) if pair[0] != pair[1]), 0
            )
            if level and len(made) == len(stored):
                # Go on with what is stored: if that leads to the signed root, nothing but this place is wrong.
                self.peaks[-1] = stored[-1]
                self._range(
                    "tree", index + 1 - (1 << level), index + 1, "a leaf, or the subtree above, was changed"
                )
            else:
                says = f"What is stored with leaf #{index} does not belong to this place."
                self.report.add(Finding("tree", says, index=index, first=index, end=index + 1))
        self._note_root()

    def _note_root(self) -> None:
        if self.next in self.watched:
            self.roots[self.next] = fold(self.peaks)

    def _row(self, record: dict[str, Any], leaf: bytes) -> None:
        """Whether the row of a leaf says what the leaf says."""
        row, header = record.get("row"), record.get("header", record.get("row"))
        span = self._span(record["kind"], record["id"])
        if header is None:
            self._missing_row(record, span)
            return
        if span is not None:
            span.present += 1
            span.digest.update(leaf)
        is_untouched = (row is None or row == header) and "row_leaf" not in record
        if not (is_untouched and leaf_hash(text_bytes(header)) == leaf and names(header, record)):
            fields = self._fields(record, row, header, leaf)
            if fields:
                place = {name: record[name] for name in ("index", "kind", "id")}
                which = f"{record['kind']} {record['id']} (#{record['index']})"
                said = f"{which} is not what was written: {', '.join(fields)}."
                self.report.add(Finding("edited", said, fields=fields, **place))
                return
        if row is None:
            self.report.headers += 1
        else:
            self.report.rows += 1
        if "held" in record:
            self._held(record, leaf)
        if DROPPED in header and parsed(header).get("action") == DROPPED:
            self.acts[record["id"]] = parsed(header)

    def _fields(self, record: dict[str, Any], row: str | None, header: str, leaf: bytes) -> list[str]:
        """What differs between a leaf, the header that is stored, and what the columns say now."""
        fields = differing(header, row) if row is not None and row != header else []
        if leaf_hash(text_bytes(header)) != leaf:
            # The columns may be what was written, while the header beside them is not.
            restored = row is not None and leaf_hash(text_bytes(row)) == leaf
            fields = ["header", *(name for name in fields if name != "header" and not restored)]
        if "row_leaf" in record:
            fields.append("leaf_hash")
        facts = parsed(header)
        if "header" not in fields and (facts.get("id"), facts.get("kind")) != (record["id"], record["kind"]):
            fields.append("id")
        return fields

    def _span(self, kind: str, entry_id: str) -> Span | None:
        """The span of a row whose month was dropped."""
        spans = self.spans.get(kind)
        if not spans:
            return None
        place = bisect.bisect_right(spans, entry_id, key=lambda one: one.first) - 1
        return spans[place] if place >= 0 and entry_id < spans[place].before else None

    def _missing_row(self, record: dict[str, Any], span: Span | None) -> None:
        if span is not None:
            span.missing += 1
        place = {name: record[name] for name in ("index", "kind", "id")}
        which = f"{record['kind']} {record['id']} (#{record['index']})"
        if span is None:
            self.report.add(
                Finding("deleted", f"{which} is gone: its leaf is there, its row is not.", **place)
            )
        elif record.get("held", {}).get("event") == span.newest:
            says = f"{which} is gone: the act {span.newest} kept a copy of it, and that is not there."
            self.report.add(Finding("deleted", says, **place))

    def _held(self, record: dict[str, Any], leaf: bytes) -> None:
        """A copy that an act kept: its bytes were compared with the leaf as those of any row; here its own proof is."""
        proof, note = bytes.fromhex(record["held"]["proof"]), record["held"]["note"]
        self.report.held += 1
        try:
            said = self.proof_notes.get(note) or open_note(note, self.keys)
        except Refused:
            said = None
        steps = [proof[at : at + 32] for at in range(0, len(proof), 32)]
        if said is not None:
            self.proof_notes[note] = said
            if root_of_proof(leaf, record["index"], said.size, steps) == said.root:
                return
        place = {name: record[name] for name in ("index", "kind", "id")}
        which = f"{record['kind']} {record['id']}"
        text = f"The proof that was kept with the copy of {which} does not lead to a signed root."
        self.report.add(Finding("proof", text, **place))

    def _checkpoint(self, record: dict[str, Any]) -> None:
        self.taken["checkpoint"] += 1
        number = record["number"]
        try:
            said = open_note(record["note"], self.keys)
        except Refused as error:
            self.report.add(Finding("checkpoint", f"Checkpoint {number}: {error}.", checkpoint=number))
            return
        columns = (record["number"], record["size"], record["root"], record["at"])
        if columns != (said.number, said.size, said.root.hex(), said.time):
            what = f"Checkpoint {number}: its row is not what was signed."
            self.report.add(Finding("checkpoint", what, checkpoint=number))
        self._in_order(said)
        self.report.checkpoints += 1
        self.notes[said.number] = said.note if any(one.number == said.number for one in self.trusted) else ""
        self._meets_root(said, [bytes.fromhex(peak) for peak in record["peaks"]])

    def _in_order(self, said: Checkpoint) -> None:
        before, self.last = self.last, said
        expected = before.number + 1 if before else 0
        if said.number > expected:
            is_one = said.number == expected + 1
            gone = (
                f"Checkpoint {expected} is" if is_one else f"Checkpoints {expected} to {said.number - 1} are"
            )
            self.report.add(Finding("checkpoint", f"{gone} gone.", checkpoint=expected))
        elif said.number < expected or (before and (said.time < before.time or said.size < before.size)):
            odd = f"Checkpoint {said.number} does not follow the one before it."
            self.report.add(Finding("checkpoint", odd, checkpoint=said.number))

    def _meets_root(self, said: Checkpoint, peaks: list[bytes]) -> None:
        if said.size > self.next:
            self._range(
                "missing", self.next, said.size, f"checkpoint {said.number} covers them, and they are gone"
            )
        elif not self.is_lost and fold(self.peaks) == said.root:
            self.report.proven, self.report.newest = said.size, said.time
            return
        elif not self.is_lost:
            why = f"they do not lead to the root of checkpoint {said.number}: one of them was changed, or their order"
            self._range("tree", self.report.proven, said.size, why)
        # What the signature covers is known again from here on, if the stored subtrees lead to its root.
        if len(peaks) == said.size.bit_count() and fold(peaks) == said.root:
            self.next, self.peaks, self.is_lost = said.size, peaks, False
            self.report.proven, self.report.newest = said.size, said.time
            self._note_root()
        else:
            self.is_lost = True

    def _gap(self, record: dict[str, Any]) -> None:
        """What an event says that retention dropped: it counts if the key of this log signed it."""
        said = {name: str(record.get(name)) for name in ("event", *SIGNED, "signature")}
        if not said["rows"].isdecimal() or not said["kept"].isdecimal() or not self._signed(said):
            self.report.remarks.append(
                f"The event {said['event']} says that rows were dropped. The key of this log did not sign that, so it "
                "excuses nothing."
            )
            return
        spans = self.spans.setdefault(said["kind"], [])
        place = bisect.bisect_left(spans, said["first"], key=lambda one: one.first)
        if place == len(spans) or spans[place].first != said["first"]:
            spans.insert(place, Span(said["kind"], said["first"], said["before"]))
        spans[place].acts[said["event"]] = said

    def _signed(self, said: dict[str, str]) -> bool:
        try:
            raw = base64.b64decode(said["signature"], validate=True)
        except ValueError:
            return False
        for key in self.keys:
            text = (
                f"{key.name}\n{DROPPED}\n{said['kind']} {said['first']} {said['before']}\n"
                f"rows {said['rows']}\nkept {said['kept']} {said['kept_sha256']}\n"
            )
            if raw[:4] == key.hash and verify_signature(key.public, raw[4:], text.encode()):
                return True
        return False

    def _stray(self, record: dict[str, Any]) -> None:
        said = f"{record['kind']} {record['id']} was never sealed and does not wait for it: it was inserted."
        self.report.add(Finding("inserted", said, kind=record["kind"], id=record["id"]))

    def _entry(self, record: dict[str, Any]) -> None:
        """One entry with its inclusion proof."""
        self.taken["entry"] += 1
        try:
            said = open_note(record["note"], self.keys)
        except Refused as error:
            raise Refused(f"the checkpoint of the proof: {error}") from None
        index, leaf = record["index"], bytes.fromhex(record["leaf"])
        self._row(record, leaf)
        root = root_of_proof(leaf, index, said.size, [bytes.fromhex(one) for one in record["proof"]])
        if root != said.root:
            why = "has the wrong length for this place" if root is None else f"leads to the root {root.hex()}"
            text = f"The inclusion proof of #{index} {why}; checkpoint {said.number} has the root {said.root.hex()}."
            self.report.add(Finding("proof", text, index=index, kind=record["kind"], id=record["id"]))
        else:
            self.report.proven, self.report.newest = said.size, said.time
        self.last, self.next = said, said.size

    def _end(self, record: dict[str, Any]) -> None:
        for kind, said in (("leaf", record["leaves"]), ("checkpoint", record["checkpoints"])):
            if said != self.taken[kind]:
                raise Refused(
                    f"the bundle says that it has {said} records of the type {kind}: {self.taken[kind]} are there"
                )
        self.ended = True

    def _finish_trusted(self) -> None:
        for one in self.trusted:
            name = f"Checkpoint {one.number} of {one.time}, kept outside the database,"
            if one.size > self.next:
                self._range("cut", self.next, one.size, f"{name} covers them: the end of the log is gone")
            elif one.size in self.roots and self.roots[one.size] != one.root:
                self._range("fork", 0, one.size, f"{name} has another root over them: the log was rewritten")
            elif one.size not in self.roots and self.is_lost:
                self._range("fork", 0, one.size, f"{name} cannot be compared: the tree is unknown there")
            elif self.last is None or one.number > self.last.number:
                self.report.add(Finding("cut", f"{name} is not in the log.", checkpoint=one.number))
            elif self.notes.get(one.number, one.note) not in {one.note, ""}:
                self.report.add(Finding("fork", f"{name} is another one in the log.", checkpoint=one.number))

    def _finish_gaps(self) -> None:
        for span in (one for spans in self.spans.values() for one in spans):
            if self.mode == "log" and not self.is_part:
                is_lawful = self._is_exactly(span)
            else:
                # Not every leaf of the span was seen, so that nothing can be counted.
                is_lawful = span.missing <= sum(int(act["rows"]) for act in self._sealed_acts(span))
            if is_lawful:
                self.report.gaps += [
                    {name: act[name] for name in ("event", "kind", "first", "before")}
                    | {"missing": int(act["rows"]), "kept": int(act["kept"])}
                    for act in self._sealed_acts(span)
                ]
            else:
                says = (
                    f"{span.missing} rows of the kind {span.kind} from {span.first} on are gone and {span.present} are "
                    f"there, and no sealed act dropped and kept exactly these: {span.newest} is not one."
                )
                self.report.add(Finding("deleted", says, kind=span.kind, id=span.newest))

    def _sealed_acts(self, span: Span) -> list[dict[str, Any]]:
        """The acts of a span whose event is sealed and says what the signature covers."""
        return [
            act
            for event, act in sorted(span.acts.items())
            if isinstance(details := self.acts.get(event, {}).get("details"), dict)
            and all(str(details.get(name)) == act[name] for name in (*SIGNED, "signature"))
        ]

    def _is_exactly(self, span: Span) -> bool:
        """Whether as many rows are gone as the acts dropped, and exactly those are left that the last one kept."""
        sealed = self._sealed_acts(span)
        if len(sealed) != len(span.acts) or span.missing != sum(int(act["rows"]) for act in sealed):
            return False
        last = span.acts[span.newest]
        return (str(span.present), span.digest.hexdigest()) == (last["kept"], last["kept_sha256"])

    def _range(self, what: str, first: int, end: int, why: str) -> None:
        leaves = f"Leaf #{first}" if end == first + 1 else f"Leaves #{first} to #{end - 1}"
        self.report.add(Finding(what, f"{leaves}: {why}.", first=first, end=end))


# --- the command ------------------------------------------------------------------------------------------------------
def records(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a bundle, plain or gzip. Raises Refused."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8") as lines
        ):
            for number, line in enumerate(lines, 1):
                try:
                    record = json.loads(line)
                except ValueError:
                    cut = " (the file is cut off there)" if not line.endswith("\n") else ""
                    raise Refused(f"line {number} is not JSON{cut}") from None
                if not isinstance(record, dict):
                    raise Refused(f"line {number} is not a JSON object")
                yield record
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise Refused(f"the file cannot be read ({error})") from None


def verify(path: Path, keys: list[Key], kept: list[Path]) -> Report:
    """The report on a bundle. Raises Refused."""
    trusted = []
    for one in kept:
        try:
            trusted.append(open_note(one.read_text(encoding="utf-8"), keys))
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"the checkpoint in {one} cannot be read ({error})") from None
        except Refused as error:
            raise Refused(f"the checkpoint in {one}: {error}") from None
    verifier = Verifier(keys, trusted)
    for record in records(path):
        verifier.take(record)
    return verifier.finish()


def in_words(report: Report) -> str:
    """What people read."""
    lines = [finding.says for finding in report.findings]
    if report.found > len(lines):
        lines.append(f"… and {report.found - len(lines)} more.")
    lines += [
        f"{gap['missing']:,} rows ({gap['kind']}) were dropped by the act {gap['event']}, which kept {gap['kept']:,}."
        for gap in report.gaps
    ]
    if report.held:
        lines.append(
            f"{report.held:,} copies that retention kept are as they were sealed, with their proofs."
        )
    lines += report.remarks
    agree = f"{report.rows:,} rows" + (f" and {report.headers:,} headers" if report.headers else "")
    lines.append(
        f"{report.origin}: {report.size:,} leaves, {report.proven:,} of them under a valid signature (the newest of "
        f"{report.newest or 'never'}); {agree} agree with their leaves; {report.waiting:,} wait for their seal."
    )
    lines.append(
        "MISMATCH: this is not what was sealed." if report.found else "Everything is as it was sealed."
    )
    return "\n".join(lines)


def main() -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument(
        "--vkey", action="append", required=True, help="verifier key; again for a key used earlier"
    )
    parser.add_argument(
        "--checkpoint", action="append", type=Path, default=[], help="one that you kept earlier"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    try:
        report = verify(options.bundle, [parse_key(text) for text in options.vkey], options.checkpoint)
    except Refused as error:
        print(f"{options.bundle}: refused: {error}.", file=sys.stderr)
        return 6
    print(json.dumps(asdict(report), ensure_ascii=False) if options.json else in_words(report))
    return 8 if report.found else 0


if __name__ == "__main__":
    sys.exit(main())
