"""The first sheet of an XLSX workbook as text, read in memory: no part of it touches a disk."""

import datetime
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from tokens.no_token_queue.errors import NotAnExtract, TooLarge

# What a few kilobytes may unpack to.
_LARGEST_UNPACKED: Final = 400_000_000
# A cell far out stands for all empty ones before it: a few kilobytes are millions of cells.
_MOST_COLUMNS: Final = 200
_MOST_ROWS: Final = 1_048_576  # a sheet's, by the format
_MOST_VISITED: Final = 20_000_000
_MOST_CELLS: Final = 5_000_000
_MOST_CHARACTERS: Final = 100_000_000


def rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row that holds something, up to its last filled cell. Raises NotAnExtract, TooLarge."""
    # Here, since every process of the portal imports this module, and few ever read a workbook: it takes 0.15 s.
    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(part.file_size for part in archive.infolist()) > _LARGEST_UNPACKED:
                raise TooLarge
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # exports write the wrong ones
        found = _filled(sheet.iter_rows(values_only=True))
    except (TooLarge, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - a broken one makes the libraries stumble in a dozen ways, and they quote it
        raise NotAnExtract from None
    return iter(found)


def _filled(rows: Iterable[Sequence[Any]]) -> list[tuple[int, list[str]]]:
    """The rows that hold something, while they are few enough to keep. Raises TooLarge."""
    found: list[tuple[int, list[str]]] = []
    visited = kept = characters = 0
    for line, cells in enumerate(rows, start=1):
        visited += len(cells)
        if line > _MOST_ROWS:
            raise TooLarge(f"more than {_MOST_ROWS:,} rows")
        if visited > _MOST_VISITED:
            raise TooLarge(f"more than {_MOST_VISITED:,} cells, most of them empty")
        if cells.count(None) == len(cells):
            continue
        texts = [_text(cell) for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        if not texts:
            continue
        found.append((line, texts))
        # Each row is filled up to the columns that the first one names.
        columns = len(found[0][1])
        if columns > _MOST_COLUMNS:
            raise TooLarge(f"more than {_MOST_COLUMNS} columns")
        kept += max(columns, len(texts))
        characters += sum(map(len, texts))
        if kept > _MOST_CELLS or characters > _MOST_CHARACTERS:
            raise TooLarge(f"more than {_MOST_CELLS:,} cells or {_MOST_CHARACTERS:,} characters")
    return found


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(" ")
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # numbers of people are stored as 13175550101.0
    return str(cell).replace("\0", "")
