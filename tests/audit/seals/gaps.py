"""Bundles in which an act of retention dropped rows and kept some, and what could be wrong about that."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

from audit import headers
from audit.retention.statement import Statement, digest_of
from audit.seals import merkle
from audit.seals.notes import Head
from audit.seals.signing import SigningKey
from tests.audit.seals.bundles import KEY, a_bundle

Bundle = list[dict[str, Any]]
ACTS = (9, 11)  # leaves that become events


def leaves(bundle: Bundle) -> Bundle:
    return [record for record in bundle if record["type"] == "leaf"]


def chosen(bundle: Bundle) -> Bundle:
    """Four leaves whose ids follow one another, as those of a month do, in the order of the tree."""
    ordered = sorted(leaves(bundle), key=lambda leaf: leaf["id"])
    windows = (ordered[at : at + 4] for at in range(len(ordered) - 3))
    window = next(four for four in windows if not {leaf["index"] for leaf in four} & set(ACTS))
    return sorted(window, key=lambda leaf: leaf["index"])


def after(bundle: Bundle, entry_id: str) -> str:
    """The next id, which is no part of the span any more."""
    return min(leaf["id"] for leaf in leaves(bundle) if leaf["id"] > entry_id)


def dropped(
    *,
    acts: tuple[int, ...] = (3,),
    sealed: bool = True,
    key: SigningKey = KEY,
    told: dict[str, Any] | None = None,
    then: Callable[[Bundle, Bundle], None] | None = None,
    **claims: Any,
) -> Callable[[Bundle], None]:
    """Of the four, each act drops so many from the left. `claims` are other than true and signed, `told` unsigned."""

    def edit(bundle: Bundle) -> None:
        span, gone = chosen(bundle), 0
        first, before = min(leaf["id"] for leaf in span), after(bundle, max(leaf["id"] for leaf in span))
        for place, (index, rows) in enumerate(zip(ACTS, acts, strict=False)):
            act, gone = leaves(bundle)[index], gone + rows
            kept, digest = digest_of(bytes.fromhex(leaf["leaf"]) for leaf in span[gone:])
            facts = {
                "kind": "payload",
                "first": first,
                "before": before,
                "rows": rows,
                "kept": kept,
                "kept_sha256": digest,
            }
            details = Statement(**(facts | claims)).signed_with(key)
            record = {"type": "gap", "event": act["id"]} | {name: str(one) for name, one in details.items()}
            bundle.insert(1 + place, record | (told or {}))
            seal(act, details | (told or {})) if sealed else None
            for leaf in span[gone:]:
                leaf["held"] = proof_of(bundle, leaf, act["id"])
        for leaf in span[:gone]:
            del leaf["row"]
        if then is not None:
            then(bundle, span)
        rebuild(bundle)

    return edit


def seal(act: dict[str, Any], details: dict[str, Any]) -> None:
    """The leaf becomes that of an event with these details."""
    facts = {"id": act["id"], "action": "retention.partition-dropped", "details": details}
    act["row"] = headers.canonical("event", facts).decode()
    act |= {"kind": "event", "leaf": hashlib.sha256(b"\0" + act["row"].encode()).hexdigest()}


def proof_of(bundle: Bundle, leaf: dict[str, Any], act: str) -> dict[str, str]:
    """Its proof under the checkpoint that was there before the act."""
    hashes = [bytes.fromhex(one["leaf"]) for one in leaves(bundle)][: ACTS[0]]
    if leaf["index"] >= len(hashes):
        hashes = [bytes.fromhex(one["leaf"]) for one in leaves(bundle)]

    def read(subtree: merkle.Subtree) -> bytes:
        level, number = subtree
        return merkle.root_of(hashes[number << level : (number + 1) << level])

    proof = b"".join(merkle.hashes_of(merkle.inclusion_ranges(leaf["index"], len(hashes)), read))
    at = KEY.verifier.open(bundle[0]["head"]).at
    note = KEY.sign(Head(KEY.verifier.name, len(hashes), merkle.root_of(hashes), 0, at))
    return {"event": act, "proof": proof.hex(), "note": note}


def rebuild(bundle: Bundle) -> None:
    """The tree and its checkpoints, over the leaves as they are now."""
    tree = merkle.CompactRange()
    for record in bundle:
        if record["type"] == "leaf":
            record["nodes"] = b"".join(tree.append(bytes.fromhex(record["leaf"]))).hex()
        elif record["type"] == "checkpoint":
            head = dataclasses.replace(KEY.verifier.open(record["note"]), root=tree.root())
            peaks = [one.hex() for one in tree.peaks]
            record |= {"note": KEY.sign(head), "root": tree.root().hex(), "peaks": peaks}
            bundle[0]["head"] = record["note"]


def from_a_checkpoint(edit: Callable[[Bundle], None], place: int) -> Callable[[Bundle], None]:
    """The same, without what stands up to a checkpoint."""

    def cut(bundle: Bundle) -> None:
        edit(bundle)
        begun = [record for record in bundle if record["type"] == "checkpoint"][place]
        end = bundle.index(begun)
        gaps = [record for record in bundle[:end] if record["type"] == "gap"]
        start = {"type": "start", "note": begun["note"], "peaks": begun["peaks"]}
        bundle[1 : end + 1] = [*gaps, start]
        bundle[-1] |= {
            "leaves": len(leaves(bundle)),
            "checkpoints": sum(one["type"] == "checkpoint" for one in bundle),
        }

    return cut


def one_more_gone(bundle: Bundle, span: Bundle) -> None:
    del span[-1]["row"]


def one_more_gone_unnamed(bundle: Bundle, span: Bundle) -> None:
    del span[-1]["row"], span[-1]["held"]


def another_kept(bundle: Bundle, span: Bundle) -> None:
    """A dropped row comes back from a backup, and a held one goes: as many as the act said."""
    span[0]["row"] = '{"id":"' + span[0]["id"] + '","kind":"payload","n":0}'
    span[0]["leaf"] = hashlib.sha256(b"\0" + span[0]["row"].encode()).hexdigest()
    del span[-1]["row"], span[-1]["held"]


def altered(bundle: Bundle, span: Bundle) -> None:
    span[-1] |= {"header": span[-1]["row"], "row": span[-1]["row"].replace("2001:db8::1", "192.0.2.1")}


def other_proof(bundle: Bundle, span: Bundle) -> None:
    span[-1]["held"]["proof"] = "11" * (len(span[-1]["held"]["proof"]) // 2)


def no_note(bundle: Bundle, span: Bundle) -> None:
    span[-1]["held"]["note"] = ""


OTHER = SigningKey("tests.example/log", bytes(32))
EDITS: dict[str, Callable[[Bundle], None]] = {
    "a lawful gap": dropped(),
    "a lawful gap without copies": dropped(acts=(4,)),
    "a lawful gap in two acts": dropped(acts=(2, 1)),
    "a lawful gap in two acts, nothing left": dropped(acts=(2, 2)),
    "a lawful gap, from a checkpoint within": from_a_checkpoint(dropped(), 1),
    "a lawful gap, from a checkpoint after": from_a_checkpoint(dropped(), 2),
    "a gap of more rows than said": dropped(rows=2),
    "a gap of fewer rows than said": dropped(rows=4),
    "a gap of another kind": dropped(kind="event"),
    "a gap that nobody sealed": dropped(sealed=False),
    "a gap of another key": dropped(key=OTHER),
    "a gap whose numbers were changed": dropped(told={"rows": "2"}),
    "a gap whose number is none": dropped(told={"rows": "x"}),
    "a gap without signature": dropped(told={"signature": "x"}),
    "a gap that kept another number": dropped(kept=2),
    "a gap that kept other rows": dropped(kept_sha256="00" * 32),
    "a gap, and its event says otherwise": dropped(
        then=lambda bundle, span: seal(leaves(bundle)[9], {"rows": 3})
    ),
    "a gap, and its event says nothing": dropped(then=lambda bundle, span: seal(leaves(bundle)[9], [])),  # type: ignore[arg-type]
    "two acts, one of them sealed": dropped(
        acts=(2, 1), then=lambda bundle, span: seal(leaves(bundle)[9], {})
    ),
    "a kept copy gone": dropped(then=one_more_gone),
    "a kept copy gone, and that it was kept": dropped(then=one_more_gone_unnamed),
    "another row there instead of a kept one": dropped(then=another_kept),
    "a kept copy changed": dropped(then=altered),
    "a kept proof changed": dropped(then=other_proof),
    "a kept proof without its checkpoint": dropped(then=no_note),
    "more gone than acts dropped, from a checkpoint": from_a_checkpoint(dropped(rows=0, acts=(4,)), 0),
}


def of_one_entry() -> dict[str, Bundle]:
    """A dropped entry with the act that dropped it; without it; and one that was kept."""
    whole = a_bundle(13, every=4)
    dropped()(whole)
    span, act = chosen(whole), leaves(whole)[9]
    gap = next(record for record in whole if record["type"] == "gap")
    first, last = whole[0] | {"mode": "entry"}, {"type": "end", "leaves": 0, "checkpoints": 0}

    def proven(leaf: dict[str, Any]) -> dict[str, Any]:
        hashes = [bytes.fromhex(one["leaf"]) for one in leaves(whole)]
        tree = merkle.inclusion_ranges(leaf["index"], 13)
        proof = merkle.hashes_of(
            tree, lambda one: merkle.root_of(hashes[one[1] << one[0] : (one[1] + 1) << one[0]])
        )
        return leaf | {"type": "entry", "proof": [one.hex() for one in proof], "note": whole[0]["head"]}

    return {
        "dropped": [first, gap, proven(act), proven(span[0]), last],
        "dropped, and the act is not there": [first, gap, proven(span[0]), last],
        "dropped, and nothing says so": [first, proven(span[0]), last],
        "kept": [first, proven(span[-1]), last],
    }
