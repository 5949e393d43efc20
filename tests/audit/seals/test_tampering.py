"""Whatever an administrator of the database edits is found and named, by the portal and by the offline verifier (P5).

PLACES=1000 LOG=10000 runs it at full size.
"""

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit import trail
from audit.models import SealedLeaf
from audit.retention.statement import Statement, digest_of
from audit.seals import sequencer, verify_evidence
from audit.seals.bundle import Record, Source
from audit.seals.verify_evidence import Report, Verifier
from audit.trail import SYSTEM
from audit.vocabulary import Action
from tests.audit.seals import cast, edits
from tests.conftest import OwnDatabase

LOG = int(os.environ.get("LOG", "30"))
PLACES = int(os.environ.get("PLACES", "2"))
CLEAN_RUNS = int(os.environ.get("CLEAN_RUNS", "2"))
VKEY = str(cast.KEY.verifier)


@dataclass
class SealedLog:
    """A log of LOG entries, a checkpoint over every four of them, and its head."""

    folder: Path
    head: str

    def records(self, *, with_head: bool = True) -> list[Record]:
        return list(Source(cast.KEY.verifier, self.head if with_head else None).log())


@pytest.fixture
def log(own_database: OwnDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SealedLog:
    monkeypatch.setattr(sequencer, "BATCH", edits.BATCH)
    monkeypatch.setattr(sequencer, "LONGEST_TURN", 3600.0)
    cast.entries(LOG)
    ours = cast.a_sequencer(tmp_path)
    assert ours.run() == LOG
    cast.an_entry()  # and one that waits
    head = ours.head.read()
    assert head is not None
    return SealedLog(tmp_path, head)


def verified(records: list[Record]) -> Report:
    verifier = Verifier([verify_evidence.parse_key(VKEY)])
    for record in records:
        verifier.take(record)
    return verifier.finish()


def offline(records: list[Record], folder: Path) -> tuple[int, Report]:
    """What the one file says that auditors have: no packages, no settings, no database."""
    bundle = folder / "bundle.jsonl"
    bundle.write_text("".join(json.dumps(record) + "\n" for record in records))
    told = subprocess.run(
        [sys.executable, "-I", verify_evidence.__file__, str(bundle), "--vkey", VKEY, "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={},
        timeout=600,
    )
    assert told.returncode in {0, 8}, told.stderr
    said = json.loads(told.stdout)
    said["findings"] = [verify_evidence.Finding(**finding) for finding in said["findings"]]
    return told.returncode, Report(**said)


def test_there_are_fifteen_kinds_of_edit() -> None:
    assert len(edits.KINDS) == 15


@pytest.mark.parametrize("kind", edits.KINDS)
def test_an_edit_is_found_and_named(log: SealedLog, kind: str) -> None:
    draw = random.Random(kind)
    for number, place in enumerate([0, *(draw.randrange(LOG) for _ in range(PLACES - 1))]):
        with edits.edited(edits.KINDS[kind], place) as named:
            records = log.records()
        here = verified(records)
        assert named.missing(here) == [], (kind, place, here.findings)
        if number < 2:
            code, there = offline(records, log.folder)
            assert code == 8
            assert there.findings == here.findings
    assert verified(log.records()).findings == []


def test_a_log_that_nobody_edited_is_never_suspected(log: SealedLog) -> None:
    for _ in range(CLEAN_RUNS):
        cast.an_event()
        report = verified(log.records())
        assert report.findings == []
        assert (report.size, report.rows, report.proven) == (LOG, LOG, LOG)
    assert report.waiting == 1 + CLEAN_RUNS
    assert offline(log.records(), log.folder)[0] == 0


def test_a_log_that_grows_while_it_is_verified_is_not_suspected(log: SealedLog) -> None:
    ours = cast.a_sequencer(log.folder)
    records = Source(cast.KEY.verifier, log.head).log()
    begun = [next(records) for _ in range(5)]
    cast.entries(5)
    # The reader's snapshot is that of its own connection; this one seals through another.
    code = (
        "import django; django.setup(); from pathlib import Path; from tests.audit.seals import cast;"
        f"cast.a_sequencer(Path({str(log.folder)!r})).run()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    report = verified([*begun, *records])
    assert (report.findings, report.size) == ([], LOG)
    assert ours.head.read() != log.head


@pytest.mark.parametrize("kind", ["cut_tail", "older_backup", "fork"])
def test_without_a_checkpoint_from_outside_these_pass(log: SealedLog, kind: str) -> None:
    """The known-bad twin: what the database alone cannot tell, and the report says so."""
    with edits.edited(edits.KINDS[kind], edits.BATCH * 2) as named:
        report = verified(log.records(with_head=False))
    assert named.missing(report) != []
    assert report.findings == []
    assert report.remarks


@pytest.mark.parametrize("kind", ["fork", "edit_signature"])
def test_without_signatures_these_pass(log: SealedLog, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The known-bad twin: it is the signature that an administrator cannot make."""
    with edits.edited(edits.KINDS[kind], 1) as named:
        records = log.records(with_head=False)
    monkeypatch.setattr(verify_evidence, "verify_signature", lambda *_: True)
    report = verified(records)
    assert named.missing(report) != []
    assert report.findings == []


def test_a_missing_row_passes_only_for_an_act_that_is_sealed_and_dropped_exactly_these(
    log: SealedLog,
) -> None:
    gone = SealedLeaf.objects.get(index=0)
    first = str(gone.entry_id)
    said = Statement("payload", first, first[:-4] + "ffff", 1, *digest_of([]))
    act = said.signed_with(cast.KEY)
    trail.record(Action.PARTITION_DROPPED, actor=SYSTEM, enterprise_id=None, details=act)
    ours = cast.a_sequencer(log.folder)
    with edits.edited(edits.delete, 0):
        unsealed = verified(Source(cast.KEY.verifier, ours.head.read()).log())  # type: ignore[arg-type]
    assert [finding.what for finding in unsealed.findings] == ["deleted"]
    ours.run()
    log.head = ours.head.read() or ""
    with edits.edited(edits.delete, 0):
        report = verified(log.records())
        edits.run("DELETE FROM audit_payloadentry WHERE id = %s", edits.payload_at(1).entry_id)
        one_more = verified(log.records())
    assert (report.findings, [gap["missing"] for gap in report.gaps]) == ([], [1])
    assert [finding.what for finding in one_more.findings] == ["deleted"]
    assert [finding.what for finding in verified(log.records()).findings] == ["deleted"]
