"""How a CSV file is written: delimiter, quoting, line ends, byte order mark. Detected, shown, overridable."""

import csv
import io
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

DELIMITERS: Final = ",;\t|^\x1f"
NAMES: Final = {
    ",": "comma",
    ";": "semicolon",
    "\t": "tab",
    "|": "pipe",
    "^": "caret",
    "\x1f": "unit separator",
}
_SAMPLE_RECORDS: Final = 50


@dataclass(frozen=True, slots=True)
class Dialect:
    """The dialect of a source, in which its output is written too."""

    delimiter: str
    line_end: str
    quote_all: bool
    bom: bool

    @property
    def name(self) -> str:
        """The delimiter as people call it."""
        return NAMES.get(self.delimiter, repr(self.delimiter))

    def reader(self, lines: Any) -> Any:
        """A csv reader over `lines`. Strict: what is quoted wrongly is an error, not a guess."""
        return csv.reader(lines, delimiter=self.delimiter, strict=True)

    def rows(self, text: str) -> list[list[str]]:
        """The records of `text` without blank lines."""
        return [row for row in self.reader(io.StringIO(text, newline="")) if row]

    def text(self, rows: Any) -> str:
        """`rows` as they stand in a file of this dialect."""
        quoting: Literal[0, 1] = csv.QUOTE_ALL if self.quote_all else csv.QUOTE_MINIMAL
        lines = _Lines()
        # Told the real line end, csv would leave a \r without quotes where lines end in \n.
        csv.writer(lines, delimiter=self.delimiter, lineterminator="\r\n", quoting=quoting).writerows(rows)
        return "".join(line[:-2] + self.line_end for line in lines)

    def stored(self) -> dict[str, Any]:
        """As it stands in the job's row."""
        return asdict(self)


class _Lines(list[str]):
    """Collects what csv writes, a line at a time."""

    def write(self, line: str) -> None:
        self.append(line)


def detect(sample: str, *, delimiter: str | None, bom: bool) -> Dialect:
    """The dialect of a file that begins with `sample`, which ends at the end of a line or of the file."""
    delimiter = delimiter or _delimiter(sample)
    return Dialect(delimiter, _line_end(sample), _quotes_all(sample, delimiter), bom)


def _delimiter(sample: str) -> str:
    """The candidate that cuts most records as it cuts the first one, and of these into the most fields."""
    best, best_score = ",", (0.0, 1)
    for candidate in DELIMITERS:
        score = _score(sample, candidate)
        if score[1] > 1 and score > best_score:
            best, best_score = candidate, score
    return best


def _score(sample: str, delimiter: str) -> tuple[float, int]:
    widths = []
    try:
        for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
            if row:
                widths.append(len(row))
            if len(widths) == _SAMPLE_RECORDS:
                break
    except csv.Error:
        return (0.0, 0)
    return (widths.count(widths[0]) / len(widths), widths[0]) if widths else (0.0, 0)


def _line_end(sample: str) -> str:
    first = next(iter(io.StringIO(sample, newline="")), "")
    return next((end for end in ("\r\n", "\n", "\r") if first.endswith(end)), "\n")


def _quotes_all(sample: str, delimiter: str) -> bool:
    """Whether every field of the first lines is quoted; then the output is written so too."""
    lines = [line.strip("\r\n") for line in io.StringIO(sample, newline="")][1:_SAMPLE_RECORDS]
    between = f'"{delimiter}"'
    return bool(lines) and all(
        len(line) > 1 and line[0] == line[-1] == '"' and line.count(delimiter) == line.count(between)
        for line in lines
    )
