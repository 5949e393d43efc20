"""The first sheet of an XLSX workbook as text, read in memory: no part of it touches a disk."""

import datetime
import io
import zipfile
from collections.abc import Iterator
from typing import Any, Final
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from tokens.no_token_queue.errors import NotAnExtract, TooLarge

# What a few kilobytes may unpack to.
_LARGEST_UNPACKED: Final = 400_000_000


def rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row. Raises NotAnExtract, TooLarge."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(part.file_size for part in archive.infolist()) > _LARGEST_UNPACKED:
                raise TooLarge
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # exports write the wrong ones
        found = [
            (line, [_text(cell) for cell in cells])
            for line, cells in enumerate(sheet.iter_rows(values_only=True), start=1)
        ]
    except (zipfile.BadZipFile, InvalidFileException, KeyError, IndexError, ValueError, ParseError, OSError):
        raise NotAnExtract from None
    return iter(found)


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(" ")
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # numbers of people are stored as 13175550101.0
    return str(cell).replace("\0", "")
