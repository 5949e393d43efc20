"""The file of the journey, and what is true of it: the oracle, made from the same seed and not by the normaliser."""

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from portal.synthetic_people import COLUMNS, Row, expected_of, rows, write_csv

# Apart from the people of the sample enterprise, which have another seed.
SEED = 7
ATTRIBUTES = ("FirstName", "LastName", "City")
KINDS = {"Email": "EmailAddress", "MobileNumber": "MobileNumber"}


@dataclass
class Truth:
    """What a conversion of the file must lead to."""

    count: int
    # Normalised value -> the spelling of the first line that had it, and whose it is.
    spellings: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    # Subscriber key -> attributes of the highest line.
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    # (line, column) of every bad cell -> reason.
    bad: dict[tuple[int, str], str] = field(default_factory=dict)
    repeated: int = 0


def write(path: Path, count: int) -> Truth:
    """Write `count` lines under a header: 10 % repeat a person, 1 % have a bad cell."""
    write_csv(path, count, seed=SEED)
    truth = Truth(count)
    for line, row in enumerate(rows(count, seed=SEED), start=2):
        for value in expected_of(row, line):
            truth.spellings[value.normalised] = value.first_spelling
            truth.keys[value.normalised] = value.subscriber_key
        truth.attributes[row.person.subscriber_key] = dict(zip(ATTRIBUTES, row.cells[3:], strict=True))
        truth.repeated += row.repeated
        if row.bad_column:
            truth.bad[line, row.bad_column] = row.reason
    return truth


def tokens_of(output: Path, truth: Truth) -> dict[str, str]:
    """Normalised value -> token, as the output says. Asserts that every cell is what it must be."""
    tokens: dict[str, str] = {}
    owners: dict[str, str] = {}
    lines = 0
    for line, (row, cells) in enumerate(
        zip(rows(truth.count, seed=SEED), read(output), strict=True), start=2
    ):
        lines += 1
        assert cells["SubscriberKey"] == row.cells[0], f"line {line}: the subscriber key changed"
        for kind, column in KINDS.items():
            check_cell(line, row, kind, column, cells[column], tokens, owners)
    assert lines == truth.count
    assert tokens.keys() == truth.spellings.keys(), "values without a token, or the other way round"
    return tokens


def check_cell(
    line: int, row: Row, kind: str, column: str, cell: str, tokens: dict[str, str], owners: dict[str, str]
) -> None:
    """One cell of the output: empty where the input was bad, else the one token of its value."""
    if row.bad_column == column:
        assert cell == "", f"line {line}: a bad cell was not emptied"
        return
    value = row.person.email if kind == "Email" else row.person.mobile
    assert tokens.setdefault(value, cell) == cell, f"line {line}: a second token for one value"
    assert owners.setdefault(cell, value) == value, f"line {line}: one token for two values"
    assert cell not in ("", row.cells[COLUMNS.index(column)]), f"line {line}: not converted"
    assert cell.isdigit() == (kind == "MobileNumber")
    assert len(cell) == 15 or kind == "Email"


def read(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file with a header."""
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def countries(truth: Truth) -> int:
    """How many calling codes the numbers begin with, at least."""
    numbers = {value for value in truth.spellings if value.isdigit()}
    from tokens.formats.phone_v1 import plan_of

    codes = {plan.code for number in itertools.islice(sorted(numbers), 0, None) if (plan := plan_of(number))}
    return len(codes)
