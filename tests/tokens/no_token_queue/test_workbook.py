"""A workbook of a few kilobytes can't stand for more cells than the machine holds."""

import io
import tracemalloc
import zipfile

import pytest

from tests.tokens.no_token_queue.cast import HEADER, STOP, xlsx_of
from tokens.no_token_queue import workbook
from tokens.no_token_queue.errors import NotAnExtract, TooLarge
from tokens.no_token_queue.faults import Fault
from tokens.no_token_queue.reading import read

FEW_BYTES = 64 * 1024 * 1024
ORDINARY = xlsx_of(STOP)
TITLES = '<row r="1"><c r="A1" t="inlineStr"><is><t>Number</t></is></c></row>'


def crafted(rows: str) -> bytes:
    """A workbook whose sheet has these rows."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(ORDINARY)) as whole,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for name in whole.namelist():
            made.writestr(name, whole.read(name) if "sheet1" not in name else sheet(rows))
    return stream.getvalue()


def sheet(rows: str) -> str:
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return f'<worksheet xmlns="{space}"><sheetData>{rows}</sheetData></worksheet>'


def far_out(row: int) -> str:
    return f'<row r="{row}"><c r="XFD{row}"><v>7</v></c></row>'


def test_a_cell_in_the_last_corner_of_the_sheet_costs_neither_memory_nor_its_line() -> None:
    content = crafted(TITLES + far_out(1_048_576))
    tracemalloc.start()
    found = read(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < FEW_BYTES
    assert [(one.line, one.fault, one.raw.strip()) for one in found.records] == [
        (1_048_576, Fault.FIELDS, "7")
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (TITLES + "".join(map(far_out, range(2, 2_002))), "more than 5,000,000 cells"),
        (TITLES + '<row><c r="XFD2"/></row>' * 2_000, "most of them empty"),
        (TITLES + '<row r="9999999999"><c><v>7</v></c></row>', "more than 1,048,576 rows"),
        (far_out(1), "more than 200 columns"),
    ],
    ids=["wide rows", "empty cells", "empty rows", "columns"],
)
def test_a_few_kilobytes_that_stand_for_millions_of_cells_are_refused(rows: str, said: str) -> None:
    content = crafted(rows)
    assert len(content) < 100_000
    with pytest.raises(TooLarge, match=said):
        read(content)


def test_one_long_text_that_many_cells_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "_MOST_CHARACTERS", 1_000)
    with pytest.raises(TooLarge, match="characters"):
        read(xlsx_of(*[(*STOP[:2], "no" * 100, STOP[3])] * 5))


def test_empty_rows_are_passed_over_and_lines_keep_their_numbers() -> None:
    found = read(xlsx_of((None, None, None, None), STOP, ("", "", "", "")))
    assert found.header == HEADER
    assert [(one.line, one.cells) for one in found.records] == [(3, STOP)]


@pytest.mark.parametrize(
    ("part", "before", "after"),
    [
        ("xl/workbook.xml", b"<sheet ", b'<sheet unheard="of" '),  # openpyxl: TypeError
        ("xl/worksheets/sheet1.xml", b"<row", b"<r<w"),
    ],
)
def test_a_broken_workbook_is_refused_without_a_word_of_it(part: str, before: bytes, after: bytes) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(ORDINARY)) as whole, zipfile.ZipFile(stream, "w") as made:
        for name in whole.namelist():
            content = whole.read(name)
            made.writestr(name, content.replace(before, after) if name == part else content)
    with pytest.raises(NotAnExtract) as refused:
        read(stream.getvalue())
    assert refused.value.__cause__ is None
    assert str(refused.value) == str(NotAnExtract())


def test_a_workbook_whose_bytes_are_damaged_is_refused() -> None:
    damaged = bytearray(ORDINARY)
    with zipfile.ZipFile(io.BytesIO(ORDINARY)) as whole:
        begins = whole.getinfo("xl/worksheets/sheet1.xml").header_offset
    for place in range(begins + 60, begins + 120):  # its deflated bytes: zlib.error
        damaged[place] ^= 0xFF
    with pytest.raises(NotAnExtract):
        read(bytes(damaged))
