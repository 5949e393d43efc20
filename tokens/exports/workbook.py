"""An Excel workbook of strings, written as it is read: no file of it ever lies on a disk.

openpyxl was looked at: its write-only mode keeps memory small by writing each sheet to a temporary file first, in the
clear. What is needed here is one kind of cell, the inline string, in a zip that is written forwards.
"""

import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Final
from xml.sax.saxutils import escape, quoteattr

# Excel reads no more rows in a sheet, and no longer texts in a cell.
ROWS_A_SHEET: Final = 1_048_576
LONGEST_CELL: Final = 32_767
FLUSH: Final = 65_536
# What XML can't hold. Excel would also take `_x0041_` for an A, so its underscore is written the same way.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPE_LIKE: Final = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


class _Pipe:
    """What zipfile writes into, and what was written taken out again."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def write(self, data: bytes) -> int:
        self.waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing lies behind this."""

    def close(self) -> None:
        """Nothing to close."""

    def taken(self) -> bytes:
        data = bytes(self.waiting)
        self.waiting.clear()
        return data


class Workbook:
    """Sheets one after the other; each method gives the bytes that it made."""

    def __init__(self) -> None:
        self._pipe = _Pipe()
        self._zip = zipfile.ZipFile(self._pipe, "w", zipfile.ZIP_DEFLATED)
        self._names: list[str] = []

    def table(self, name: str, columns: Iterable[str], rows: Iterator[list[str]]) -> Iterator[bytes]:
        """As many sheets as the rows need, each with the columns at its top; one even without rows."""
        head, number = list(columns), 0
        first: list[str] | None = next(rows, None)
        while first is not None or number == 0:
            number += 1
            left = [head] if first is None else [head, first]
            part = _Part(rows, ROWS_A_SHEET - len(left))
            yield from self.sheet(name if number == 1 else f"{name} {number}", _chained(left, part))
            first = part.beyond()

    def sheet(self, name: str, rows: Iterable[list[str]]) -> Iterator[bytes]:
        """One sheet."""
        self._names.append(name)
        with self._zip.open(f"xl/worksheets/sheet{len(self._names)}.xml", "w", force_zip64=True) as file:
            file.write(f'{_DECLARATION}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
            for number, row in enumerate(rows, start=1):
                file.write(_row(number, row))
                if len(self._pipe.waiting) > FLUSH:
                    yield self._pipe.taken()
            file.write(b"</sheetData></worksheet>")
        yield self._pipe.taken()

    def end(self) -> Iterator[bytes]:
        """What names the sheets, and the directory of the zip."""
        for name, text in self._frame().items():
            self._zip.writestr(name, _DECLARATION + text)
        self._zip.close()
        yield self._pipe.taken()

    def _frame(self) -> dict[str, str]:
        sheets = list(enumerate(self._names, start=1))
        types = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
            for n, _ in sheets
        )
        listed = "".join(f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="s{n}"/>' for n, name in sheets)
        links = "".join(
            f'<Relationship Id="s{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n, _ in sheets
        )
        return {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>{types}</Types>',
            "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
            f'<Relationship Id="b" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>',
        }


class _Part:
    """At most so many of the rows that are left; `beyond` is the one after them, if there is one."""

    def __init__(self, rows: Iterator[list[str]], most: int) -> None:
        self._rows, self._most = rows, most

    def __iter__(self) -> Iterator[list[str]]:
        for _ in range(self._most):
            row = next(self._rows, None)
            if row is None:
                return
            yield row

    def beyond(self) -> list[str] | None:
        return next(self._rows, None)


def _chained(first: list[list[str]], rest: Iterable[list[str]]) -> Iterator[list[str]]:
    yield from first
    yield from rest


def _row(number: int, row: list[str]) -> bytes:
    cells = "".join(
        f'<c t="inlineStr"><is><t xml:space="preserve">{_text(cell)}</t></is></c>' for cell in row
    )
    return f'<row r="{number}">{cells}</row>'.encode()


def _text(cell: str) -> str:
    safe = _CONTROLS.sub("\ufffd", cell if len(cell) <= LONGEST_CELL else cell[: LONGEST_CELL - 1] + "…")
    return escape(_ESCAPE_LIKE.sub("_x005F_", safe), {"\r": "_x000D_"})
