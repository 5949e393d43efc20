"""Lines are cut as the csv module cuts them, also those that are cut without it."""

import csv
import random

import pytest

from tokens.bulk.dialects import Dialect
from tokens.no_token_queue.errors import BadExtract
from tokens.no_token_queue.faults import Fault
from tokens.no_token_queue.reading import read

SIGNS = ["a", "1", ";", ",", "\t", " ", "'", "\\", "\0", "\u00e9", "\u2028", "\x0b", "\x1c", "\x85"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "\x1f"])
def test_a_line_without_quotes_has_the_cells_that_csv_gives_it(delimiter: str) -> None:
    dice, dialect = random.Random(7), Dialect(delimiter, "\n", False, False)
    for end in ("\n", "\r\n", "\r"):
        lines = ["".join(dice.choices([*SIGNS, delimiter], k=dice.randrange(12))) for _ in range(300)]
        header = delimiter.join("abc")
        found = read(end.join([header, *lines]).encode(), delimiter=delimiter)
        whole = {number: next(dialect.reader([line]), []) for number, line in enumerate(lines, start=2)}
        cut = {one.line: list(one.cells) for one in found.records if not one.fault}
        assert cut == {
            number: cells
            for number, cells in whole.items()
            if len(cells) == 3 and any(cells) and not any("\0" in cell for cell in cells)
        } | {number: cells for number, cells in cut.items() if not any(cells)}


def test_a_cell_that_is_longer_than_csv_reads_is_a_fault_of_its_line() -> None:
    found = read(b"a,b\n" + b"x" * csv.field_size_limit() + b"xx,1\nc,d\n")
    assert [(one.line, one.fault) for one in found.records] == [(2, Fault.QUOTING), (3, "")]


@pytest.mark.parametrize("delimiter", ["ab", '"', "\n", " "])
def test_what_cannot_part_cells_is_refused(delimiter: str) -> None:
    with pytest.raises(BadExtract, match="one character"):
        read(b"a,b\n1,2\n", delimiter=delimiter)
