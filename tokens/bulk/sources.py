"""A CSV file, read once from front to back in bounded memory, and cut into slices on record boundaries.

The cutting is done by the same csv reader that the workers use, so a quoted line end can't be taken for the end of
a record by one and not by the other. It costs a microsecond a row.
"""

import codecs
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tokens.bulk import dialects, errors
from tokens.bulk.columns import quoted
from tokens.formats.lookalikes import looks_like_identifier

BLOCK_BYTES: Final = 1 << 20
# A slice ends at so many characters even if it has fewer rows than asked for, so that memory stays bounded.
SLICE_CHARACTERS: Final = 4 << 20
# No line of contacts is as long; with this a file without line ends is refused before it fills the memory.
LINE_CHARACTERS: Final = 1 << 20
_SAMPLE_BYTES: Final = 1 << 16
_BOM: Final = "\ufeff"
# Beginnings of files that are no UTF-8 text, and what they are.
_FOREIGN: Final = {
    b"\xff\xfe": "it is UTF-16",
    b"\xfe\xff": "it is UTF-16",
    b"PK\x03\x04": "it is a ZIP archive or a spreadsheet",
    b"\xd0\xcf\x11\xe0": "it is a spreadsheet",
    b"\x1f\x8b": "it is compressed with gzip",
    b"BZh": "it is compressed with bzip2",
    b"\xfd7zXZ": "it is compressed with xz",
    b"\x28\xb5\x2f\xfd": "it is compressed with zstandard",
    b"PAR1": "it is a Parquet file",
    b"%PDF": "it is a PDF",
}


@dataclass(frozen=True, slots=True)
class Slice:
    """Whole records of a file as they were written. `first_line` counts from 1; `lines` are physical ones."""

    first_line: int
    lines: int
    rows: int
    text: str


class Source:
    """The file behind `blocks` of bytes. Reads the header at once; `slices` gives the rest. Raises BadFile."""

    def __init__(self, blocks: Iterable[bytes], *, delimiter: str | None = None) -> None:
        self.bytes = 0
        self._sha256 = hashlib.sha256()
        self._lines_read = 0
        self._record_line = 1
        self._kept: list[str] = []
        self._kept_characters = 0
        texts = self._texts(blocks)
        first = next(texts, "")
        bom = first.startswith(_BOM)
        first = first.removeprefix(_BOM)
        self.dialect = dialects.detect(_sample_of(first), delimiter=delimiter, bom=bom)
        self._reader = self.dialect.reader(self._recorded(self._lines(first, texts)))
        self.header = self._read_header()
        self.header_text = self._take()

    def slices(self, rows_each: int) -> Iterator[Slice]:
        """The records after the header in slices of `rows_each` rows. Raises BadFile that names the line."""
        while True:
            first_line = self._lines_read + 1
            rows = self._read_rows(rows_each)
            lines = self._lines_read + 1 - first_line
            if not lines:
                return
            text = self._take()
            if rows:
                yield Slice(first_line, lines, rows, text)

    def sha256(self) -> bytes:
        """Digest of the bytes read so far; of the whole file once `slices` is exhausted."""
        return self._sha256.digest()

    # -- records --------------------------------------------------------------------------------------------
    def _read_header(self) -> list[str]:
        header = next(self._records(), [])
        if not any(header):
            raise errors.EmptyFile if not self._kept else errors.NoHeader("it is blank")
        for name in header:
            if looks_like_identifier(name) is not None:
                raise errors.NoHeader
        times = Counter(header)
        repeated = [
            shown for name, shown in zip(header, quoted(header), strict=True) if name and times[name] > 1
        ]
        if repeated:
            raise errors.DuplicateColumn(", ".join(dict.fromkeys(repeated)))
        return header

    def _read_rows(self, rows_each: int) -> int:
        """Let the reader consume up to `rows_each` records; blank lines are none."""
        rows, width = 0, len(self.header)
        for row in self._records():
            if len(row) != width:
                if not row:
                    continue
                raise self._ragged(len(row))
            rows += 1
            if rows == rows_each or self._kept_characters >= SLICE_CHARACTERS:
                break
        return rows

    def _records(self) -> Iterator[list[str]]:
        while True:
            self._record_line, before = self._lines_read + 1, self._kept_characters
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error:
                longest = csv.field_size_limit()
                too_long = self._kept_characters - before > longest
                raise (errors.FieldTooLong if too_long else errors.BadQuoting)(self._place()) from None
            yield row

    def _ragged(self, fields: int) -> errors.RaggedRow:
        return errors.RaggedRow(
            f"{self._place()}: {fields} fields, the header has {len(self.header)}; delimiter {self.dialect.name}"
        )

    def _place(self) -> str:
        return f"line {self._record_line:,}"

    # -- lines ----------------------------------------------------------------------------------------------
    def _recorded(self, lines: Iterator[str]) -> Iterator[str]:
        """`lines`, kept as they were written until `_take`."""
        for line in lines:
            self._kept.append(line)
            self._kept_characters += len(line)
            self._lines_read += 1
            if self._kept_characters > SLICE_CHARACTERS + 2 * LINE_CHARACTERS:
                raise errors.RecordTooLong(self._place())
            yield line

    def _lines(self, rest: str, texts: Iterator[str]) -> Iterator[str]:
        """Lines with their ends, \\n, \\r\\n or \\r, as csv wants them; no other character ends one."""
        while True:
            # A \r at the very end may be the first half of \r\n.
            end = rest.rfind("\n") + 1 or rest.rfind("\r", 0, -1) + 1
            if end:
                yield from io.StringIO(rest[:end], newline="")
                rest = rest[end:]
            if len(rest) > LINE_CHARACTERS:
                raise errors.RecordTooLong(f"line {self._lines_read + 1:,}")
            text = next(texts, "")
            if not text:
                break
            rest += text
        yield from io.StringIO(rest, newline="")

    def _take(self) -> str:
        text = "".join(self._kept)
        self._kept.clear()
        self._kept_characters = 0
        return text

    # -- bytes ----------------------------------------------------------------------------------------------
    def _texts(self, blocks: Iterable[bytes]) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        line_ends = 0
        for block in _with_beginning_and_end(blocks):
            if not self.bytes:
                _refuse_foreign(block)
            self.bytes += len(block)
            self._sha256.update(block)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line = line_ends + error.object[: error.start].count(b"\n") + 1
                raise errors.NotUtf8(f"line {line:,}") from None
            if "\0" in text:
                line = line_ends + text[: text.index("\0")].count("\n") + 1
                raise errors.NulCharacter(f"line {line:,}")
            line_ends += text.count("\n")
            if text:
                yield text


def _with_beginning_and_end(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks, the first one long enough to judge the file by, and an empty one behind them."""
    rest, first = iter(blocks), b""
    for block in rest:
        first += block
        if len(first) >= _SAMPLE_BYTES:
            break
    if first:
        yield first
    yield from filter(None, rest)
    yield b""


def _refuse_foreign(block: bytes) -> None:
    for beginning, what in _FOREIGN.items():
        if block.startswith(beginning):
            raise errors.NotText(what)


def _sample_of(first: str) -> str:
    """The beginning of a file up to a line end."""
    sample = first[:_SAMPLE_BYTES]
    end = max(sample.rfind("\n"), sample.rfind("\r")) + 1
    return sample[:end] if end and len(first) > len(sample) else sample
