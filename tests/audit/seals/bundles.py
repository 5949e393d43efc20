"""Bundles made without a database, and a second verifier, written from docs/evidence.md alone."""

import base64
import datetime
import hashlib
import json
import random
import uuid
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit import headers
from audit.seals import merkle
from audit.seals.notes import Head
from audit.seals.signing import SigningKey

KEY = SigningKey("tests.example/log", bytes(range(32)))
START = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


def a_bundle(size: int, *, every: int = 3, seed: int = 1, head: bool = True) -> list[dict[str, Any]]:
    """A clean log of `size` leaves with a checkpoint over each `every` of them."""
    draw, tree, records = random.Random(seed), merkle.CompactRange(), list[dict[str, Any]]()
    note, checkpoints = "", 0
    for index in range(size):
        entry = str(uuid.UUID(int=draw.getrandbits(128)))
        facts = {"id": entry, "n": index, "text": "“é”😀", "address": "2001:db8::1", "other": "2001:db8::1",
                 "more": {"a": {"b": [1, 2]}}, "list": [1, [2, 3]]}  # fmt: skip
        row = headers.canonical("payload", facts).decode()
        leaf = headers.leaf_hash(row.encode())
        nodes = b"".join(tree.append(leaf)).hex()
        records.append({"type": "leaf", "index": index, "kind": "payload", "id": entry, "leaf": leaf.hex(),
                        "nodes": nodes, "row": row})  # fmt: skip
        if tree.size % every == 0 or tree.size == size:
            at = START + datetime.timedelta(seconds=checkpoints)
            said = Head(KEY.verifier.name, tree.size, tree.root(), checkpoints, at)
            note = KEY.sign(said)
            records.append({"type": "checkpoint", "number": checkpoints, "size": tree.size, "root": said.root.hex(),
                            "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "note": note,
                            "peaks": [peak.hex() for peak in tree.peaks]})  # fmt: skip
            checkpoints += 1
    first = {"type": "bundle", "format": "token-portal-evidence", "version": 1, "mode": "log", "waiting": 0,
             "origin": KEY.verifier.name, "vkey": str(KEY.verifier), "head": note if head else None}  # fmt: skip
    return [first, *records, {"type": "end", "leaves": size, "checkpoints": checkpoints}]


def an_entry_bundle(size: int, index: int) -> list[dict[str, Any]]:
    """One entry of such a log, with its inclusion proof."""
    whole = a_bundle(size)
    leaves = [record for record in whole if record["type"] == "leaf"]
    hashes = [bytes.fromhex(record["leaf"]) for record in leaves]

    def read(subtree: merkle.Subtree) -> bytes:
        level, number = subtree
        return merkle.root_of(hashes[number << level : (number + 1) << level])

    proof = [one.hex() for one in merkle.hashes_of(merkle.inclusion_ranges(index, size), read)]
    entry = leaves[index] | {"type": "entry", "proof": proof, "note": whole[0]["head"]}
    return [whole[0] | {"mode": "entry"}, entry, {"type": "end", "leaves": 0, "checkpoints": 0}]


def as_lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


# --- the second verifier: slow, recursive, and shares nothing with the first ------------------------------------
def is_clean(lines: str, vkey: str) -> bool:
    """Whether a whole log is what was sealed; nothing is named."""
    records = [json.loads(line) for line in lines.splitlines()]
    leaves = [record for record in records if record["type"] == "leaf"]
    hashes = [bytes.fromhex(record["leaf"]) for record in leaves]
    checkpoints = [record for record in records if record["type"] == "checkpoint"]
    signed = [_signed(record["note"], vkey) for record in checkpoints]
    head = records[0]["head"]
    return (
        [record["index"] for record in leaves] == list(range(len(leaves)))
        and all(_is_what_was_written(record) for record in leaves)
        and all(
            said is not None and said[2] == number and _agrees(record, said, hashes)
            for number, (record, said) in enumerate(zip(checkpoints, signed, strict=True))
        )
        and records[-1]["type"] == "end"
        and bool(signed)
        and signed[-1] is not None
        and signed[-1][0] == len(hashes)
        and (not head or _signed(head, vkey) in signed)
        and not any(record["type"] == "stray" for record in records)
    )


def _is_what_was_written(record: dict[str, Any]) -> bool:
    row, header = record.get("row"), record.get("header", record.get("row"))
    if header is None or "row_leaf" in record:
        return False
    said = json.loads(header)
    written = hashlib.sha256(b"\0" + header.encode("utf-8", "surrogateescape")).hexdigest()
    named = (said["id"], said["kind"]) == (record["id"], record["kind"])
    return named and written == record["leaf"] and (row is None or json.loads(row) == said)


def _agrees(record: dict[str, Any], said: tuple[int, bytes, int, str], hashes: list[bytes]) -> bool:
    size, root, number, time = said
    columns = (record["number"], record["size"], record["root"], record["at"])
    return columns == (number, size, root.hex(), time) and size <= len(hashes) and _mth(hashes[:size]) == root


def _mth(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + _mth(leaves[:split]) + _mth(leaves[split:])).digest()


def _signed(note: str, vkey: str) -> tuple[int, bytes, int, str] | None:
    name, _, encoded = vkey.split("+", 2)
    body, _, signature = note.partition("\n\n")
    raw = base64.b64decode(signature.split(" ")[2])
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:]).verify(
            raw[4:], body.encode() + b"\n"
        )
    except InvalidSignature:
        return None
    origin, size, root, number, time = body.split("\n")
    return (
        (int(size), base64.b64decode(root), int(number.split()[1]), time.split()[1])
        if origin == name
        else None
    )
