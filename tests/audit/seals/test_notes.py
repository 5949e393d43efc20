"""Keys and checkpoints are written as Go's signed notes and C2SP checkpoints are, and nothing else is taken."""

import datetime
from pathlib import Path

import pytest

from audit.seals import signing
from audit.seals.errors import (
    NoteMalformed,
    SealError,
    SignatureWrong,
    SigningKeyMalformed,
    SigningKeyMissing,
)
from audit.seals.notes import Head
from audit.seals.signing import SigningKey, VerifierKey

# The key pair of the documentation of golang.org/x/mod/sumdb/note.
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
AT = datetime.datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=datetime.UTC)
KEY = SigningKey("tests.example/log", bytes(range(32)))
HEAD = Head("tests.example/log", 7, bytes(32), 3, AT)


def test_keys_are_those_of_go() -> None:
    key = SigningKey.parse(GO_PRIVATE)
    assert str(key.verifier) == GO_PUBLIC
    assert key.text() == GO_PRIVATE
    assert VerifierKey.parse(GO_PUBLIC) == key.verifier


def test_a_checkpoint_reads_as_it_was_signed() -> None:
    note = KEY.sign(HEAD)
    assert note.startswith(
        "tests.example/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
        "checkpoint 3\ntime 2026-11-21T12:00:00.000005Z\n\n— tests.example/log "
    )
    assert KEY.verifier.open(note) == HEAD


def test_signatures_of_others_beside_ours_do_no_harm() -> None:
    other = SigningKey("witness.example", bytes(32))
    line = other.sign(HEAD).splitlines()[-1].replace("tests.example/log", "witness.example")
    assert KEY.verifier.open(KEY.sign(HEAD) + line + "\n") == HEAD


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        ("\n7\n", "\n8\n", SignatureWrong),
        ("checkpoint 3", "checkpoint 4", SignatureWrong),
        ("000005Z", "000006Z", SignatureWrong),
        ("— tests.example/log ", "— other.example/log ", SignatureWrong),
        ("\n7\n", "\n07\n", NoteMalformed),
        ("AAA=", "AAA", NoteMalformed),
        ("\n\n", "\n", NoteMalformed),
        ("T12:", "T25:", NoteMalformed),
        ("— ", "- ", NoteMalformed),
        ("checkpoint 3\n", "", NoteMalformed),
    ],
)
def test_a_note_that_was_changed_is_refused(old: str, new: str, refused: type[SealError]) -> None:
    note = KEY.sign(HEAD)
    assert old in note
    with pytest.raises(refused):
        KEY.verifier.open(note.replace(old, new, 1))
    with pytest.raises(SealError):
        KEY.verifier.open(note[:-9] + "\n")


@pytest.mark.parametrize(
    "text", ["", "x", GO_PUBLIC, GO_PRIVATE[:-2], GO_PRIVATE.replace("c74f20a3", "c74f20a4")]
)
def test_a_malformed_signing_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(SigningKeyMalformed) as refused:
        signing.load(path)
    assert "AYEKFALVF" not in str(refused.value)


def test_a_key_is_kept_to_its_owner_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "key"
    with pytest.raises(SigningKeyMissing):
        signing.load(path)
    signing.store(KEY, path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SealError, match="already"):
        signing.store(SigningKey.make("another.example"), path)
    assert signing.load(path).verifier == KEY.verifier
    assert "AQ" not in repr(KEY)
    for name in ("", "two words", "a+b"):
        with pytest.raises(SigningKeyMalformed):
            SigningKey.make(name)
