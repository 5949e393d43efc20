"""What the verifier says of every sort of bundle is frozen, and its mutants say otherwise (P6).

MUTANTS=1 tries every mutant; by default each fortieth.
"""

import json
import os

from audit.seals import verify_evidence
from tests.audit.seals import corpus, mutants

EVERY = int(os.environ.get("MUTANTS", "40"))


def test_every_bundle_gets_the_verdict_that_is_frozen() -> None:
    frozen = json.loads(corpus.FROZEN.read_text(encoding="utf-8"))
    said = {name: corpus.outcome(verify_evidence, *case) for name, case in corpus.cases().items()}
    assert said.keys() == frozen.keys()
    assert {name: verdict for name, verdict in said.items() if verdict != frozen[name]} == {}


def test_of_what_was_tampered_with_nothing_passes() -> None:
    passes = {name for name, verdict in json.loads(corpus.FROZEN.read_text(encoding="utf-8")).items()
              if isinstance(verdict, dict) and not verdict["found"]}  # fmt: skip
    harmless = {
        "a number spelled otherwise", "an address spelled otherwise", "numbers deep, spelled otherwise",
        "objects deep, spelled otherwise", "a quiet minute", "headers alone", "the peaks of a checkpoint",
        "a lawful gap", "a lawful gap without copies", "a lawful gap in two acts",
        "a lawful gap in two acts, nothing left", "a lawful gap, from a checkpoint within",
        "a lawful gap, from a checkpoint after", "entry, dropped", "entry, kept", "some wait",
        "no head", "kept, of this log", "from a checkpoint", "from a checkpoint, kept",
    }  # fmt: skip
    clean = {name for name in passes if name.startswith("clean ") or name.removeprefix("entry ").isdigit()}
    assert passes - clean == harmless


def test_mutants_of_the_verifier_are_noticed() -> None:
    alive, count = mutants.survivors(EVERY)
    assert count > 0
    assert len(alive) <= 0.05 * count + 1, alive
