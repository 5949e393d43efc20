"""The verifier refuses what it cannot read, finds what is not as it was sealed, and agrees with a second one (P6)."""

import base64
import copy
import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.seals import verify_evidence
from audit.seals.signing import SigningKey
from audit.seals.verify_evidence import Refused, Report, Verifier
from tests.audit.seals import bundles
from tests.audit.seals.bundles import KEY, a_bundle, an_entry_bundle, as_lines

TREES = int(os.environ.get("TREES", "100"))
VKEY = str(KEY.verifier)
Bundle = list[dict[str, Any]]


def verified(records: Bundle, vkey: str = VKEY) -> Report:
    verifier = Verifier([verify_evidence.parse_key(vkey)])
    for record in records:
        verifier.take(record)
    return verifier.finish()


def run(
    folder: Path, text: str | bytes, *arguments: str, name: str = "bundle.jsonl"
) -> "subprocess.CompletedProcess[str]":
    """The file as an auditor runs it: no packages on its path, from anywhere."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return subprocess.run(
        [sys.executable, "-I", "-S", verify_evidence.__file__, str(path), "--vkey", VKEY, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={},
        timeout=120,
    )


def test_a_clean_bundle_passes_without_any_package(tmp_path: Path) -> None:
    told = run(tmp_path, as_lines(a_bundle(5)))
    assert (told.returncode, told.stderr) == (0, "")
    assert "tests.example/log: 5 leaves, 5 of them under a valid signature" in told.stdout
    assert told.stdout.endswith("Everything is as it was sealed.\n")
    packed = run(tmp_path, gzip.compress(as_lines(a_bundle(5)).encode()), "--json", name="bundle.jsonl.gz")
    assert (packed.returncode, json.loads(packed.stdout)["proven"]) == (0, 5)


def edit_record(kind: str, **values: Any) -> Callable[[Bundle], None]:
    def edit(bundle: Bundle) -> None:
        next(record for record in bundle if record["type"] == kind).update(values)

    return edit


def drop_last_line(bundle: Bundle) -> None:
    bundle.pop()


def drop_a_leaf_line(bundle: Bundle) -> None:
    del bundle[1]


def add_after_the_end(bundle: Bundle) -> None:
    bundle.append(bundle[1])


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (edit_record("bundle", format="other"), "this is no bundle"),
        (edit_record("bundle", version=2), "the format has version 2, and this verifier knows 1"),
        (edit_record("bundle", mode="all"), "the mode of the bundle is 'all'"),
        (
            edit_record("bundle", origin="other.example"),
            "the bundle is of the log 'other.example', and the key of tests",
        ),
        (
            edit_record("bundle", vkey=str(SigningKey("tests.example/log", bytes(32)).verifier)),
            "made with another key than the one that you trust",
        ),
        (drop_last_line, "the file is cut off: its last line must be"),
        (drop_a_leaf_line, "says that it has 5 records of the type leaf: 4 are there"),
        (add_after_the_end, "a record of the type 'leaf' stands where none can"),
        (edit_record("leaf", type="leave"), "a record of the type 'leave' stands where none can"),
        (edit_record("leaf", leaf="xyz"), "a record of the type leaf is malformed"),
        (edit_record("checkpoint", note=None), "a record of the type checkpoint is malformed"),
    ],
)
def test_what_cannot_be_verified_is_refused_by_name(
    tmp_path: Path, edit: Callable[[Bundle], None], says: str
) -> None:
    bundle = a_bundle(5)
    edit(bundle)
    told = run(tmp_path, as_lines(bundle))
    assert (told.returncode, told.stdout) == (6, "")
    assert says in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "the file is cut off"),
        (b"nonsense\n", "line 1 is not JSON"),
        (b"[]\n", "line 1 is not a JSON object"),
        (b"\xff\xfe", "the file cannot be read"),
        (as_lines(a_bundle(5))[:-30].encode(), "is not JSON (the file is cut off there)"),
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, text: bytes, says: str) -> None:
    told = run(tmp_path, text)
    assert told.returncode == 6
    assert says in told.stderr


def test_a_cut_archive_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    packed = gzip.compress(as_lines(a_bundle(50)).encode())
    assert run(tmp_path, packed[:-20], name="bundle.jsonl.gz").returncode == 6
    told = run(tmp_path, "", "--checkpoint", str(tmp_path / "nowhere"))
    assert (told.returncode, "nowhere cannot be read" in told.stderr) == (6, True)


@pytest.mark.parametrize("vkey", ["", "x", "tests.example/log+00000000+AQ==", VKEY[:-4]])
def test_a_malformed_key_is_refused(vkey: str) -> None:
    with pytest.raises(Refused, match="verifier key is malformed"):
        verify_evidence.parse_key(vkey)


def test_a_checkpoint_of_another_log_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    other = SigningKey("other.example/log", bytes(range(32)))
    kept.write_text(
        other.sign(other.verifier.open(other.sign(head_of(a_bundle(5), origin="other.example/log"))))
    )
    told = run(tmp_path, as_lines(a_bundle(5)), "--checkpoint", str(kept))
    assert told.returncode == 6
    assert "it is a checkpoint of another log: other.example/log, and not tests.example/log" in told.stderr
    same_name = SigningKey("tests.example/log", bytes(32))
    kept.write_text(same_name.sign(head_of(a_bundle(5))))
    told = run(tmp_path, as_lines(a_bundle(5)), "--checkpoint", str(kept))
    assert told.returncode == 6
    assert "bears no valid signature of the key of this log" in told.stderr


def head_of(bundle: Bundle, **changes: Any) -> Any:
    import dataclasses

    return dataclasses.replace(KEY.verifier.open(bundle[0]["head"]), **changes)


def test_a_checkpoint_that_was_kept_finds_what_came_to_be_cut_or_rewritten(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    longer = a_bundle(9)
    kept.write_text(longer[0]["head"])
    told = run(tmp_path, as_lines(a_bundle(5, head=False)), "--checkpoint", str(kept))
    assert told.returncode == 8
    assert "Leaves #5 to #8:" in told.stdout
    assert "the end of the log is gone" in told.stdout
    told = run(tmp_path, as_lines(a_bundle(9, seed=2, head=False)), "--checkpoint", str(kept))
    assert told.returncode == 8
    assert "the log was rewritten" in told.stdout
    assert run(tmp_path, as_lines(longer), "--checkpoint", str(kept)).returncode == 0


@pytest.mark.parametrize("size", [1, 2, 7, 8, 13])
def test_an_entry_is_proven_alone(size: int) -> None:
    for index in range(size):
        assert verified(an_entry_bundle(size, index)).findings == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda entry: entry["proof"].reverse(),
        lambda entry: entry["proof"].pop(),
        lambda entry: entry["proof"].append("00" * 32),
        lambda entry: entry["proof"].__setitem__(0, "00" * 32),
        lambda entry: entry.update(index=4),
        lambda entry: entry.update(index=13),
        lambda entry: entry.update(leaf="00" * 32),
        lambda entry: entry.update(row=entry["row"].replace('"n":3', '"n":4')),
    ],
)
def test_a_forged_proof_is_found(edit: Callable[[dict[str, Any]], Any]) -> None:
    bundle = an_entry_bundle(13, 3)
    edit(bundle[1])
    report = verified(bundle)
    assert report.findings
    assert all(str(bundle[1]["index"]) in finding.says for finding in report.findings)


def test_a_proof_under_a_forged_checkpoint_is_refused() -> None:
    bundle = an_entry_bundle(13, 3)
    bundle[1]["note"] = bundle[1]["note"].replace("\n13\n", "\n14\n")
    with pytest.raises(Refused, match="the checkpoint of the proof: it bears no valid signature"):
        verified(bundle)


# --- agreement with the second verifier -----------------------------------------------------------------------
def flip(draw: random.Random, text: str) -> str:
    """Another hex digit somewhere."""
    place = draw.randrange(len(text))
    return (
        text[:place]
        + draw.choice([digit for digit in "0123456789abcdef" if digit != text[place]])
        + text[place + 1 :]
    )


def tamper(bundle: Bundle, draw: random.Random) -> None:
    """One edit of any record, that keeps the bundle readable."""
    leaves = [record for record in bundle if record["type"] == "leaf"]
    checkpoints = [record for record in bundle if record["type"] == "checkpoint"]
    leaf, checkpoint = draw.choice(leaves), draw.choice(checkpoints)
    acts: list[Callable[[], Any]] = [
        lambda: leaf.update(leaf=flip(draw, leaf["leaf"])),
        lambda: leaf.update(row=leaf["row"].replace('"n":', '"n":1')),
        lambda: leaf.update(header=leaf["row"].replace('"n":', '"n":2')),
        lambda: leaf.update(row_leaf="00" * 32),
        lambda: leaf.pop("row"),
        lambda: checkpoint.update(root=flip(draw, checkpoint["root"])),
        lambda: checkpoint.update(size=checkpoint["size"] + 1),
        lambda: (bundle.remove(leaf), bundle[-1].update(leaves=len(leaves) - 1)),
        lambda: bundle.insert(-1, {"type": "stray", "kind": "event", "id": leaf["id"]}),
        lambda: trade(leaf, draw.choice([one for one in leaves if one is not leaf])),
    ]
    draw.choice(acts if len(leaves) > 1 else acts[:-1])()


def trade(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two leaves change places."""
    for name in ("id", "leaf", "row"):
        one[name], other[name] = other[name], one[name]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32))
@settings(max_examples=TREES)
def test_two_verifiers_agree_on_any_log(size: int, every: int, seed: int) -> None:
    clean = a_bundle(size, every=every, seed=seed)
    assert verified(clean).findings == []
    assert bundles.is_clean(as_lines(clean), VKEY)
    edited = copy.deepcopy(clean)
    tamper(edited, random.Random(seed))
    assert verified(edited).findings != []
    assert not bundles.is_clean(as_lines(edited), VKEY)


# --- signatures without the package -----------------------------------------------------------------------------
# RFC 8032, section 7.1: TEST 1, 2, 3.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_signatures_are_those_of_rfc_8032(public: str, message: str, signature: str) -> None:
    key, said, signed = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    for check in (verify_evidence.verify_in_python, verify_evidence.verify_signature):
        assert check(key, signed, said)
        assert not check(key, signed, said + b"x")
        assert not check(key, signed[:-1] + b"\xff", said)
        assert not check(key, b"\xff" * 32 + signed[32:], said)
        assert not check(bytes(32)[:-1] + b"\x80", signed, said)
        assert not check(key, signed[:-1], said)
    # s + q is the same number to a careless verifier.
    malleable = signed[:32] + (int.from_bytes(signed[32:], "little") + verify_evidence.Q).to_bytes(
        32, "little"
    )
    assert not verify_evidence.verify_in_python(key, malleable, said)


@given(st.binary(max_size=80), st.binary(min_size=32, max_size=32))
@settings(max_examples=10)
def test_both_ways_to_verify_agree(message: bytes, seed: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify_evidence.verify_in_python(public, signature, message)
    wrong = hashlib.sha512(signature).digest()
    assert verify_evidence.verify_in_python(public, wrong, message) == verify_evidence.verify_signature(
        public, wrong, message
    )


def test_a_header_that_is_no_text_survives_the_way_through_the_bundle() -> None:
    raw = b'{"id":"\xff\xfe"}'
    text = json.loads(json.dumps(raw.decode("utf-8", "surrogateescape")))
    assert verify_evidence.text_bytes(text) == raw
    assert base64.b64encode(verify_evidence.leaf_hash(raw)) == base64.b64encode(
        hashlib.sha256(b"\0" + raw).digest()
    )
