"""The file of an export: strings that stay strings, formulas that don't run, and an end that says that it is one."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens.exports import files, workbook

FACTS = {"export": "payload log", "case": "C-1", "taken_by": "olivia"}
COLUMNS = ("name", "value")
FORMULAS = [
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", " =1+1", '=HYPERLINK("http://x.example","y")',
    "=cmd|' /C calc'!A0", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x", "   \t @x",
]  # fmt: skip
NAMESPACE = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def csv_rows(*rows: list[str]) -> list[list[str]]:
    data = b"".join(files.as_csv(FACTS, COLUMNS, iter(rows))).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(data, newline="")))


def book_of(*rows: list[str]) -> dict[str, list[list[str]]]:
    """The sheets of the workbook by name, read as Excel reads them."""
    data = b"".join(files.as_xlsx(FACTS, COLUMNS, iter(rows)))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        frame = _parsed(archive.read("xl/workbook.xml"))
        names = [str(sheet.get("name")) for sheet in frame.iterfind(".//m:sheet", NAMESPACE)]
        return {
            name: list(_cells(archive.read(f"xl/worksheets/sheet{number}.xml")))
            for number, name in enumerate(names, start=1)
        }


def _cells(sheet: bytes) -> Iterator[list[str]]:
    for row in _parsed(sheet).iterfind(".//m:row", NAMESPACE):
        cells = row.findall("m:c", NAMESPACE)
        assert {cell.get("t") for cell in cells} <= {"inlineStr"}, "a cell that is no string"
        assert not row.findall(".//m:f", NAMESPACE), "a formula"
        yield [_decoded("".join(cell.itertext())) for cell in cells]


def _parsed(part: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(part)  # noqa: S314 - our own


def _decoded(text: str) -> str:
    return re.sub(r"_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), text)


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_of_a_csv_begins_as_a_formula(formula: str) -> None:
    cells = csv_rows(["name", formula])[2]
    assert cells[1] == "'" + formula
    assert not cells[1].lstrip().startswith(files.FORMULA_BEGINS)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_csv_that_is_written_as_it_comes_would_hold_the_formula(formula: str) -> None:
    """The known-bad twin: what the writer of the standard library makes of it."""
    line = io.StringIO()
    csv.writer(line).writerow(["name", formula])
    [cells] = csv.reader(io.StringIO(line.getvalue(), newline=""))
    assert cells[1].lstrip().startswith(files.FORMULA_BEGINS) or cells[1].startswith(files.FORMULA_BEGINS)


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_whatever_is_in_a_cell_of_a_csv_it_is_one_cell_and_no_formula(text: str) -> None:
    [found] = csv_rows(["name", text])[2:-1]
    assert len(found) == 2
    assert found[1].removeprefix("'") == text.removeprefix("'") or found[1] == text
    assert not found[1].startswith(files.FORMULA_BEGINS)


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_whatever_is_in_a_cell_of_a_workbook_it_is_that_string(text: str) -> None:
    shown = book_of(["name", text])["Rows"][1][1]
    expected = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", text)
    assert shown == expected


def test_what_looks_like_an_escape_of_excel_stays_as_it_is() -> None:
    assert book_of(["x", "_x0041_"])["Rows"][1][1] == "_x0041_"


def test_a_number_in_a_csv_is_digits_without_a_plus() -> None:
    assert csv_rows(["ana", "447700900123"])[2] == ["ana", "447700900123"]


def test_each_file_says_who_when_which_case_and_that_it_is_whole() -> None:
    rows = [["a", "1"], ["b", "2"]]
    first, *_, last = csv_rows(*rows)
    assert "case: C-1" in first
    assert "taken_by: olivia" in first
    assert last == ["End of the export: 2 rows"]
    lines = [json.loads(line) for line in b"".join(files.as_jsonl(FACTS, COLUMNS, iter(rows))).splitlines()]
    assert lines == [
        {"export": FACTS},
        {"name": "a", "value": "1"},
        {"name": "b", "value": "2"},
        {"end": {"rows": 2}},
    ]
    book = book_of(*rows)
    assert ["case", "C-1"] in book["About"]
    assert book["Rows"] == [["name", "value"], *rows]


def test_half_a_workbook_does_not_open() -> None:
    pieces = list(files.as_xlsx(FACTS, COLUMNS, iter([["a", "1"]])))
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(pieces[:-1])))


def test_more_rows_than_a_sheet_holds_go_on_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "ROWS_A_SHEET", 4)
    rows = [[str(number), "x"] for number in range(7)]
    book = book_of(*rows)
    assert list(book) == ["About", "Rows", "Rows 2", "Rows 3"]
    assert [row for name in book if name != "About" for row in book[name][1:]] == rows
    assert book_of(*rows[:6])["Rows 2"][1:] == rows[3:6]
    assert book_of()["Rows"] == [["name", "value"]]


def test_a_workbook_is_given_away_while_it_is_written() -> None:
    """Memory does not grow with the rows: most of the file is out before the last row was asked for."""
    given_away, asked = 0, 0

    def rows() -> Iterator[list[str]]:
        nonlocal asked
        for number in range(20_000):
            asked = number
            yield [str(number) * 3, f"{number * 7919 % 100_003:x}" * 4]

    for piece in files.as_xlsx(FACTS, COLUMNS, rows()):
        if asked < 19_000:
            given_away += len(piece)
            assert len(piece) < 4 * workbook.FLUSH
    assert given_away > 100_000
