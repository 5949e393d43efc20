"""A file becomes records: CSV, TSV or XLSX, each line by itself, so that a broken one takes no other with it.

`tokens.bulk.sources` refuses a file for its first bad line, as a file of contacts should be. Here every line may be
somebody's STOP: what can't be read is handed on as it was written, with its line and fault.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from audit.free_text import names_a_person
from tokens.bulk import dialects
from tokens.bulk.dialects import Dialect
from tokens.formats.lookalikes import looks_like_identifier
from tokens.no_token_queue import workbook
from tokens.no_token_queue.errors import (
    BadExtract,
    BadHeader,
    EmptyExtract,
    NotAnExtract,
    TooLarge,
    WrongEncoding,
)
from tokens.no_token_queue.faults import Fault

# (code, words); "" finds it by itself.
ENCODINGS: Final = (
    ("", "found by itself"),
    ("utf-8", "UTF-8"),
    ("utf-16", "UTF-16"),
    ("windows-1252", "Windows-1252 (Western)"),
)
LARGEST_BYTES: Final = 50_000_000
# A text message has a few lines; a quote that stays open longer was never meant to.
_LINES_OF_A_RECORD: Final = 40
_MOST_COLUMNS: Final = 200
_NO_DELIMITERS: Final = ('"', " ", "\r", "\n", "\0")
_SAMPLE_CHARACTERS: Final = 1 << 16
_FOREIGN: Final = (
    b"\xd0\xcf\x11\xe0",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
    b"PAR1",
    b"%PDF",
)


@dataclass(frozen=True, slots=True)
class Record:
    """One line after the header. `cells` is empty when it could not be cut; then `fault` says why.

    `raw` is the line as it was written, bytes that are no text as backslash escapes.
    """

    line: int
    cells: tuple[str, ...] = field(repr=False)
    raw: str = field(repr=False)
    fault: str = ""
    column: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file that was read. `written_as` says how: `semicolon, UTF-8`."""

    header: tuple[str, ...]
    records: tuple[Record, ...] = field(repr=False)
    written_as: str = ""


class Scan(NamedTuple):
    """A file whose records are read as they are asked for."""

    header: tuple[str, ...]
    records: Iterator[Record]
    written_as: str


def collect(blocks: Iterable[bytes], *, most: int = LARGEST_BYTES) -> bytes:
    """The bytes of a file. Raises TooLarge."""
    content = bytearray()
    for block in blocks:
        content += block
        if len(content) > most:
            raise TooLarge(f"more than {most // 1_000_000} MB")
    return bytes(content)


def read(content: bytes, *, encoding: str = "", delimiter: str = "") -> Sheet:
    """The records of a file. Raises BadExtract; what is wrong with single lines stands in their records."""
    found = scan(content, encoding=encoding, delimiter=delimiter)
    return Sheet(found.header, tuple(found.records), found.written_as)


def scan(content: bytes, *, encoding: str = "", delimiter: str = "") -> Scan:
    """As `read`, in less memory."""
    if content.startswith(b"PK\x03\x04"):
        return _of_workbook(content)
    if content.startswith(_FOREIGN):
        raise NotAnExtract
    if len(delimiter) > 1 or delimiter in _NO_DELIMITERS:
        raise BadExtract("a delimiter is one character, and no quote, blank or end of a line")
    text, named = _decoded(content, encoding)
    lines = list(io.StringIO(text, newline=""))
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise EmptyExtract
    sample = text[:_SAMPLE_CHARACTERS]
    dialect = dialects.detect(
        sample[: sample.rfind("\n") + 1] or sample, delimiter=delimiter or None, bom=False
    )
    try:
        header = next(dialect.reader(lines[first : first + 1]))
    except csv.Error:
        raise BadHeader("a quote is not closed") from None
    _check(header)
    records = _records(lines, first + 1, dialect, header)
    return Scan(tuple(header), records, f"{dialect.name}, {named}")


def _check(header: list[str]) -> None:
    # UTF-16 that does not say so, and UTF-32, are half NULs.
    if any(_is_broken(name) or "\0" in name for name in header):
        raise WrongEncoding("line 1")
    if any(looks_like_identifier(name) is not None or names_a_person(name) for name in header):
        raise BadHeader("it looks like data")
    if len(header) > _MOST_COLUMNS:
        raise TooLarge(f"more than {_MOST_COLUMNS} columns")
    repeated = [name for name, times in Counter(header).items() if name and times > 1]
    if repeated:
        raise BadHeader(f"{', '.join(sorted(repeated))}: twice")


def _decoded(content: bytes, encoding: str) -> tuple[str, str]:
    """The text with undecodable bytes as lone surrogates, and the name of its encoding."""
    if not encoding:
        is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = "utf-16" if is_utf_16 else "utf-8"
    if encoding == "utf-16":
        try:
            return content.decode("utf-16").removeprefix("\ufeff"), "UTF-16"
        except UnicodeDecodeError as error:
            line = content[: error.start].decode("utf-16", "ignore").count("\n") + 1
            raise WrongEncoding(f"line {line:,}") from None
    name = dict(ENCODINGS)[encoding]
    codec = "utf-8-sig" if encoding == "utf-8" else "cp1252"
    return content.decode(codec, "surrogateescape"), name


def _records(lines: list[str], start: int, dialect: Dialect, header: list[str]) -> Iterator[Record]:
    at = start
    while at < len(lines):
        record, used = _record(lines, at, dialect, header)
        if record is not None:
            yield record
        at += used


def _record(lines: list[str], at: int, dialect: Dialect, header: list[str]) -> tuple[Record | None, int]:
    """The record that begins on a line, and how many lines it takes. A broken one takes its first line only."""
    try:
        cells, used = _cells(lines, at, dialect)
    except csv.Error:
        return _bad(lines[at], at, Fault.QUOTING), 1
    if not any(cells) and used == 1 and not lines[at].strip(f"\r\n {dialect.delimiter}"):
        return None, 1
    if len(cells) != len(header):
        return _bad(lines[at], at, Fault.FIELDS), 1
    raw = "".join(lines[at : at + used])
    for name, cell in zip(header, cells, strict=True):
        if _is_broken(cell) or "\0" in cell:
            return _bad(raw, at, Fault.NUL if "\0" in cell else Fault.NOT_TEXT, name), used
    return Record(at + 1, tuple(cells), raw.rstrip("\r\n")), used


def _cells(lines: list[str], at: int, dialect: Dialect) -> tuple[list[str], int]:
    """The cells of the record that begins on a line, and how many lines it takes. Raises csv.Error."""
    line = lines[at]
    if '"' not in line and len(line) <= csv.field_size_limit():
        return line.rstrip("\r\n").split(dialect.delimiter), 1  # as csv does it, in a tenth of the time
    reader = dialect.reader(lines[at : at + _LINES_OF_A_RECORD])
    return next(reader), reader.line_num


def _bad(raw: str, at: int, fault: Fault, column: str = "") -> Record:
    return Record(at + 1, (), printable(raw.rstrip("\r\n")), fault, column)


def printable(raw: str) -> str:
    """`raw` as PostgreSQL and UTF-8 can keep it; nothing of it is lost."""
    whole = raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return whole.replace("\0", "\\x00")


def _is_broken(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text) if not text.isascii() else False


def _of_workbook(content: bytes) -> Scan:
    rows = workbook.rows(content)
    header = next(((line, cells) for line, cells in rows if any(cells)), None)
    if header is None:
        raise EmptyExtract
    names = list(header[1])
    while names and not names[-1]:
        names.pop()
    _check(names)
    return Scan(tuple(names), _of_cells(rows, names), "XLSX workbook")


def _of_cells(rows: Iterator[tuple[int, list[str]]], names: list[str]) -> Iterator[Record]:
    for line, cells in rows:
        if not any(cells):
            continue
        raw = printable("\t".join(cells).rstrip("\t"))
        if any(cells[len(names) :]):
            yield Record(line, (), raw, Fault.FIELDS)
            continue
        padded = (cells + [""] * len(names))[: len(names)]
        yield Record(line, tuple(padded), raw)
