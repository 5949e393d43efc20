"""Version 1 of normalisation is what these vectors say, for ever."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tokens.formats.kinds import Kind
from tokens.formats.normalise import InvalidValue, normalise
from tokens.formats.phone_v1 import plan_of

FROZEN = "89c64bcca4fadf7f2f1c72c204289e2065db05aaae17315ecf461aed28a3a07e"
FILE = Path(__file__).with_name("vectors_v1.json")
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="ascii"))


def normalised_or_reason(vector: dict[str, Any]) -> dict[str, str]:
    kind = Kind.from_wire(vector["kind"])
    assert kind is not None
    try:
        form = normalise(kind, vector["raw"], version=1, default_region=vector.get("region", ""))
    except InvalidValue as refused:
        return {"refused": refused.code.value}
    return {"normalised": form}


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{v['kind']}: {v['note']}" for v in VECTORS])
def test_version_1_answers_as_it_was_frozen(vector: dict[str, Any]) -> None:
    expected = {key: vector[key] for key in ("normalised", "refused") if key in vector}
    assert normalised_or_reason(vector) == expected


def test_the_vectors_of_version_1_are_never_edited() -> None:
    # Red after an edit of the file? Rows are indexed under version 1, and every one whose form changes is
    # orphaned: its person gets a second token, and an opt-out no longer finds it. Put the file back, write a
    # version 2 beside it (see tokens/formats/normalise.py) and give that vectors of its own.
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == FROZEN


def test_the_vectors_cover_thirty_countries_and_every_reason() -> None:
    numbers = [v["normalised"] for v in VECTORS if v["kind"] == "MobileNumber" and "normalised" in v]
    codes = {plan.code for number in numbers if (plan := plan_of(number))}
    assert len(codes) >= 50
    assert {v["refused"] for v in VECTORS if "refused" in v} == {
        "empty", "too_long", "lone_surrogate", "control_characters", "email_syntax", "email_domain",
        "phone_syntax", "phone_letters", "phone_extension", "phone_country_missing", "phone_country_unknown",
        "phone_not_possible",
    }  # fmt: skip
