"""The lines of a file that gave no opt-out, as people read them. No clear value is in them."""

import csv
import io
from collections.abc import Iterator
from typing import Final, NamedTuple

from tokens.exports.files import disarmed
from tokens.models import OptOutFile, OptOutReject
from tokens.opt_out_files.refusals import hint_of


class Reject(NamedTuple):
    """One line: which column is wrong, why, what stands there masked, and how to mend it."""

    line: int
    column: str
    code: str
    masked_value: str
    hint: str


HEADER: Final = Reject._fields


def of(file: OptOutFile) -> Iterator[Reject]:
    """The rejects of a file, by line."""
    rows = OptOutReject.objects.filter(file=file).order_by("line", "id")
    for line, column, code, masked in rows.values_list("line", "column", "code", "masked").iterator():
        yield Reject(line, column, code, masked, hint_of(code))


def as_csv(file: OptOutFile) -> Iterator[str]:
    """Lines of CSV for people: names of columns and masks come from the file, and none of them is a formula here."""
    yield _line(HEADER)
    for one in of(file):
        yield _line([str(one.line), *map(disarmed, one[1:])])


def _line(cells: "tuple[str, ...] | list[str]") -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
