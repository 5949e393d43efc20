"""Bundles of every sort and what the verifier says of each, frozen in corpus.json.

`python -m tests.audit.seals.corpus` freezes what it says now: read the difference before you commit it.
"""

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from audit.seals import verify_evidence
from audit.seals.notes import Head
from audit.seals.signing import SigningKey
from tests.audit.seals import gaps
from tests.audit.seals.bundles import KEY, START, a_bundle, an_entry_bundle

FROZEN = Path(__file__).with_name("corpus.json")
VKEY = str(KEY.verifier)
OTHER = SigningKey("tests.example/log", bytes(32))
Bundle = list[dict[str, Any]]


def cases() -> dict[str, tuple[Bundle, list[str]]]:
    """Bundles by name, each with checkpoints that were kept."""
    found: dict[str, tuple[Bundle, list[str]]] = {}
    for size, every in ((0, 1), (1, 1), (2, 1), (3, 2), (5, 2), (8, 3), (13, 4), (16, 16), (21, 5)):
        found[f"clean {size}"] = a_bundle(size, every=every), []
    for index in (0, 1, 5, 6, 7, 12):
        found[f"entry {index}"] = an_entry_bundle(13, index), []
    for name, edit in EDITS.items():
        bundle = copy.deepcopy(a_bundle(13, every=4))
        edit(bundle)
        found[name] = bundle, []
    for name, edit in ENTRY_EDITS.items():
        bundle = an_entry_bundle(13, 6)
        edit(bundle[1])
        found[f"entry: {name}"] = bundle, []
    for name, bundle in gaps.of_one_entry().items():
        found[f"entry, {name}"] = bundle, []
    longer, other = a_bundle(17, every=4)[0]["head"], a_bundle(13, every=4, seed=2)[0]["head"]
    earlier = [one["note"] for one in of(a_bundle(13, every=4), "checkpoint")]
    found["kept, of a longer log"] = a_bundle(13, every=4, head=False), [longer]
    found["kept, of another history"] = a_bundle(13, every=4, head=False), [other]
    found["kept, of this log"] = a_bundle(13, every=4, head=False), earlier
    found["kept, later than all"] = a_bundle(13, every=4, head=False), [at_number(earlier[-1], 9)]
    found["kept, another of that number"] = a_bundle(13, every=4, head=False), [at_number(earlier[-1], 2)]
    found["from a checkpoint"] = part(8), []
    found["from a checkpoint, kept"] = part(8), [earlier[1]]
    found["from a checkpoint, with wrong peaks"] = part(8, peaks=["00" * 32]), []
    return found


def outcome(verifier: ModuleType, bundle: Bundle, kept: list[str]) -> Any:
    """What a verifier says of a bundle, as JSON: its report, or why it refuses."""
    keys = [verifier.parse_key(VKEY)]
    try:
        judge = verifier.Verifier(keys, [verifier.open_note(note, keys) for note in kept])
        for record in copy.deepcopy(bundle):
            judge.take(record)
        report = judge.finish()
    except verifier.Refused as error:
        return f"refused: {error}"
    return json.loads(json.dumps(dataclasses.asdict(report) | {"words": verifier.in_words(report)}))


def of(bundle: Bundle, kind: str) -> Bundle:
    return [record for record in bundle if record["type"] == kind]


def at_number(note: str, number: int) -> str:
    return KEY.sign(dataclasses.replace(KEY.verifier.open(note), number=number))


def part(size: int, **changes: Any) -> Bundle:
    """The log after the checkpoint over `size` leaves."""
    whole = a_bundle(13, every=4)
    begun = next(one for one in of(whole, "checkpoint") if one["size"] == size)
    rest = [one for one in whole[1:-1] if one.get("index", one.get("size", 0) - 1) >= size]
    counts = {"leaves": len(of(rest, "leaf")), "checkpoints": len(of(rest, "checkpoint"))}
    start = {"type": "start", "note": begun["note"], "peaks": begun["peaks"]} | changes
    return [whole[0], start, *rest, {"type": "end"} | counts]


def change(kind: str, place: int = 0, /, **values: Any) -> Callable[[Bundle], None]:
    return lambda bundle: of(bundle, kind)[place].update(values)


def noted(edit: Callable[[str], str]) -> Callable[[Bundle], None]:
    """The note of the second checkpoint is another text."""
    return lambda bundle: of(bundle, "checkpoint")[1].update(note=edit(of(bundle, "checkpoint")[1]["note"]))


def upper_subtree(bundle: Bundle) -> None:
    leaf = of(bundle, "leaf")[7]
    leaf["nodes"] = leaf["nodes"][:128] + "11" * 32


def quiet(bundle: Bundle) -> None:
    """Nothing was written between two checkpoints, and the clock did not move."""
    before = of(bundle, "checkpoint")[-1]
    head = KEY.verifier.open(before["note"])
    later = KEY.sign(dataclasses.replace(head, number=head.number + 1))
    bundle.insert(-1, before | {"number": head.number + 1, "note": later})
    bundle[0]["head"] = later
    bundle[-1]["checkpoints"] += 1


def without(kind: str, *places: int, counted: bool = True) -> Callable[[Bundle], None]:
    def edit(bundle: Bundle) -> None:
        gone = [of(bundle, kind)[place] for place in places]
        bundle[:] = [record for record in bundle if not any(record is one for one in gone)]
        if counted:
            bundle[-1]["leaves" if kind == "leaf" else "checkpoints"] -= len(gone)

    return edit


def trade(kind: str, one: int, other: int, *names: str) -> Callable[[Bundle], None]:
    def edit(bundle: Bundle) -> None:
        a, b = of(bundle, kind)[one], of(bundle, kind)[other]
        for name in names:
            a[name], b[name] = b[name], a[name]

    return edit


def row(place: int, old: str, new: str, *, header: bool = True) -> Callable[[Bundle], None]:
    """The columns say otherwise; the stored header says what it did."""

    def edit(bundle: Bundle) -> None:
        leaf = of(bundle, "leaf")[place]
        if header:
            leaf["header"] = leaf["row"]
        leaf["row"] = leaf["row"].replace(old, new)

    return edit


def resigned(place: int, **changes: Any) -> Callable[[Bundle], None]:
    """A checkpoint that says otherwise, signed with the key of the log."""

    def edit(bundle: Bundle) -> None:
        record = of(bundle, "checkpoint")[place]
        head: Head = dataclasses.replace(KEY.verifier.open(record["note"]), **changes)
        record |= {
            "note": KEY.sign(head), "number": head.number, "size": head.size, "root": head.root.hex(),
            "at": head.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }  # fmt: skip

    return edit


def all_of(*edits: Callable[[Bundle], None]) -> Callable[[Bundle], None]:
    def edit(bundle: Bundle) -> None:
        for one in edits:
            one(bundle)

    return edit


NO_NODES = {"nodes": ""}
EDITS: dict[str, Callable[[Bundle], None]] = {
    "a field": row(3, '"n":3', '"n":4'),
    "a number spelled otherwise": row(3, '"n":3', '"n":3.0'),
    "true for one": row(1, '"n":1', '"n":true'),
    "an address spelled otherwise": row(3, '"address":"2001:db8::1"', '"address":"2001:0db8:0::1"'),
    "another address": row(3, '"address":"2001:db8::1"', '"address":"2001:db8::2"'),
    "no address": row(3, '"address":"2001:db8::1"', '"address":"x"'),
    "a number for an address": row(3, '"address":"2001:db8::1"', '"address":7'),
    "a text that looks like an address": row(3, '"other":"2001:db8::1"', '"other":"2001:0db8:0::1"'),
    "something deep": row(3, '{"b":[1,2]}', '{"b":[1,3]}'),
    "a key deep": row(3, '{"b":[1,2]}', '{"c":[1,2]}'),
    "a key more": row(3, '{"b":[1,2]}', '{"b":[1,2],"c":1}'),
    "an object for a list": row(3, '{"b":[1,2]}', '{"b":{}}'),
    "a list for an object": row(3, '{"b":[1,2]}', '[]'),
    "a longer list": row(3, '[1,[2,3]]', '[1,[2,3],4]'),
    "a shorter list": row(3, '[1,[2,3]]', '[1]'),
    "another list": row(3, '[1,[2,3]]', '[1,[2,4]]'),
    "numbers deep, spelled otherwise": row(3, '[1,[2,3]]', '[1.0,[2,3.0]]'),
    "objects deep, spelled otherwise": row(3, '{"b":[1,2]}', '{"b":[1.0,2]}'),
    "row and header, each otherwise": all_of(row(3, '"n":3', '"n":4'), change("leaf", 3, header='{"n":9}')),
    "no JSON, and another row": all_of(row(3, '"n":3', '"n":4'), change("leaf", 3, header="nonsense")),
    "headers alone, one otherwise": lambda bundle: of(bundle, "leaf")[3].update(
        header=of(bundle, "leaf")[3].pop("row").replace('"n":3', '"n":4')
    ),
    "stored subtrees, others and fewer": change("leaf", 7, nodes="11" * 32),
    "two checkpoints missing": without("checkpoint", 1, 2),
    "a quiet minute": quiet,
    "a header that is no JSON": all_of(change("leaf", 3, header="nonsense"), row(3, "x", "x", header=False)),
    "a header that is a list": change("leaf", 3, header="[]"),
    "the header alone": change("leaf", 3, header='{"n":9}'),
    "row and header": row(3, '"n":3', '"n":4', header=False),
    "the id of a leaf": change("leaf", 3, id="00000000-0000-0000-0000-000000000000"),
    "the kind of a leaf": change("leaf", 3, kind="event"),
    "a field gone": row(3, ',"text":"“é”😀"', ""),
    "the leaf hash of a row": change("leaf", 3, row_leaf="00" * 32),
    "a row gone": lambda bundle: of(bundle, "leaf")[3].pop("row"),
    "headers alone": lambda bundle: [one.update(header=one.pop("row")) for one in of(bundle, "leaf")] and None,
    "a leaf": change("leaf", 3, leaf="11" * 32),
    "a leaf whose place completes nothing": change("leaf", 4, leaf="11" * 32),
    "the last leaf": change("leaf", 12, leaf="11" * 32),
    "stored subtrees of the wrong length": change("leaf", 3, **NO_NODES),
    "stored subtrees where none are": change("leaf", 4, nodes="11" * 32),
    "stored subtrees": change("leaf", 7, nodes="11" * 96),
    "the upper of the stored subtrees": upper_subtree,
    "two leaves traded": trade("leaf", 2, 9, "id", "leaf", "row"),
    "two neighbours traded": trade("leaf", 2, 3, "id", "leaf", "row"),
    "two leaves traded with their subtrees": trade("leaf", 2, 9, "id", "leaf", "row", "nodes"),
    "a leaf missing": without("leaf", 5),
    "the first leaf missing": without("leaf", 0),
    "leaves missing": without("leaf", 5, 6, 7, 8, 9),
    "the last leaves missing": without("leaf", 11, 12),
    "a leaf missing, and peaks too": all_of(
        without("leaf", 5), *[change("checkpoint", place, peaks=[]) for place in range(1, 4)]
    ),
    "a leaf twice": all_of(lambda bundle: bundle.insert(4, bundle[3]), change("end", leaves=14)),
    "a line missing": without("leaf", 5, counted=False),
    "a checkpoint line missing": without("checkpoint", 1, counted=False),
    "a checkpoint missing": without("checkpoint", 1),
    "the first checkpoint missing": without("checkpoint", 0),
    "the last checkpoint missing": without("checkpoint", 3),
    "the last checkpoint and the head missing": all_of(without("checkpoint", 3), change("bundle", head=None)),
    "no checkpoints": all_of(without("checkpoint", 0, 1, 2, 3), change("bundle", head=None)),
    "no checkpoints but the head": without("checkpoint", 0, 1, 2, 3),
    "checkpoints traded": trade("checkpoint", 1, 2, "number", "size", "root", "at", "note", "peaks"),
    "the root of a checkpoint": change("checkpoint", 1, root="11" * 32),
    "the number of a checkpoint": change("checkpoint", 1, number=7),
    "the size of a checkpoint": change("checkpoint", 1, size=7),
    "the time of a checkpoint": change("checkpoint", 1, at="2026-11-21T00:00:00.000000Z"),
    "the note of a checkpoint": change("checkpoint", 1, note="nonsense"),
    "a note without signature": noted(lambda note: note.split("—")[0]),
    "a note with more behind it": noted(lambda note: note + "x\n"),
    "a note of another key": noted(lambda note: OTHER.sign(KEY.verifier.open(note))),
    "a note of another log": noted(lambda note: note.replace("tests.", "elsewhere.")),
    "a signature from another note": trade("checkpoint", 1, 2, "note"),
    "the peaks of a checkpoint": change("checkpoint", 1, peaks=["11" * 32]),
    "a leaf and its ancestors": all_of(change("leaf", 4, leaf="11" * 32), change("leaf", 5, nodes="11" * 32)),
    "signed: another root": resigned(1, root=b"\x11" * 32),
    "signed: another root at the end": resigned(3, root=b"\x11" * 32),
    "signed: a number left out": resigned(1, number=2),
    "signed: a number again": resigned(1, number=0),
    "signed: an older time": resigned(2, at=START),
    "signed: a smaller size": resigned(2, size=3),
    "signed: a larger size": resigned(1, size=9),
    "signed: larger than the log": resigned(3, size=15),
    "a stray": lambda bundle: bundle.insert(-1, {"type": "stray", "kind": "event", "id": "x"}),
    **gaps.EDITS,
    "some wait": change("bundle", waiting=3),
    "no head": change("bundle", head=None),
    "a head of another key": change("bundle", head=OTHER.sign(KEY.verifier.open(a_bundle(13, every=4)[0]["head"]))),
    "a head of a longer log": lambda bundle: bundle[0].update(head=a_bundle(17, every=4)[0]["head"]),
    "another format": change("bundle", format="x"),
    "another version": change("bundle", version=2),
    "another mode": change("bundle", mode="x"),
    "another origin": change("bundle", origin="x"),
    "another key": change("bundle", vkey=str(OTHER.verifier)),
    "a malformed key": change("bundle", vkey="x"),
    "no first line": lambda bundle: bundle.pop(0) and None,
    "no last line": lambda bundle: bundle.pop() and None,
    "more after the end": lambda bundle: bundle.append(bundle[1]),
    "an unknown record": change("leaf", 0, type="x"),
    "a malformed leaf": change("leaf", 0, leaf="x"),
    "a malformed checkpoint": change("checkpoint", 0, peaks=None),
}  # fmt: skip
ENTRY_EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a proof in another order": lambda entry: entry["proof"].reverse(),
    "a proof cut": lambda entry: entry["proof"].pop(),
    "a proof with more": lambda entry: entry["proof"].append("00" * 32),
    "another hash in the proof": lambda entry: entry["proof"].__setitem__(1, "00" * 32),
    "no proof": lambda entry: entry["proof"].clear(),
    "another place": lambda entry: entry.update(index=7),
    "outside the tree": lambda entry: entry.update(index=13),
    "another leaf": lambda entry: entry.update(leaf="00" * 32),
    "another row": lambda entry: entry.update(row=entry["row"].replace('"n":6', '"n":4')),
    "no row": lambda entry: entry.pop("row"),
    "a forged checkpoint": lambda entry: entry.update(note=entry["note"].replace("\n13\n", "\n14\n")),
}


def main() -> None:
    said = {name: outcome(verify_evidence, *case) for name, case in cases().items()}
    FROZEN.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
