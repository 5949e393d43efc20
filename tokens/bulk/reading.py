"""From the text of a slice to cells that the vault can hold: parsed, normalised, judged. No database.

This runs for every cell of every file. What is done for each cell is kept short, and what can be is done for a whole
column at once.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tokens.bulk.columns import ColumnMap
from tokens.bulk.dialects import Dialect
from tokens.bulk.reasons import RowReason
from tokens.formats.kinds import Kind
from tokens.formats.lookalikes import is_own_value, looks_like_identifier
from tokens.formats.normalise import InvalidValue, normaliser
from tokens.models import BulkJob

LONGEST_KEY: Final = 254
_NUMBERISH: Final = re.compile(r"[+0-9 .\-/()]{7,}")


@dataclass(slots=True)
class IdentifierColumn:
    """A column of addresses or numbers.

    `forms` are normalised, None where there is nothing to convert; `tokens` are what may be tokens of ours, by row;
    `refused` are the codes of cells that are to be emptied, by row.
    """

    kind: Kind
    name: str
    cells: Sequence[str]
    forms: list[str | None] = field(default_factory=list)
    tokens: dict[int, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    blank: int = 0


@dataclass(slots=True)
class Reading:
    """The cells of a slice. `keys` are the subscriber keys, None in rows without one."""

    columns: list[Sequence[str]]
    rows: int
    lines: Sequence[int]
    identifiers: list[IdentifierColumn]
    keys: list[str | None]
    refused_keys: dict[int, str] = field(default_factory=dict)
    keys_to_derive: list[int] = field(default_factory=list)

    def refuse_rows(self, rows: dict[int, str], cell_code: str = RowReason.ROW_WITHOUT_KEY) -> None:
        """Give up rows whose subscriber key is refused: without it their cells can't be converted either."""
        for row, code in rows.items():
            self.keys[row] = None
            self.refused_keys[row] = code
            for column in self.identifiers:
                if column.forms[row] is not None or row in column.tokens:
                    column.forms[row] = None
                    column.tokens.pop(row, None)
                    column.refused[row] = cell_code


class Reader:
    """Reads the slices of one job."""

    def __init__(self, job: BulkJob) -> None:
        self.dialect = Dialect(**job.dialect)
        self.map = ColumnMap.from_stored(job.columns)
        self.header: list[str] = job.header
        self.region = job.region
        self.derive_keys = job.derive_keys
        self.accepts_identifiers = job.enterprise.identifier_keys_allowed
        self.numbers_are_identifiers = job.keys_are_identifiers
        self.token_domain = job.enterprise.token_domain
        self.normalisers: dict[Kind, Callable[[str], str]] = {
            kind: normaliser(kind, default_region=job.region) for kind in Kind
        }

    def read(self, text: str, *, first_line: int, lines: int) -> Reading:
        """The cells of a slice that begins on `first_line` and has `lines` physical lines."""
        rows = self.dialect.rows(text)
        columns: list[Sequence[str]] = list(zip(*rows, strict=True))
        starts = range(first_line, first_line + lines)
        reading = Reading(
            columns=columns,
            rows=len(rows),
            lines=starts if lines == len(rows) else self._starts(text, first_line),
            identifiers=[
                self._read_identifiers(kind, name, columns[self.header.index(name)])
                for kind, name in self.map.identifiers()
            ],
            keys=[None] * len(rows),
        )
        if self.map.subscriber_key:
            self._read_keys(reading, columns[self.header.index(self.map.subscriber_key)])
        return reading

    def _starts(self, text: str, first_line: int) -> list[int]:
        """The line on which each row begins, where there are blank lines or quoted line ends."""
        reader, starts, before = self.dialect.reader(io.StringIO(text, newline="")), [], 0
        for row in reader:
            if row:
                starts.append(first_line + before)
            before = reader.line_num
        return starts

    def _read_identifiers(self, kind: Kind, name: str, cells: Sequence[str]) -> IdentifierColumn:
        column = IdentifierColumn(kind, name, cells)
        normalise, forms, refused = self.normalisers[kind], column.forms, column.refused
        for row, cell in enumerate(cells):
            try:
                forms.append(normalise(cell) if cell else None)
            except InvalidValue as error:
                forms.append(None)
                if cell.strip():
                    refused[row] = error.code.value
        column.blank = forms.count(None) - len(refused)
        if kind == Kind.EMAIL:
            ending = f"@{self.token_domain}"
            column.tokens = {
                row: form for row, form in enumerate(forms) if form is not None and form.endswith(ending)
            }
        else:
            # As it was written, for in a file with a region normalising reads digits as a national number.
            column.tokens = {
                row: token
                for row, cell in enumerate(cells)
                if (token := digits if (digits := cell.strip(" +")).isdigit() else forms[row])
            }
        return column

    def _read_keys(self, reading: Reading, cells: Sequence[str]) -> None:
        keys, codes = reading.keys, {}
        for row, cell in enumerate(cells):
            key = cell.strip()
            if not key:
                continue
            keys[row] = key
            if len(key) > LONGEST_KEY or not key.isprintable():
                codes[row] = RowReason.KEY_MALFORMED.value
            elif self._names_somebody(key, row, reading):
                if self.derive_keys:
                    reading.keys_to_derive.append(row)
                else:
                    codes[row] = RowReason.KEY_IS_IDENTIFIER.value
        reading.refuse_rows(codes)

    def _names_somebody(self, key: str, row: int, reading: Reading) -> bool:
        """Whether a key is an address, the row's own number, or, in a column of numbers, any number."""
        if self.accepts_identifiers:
            return False
        if not key.isascii() or "@" in key or "%40" in key:
            return looks_like_identifier(key, default_region=self.region) is not None
        if not _NUMBERISH.fullmatch(key):
            return False
        if (
            self.numbers_are_identifiers
            and looks_like_identifier(key, default_region=self.region) is not None
        ):
            return True
        return any(
            form is not None and form[-4:] == key[-4:] and is_own_value(key, Kind.MOBILE, form)
            for form in (column.forms[row] for column in reading.identifiers if column.kind == Kind.MOBILE)
        )
