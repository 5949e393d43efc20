"""The file of an export, written as it is taken: slice after slice, so that memory does not grow with its rows.

Every form says at its beginning who takes it, when and for which case, and at its end how many rows it has: half a
file is known as such.
"""

import csv
import datetime
import io
import json
from collections.abc import Callable, Iterator
from typing import Final

from audit.models import RecordKind
from audit.retention import gaps
from tokens.errors import ExportGone
from tokens.exports import rows, slices
from tokens.exports.workbook import Workbook
from tokens.models import Export, ExportSlice

Form = Export.Form
TYPES: Final = {
    Form.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Form.CSV: "text/csv; charset=utf-8",
    Form.JSONL: "application/jsonl; charset=utf-8",
}
# What spreadsheets take for the beginning of a formula, its full-width forms included.
FORMULA_BEGINS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
Rows = Iterator[list[str]]
# Of what months are dropped: a file says which ones are not in it.
KINDS: Final = {Export.What.LOG: RecordKind.PAYLOAD, Export.What.EVENTS: RecordKind.EVENT}


def stream(export: Export, *, taken_by: str, taken_at: datetime.datetime) -> Iterator[bytes]:
    """The bytes of the file. Raises ExportGone when it expires meanwhile, and CannotOpen."""
    facts = watermark(export, taken_by, taken_at)
    columns = rows.SORTS[Export.What(export.what)].columns
    return WRITERS[Form(export.form)](facts, columns, _rows(export))


def watermark(export: Export, taken_by: str, taken_at: datetime.datetime) -> dict[str, str]:
    """Who, when and for which case: what each file says of itself."""
    kind = KINDS.get(Export.What(export.what))
    return {
        "export": export.get_what_display(),
        "enterprise": export.enterprise.name,
        "values": "in clear" if export.clear else "masked",
        "case": export.case,
        "requested_by": export.requested_by_name,
        "taken_by": taken_by,
        "taken_at": taken_at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "only": ", ".join(f"{name} {value}" for name, value in export.only.items()) or "everything",
        "rows": str(export.rows),
        "id": str(export.pk),
        "dropped": (gaps.in_words(kind) if kind else "") or "nothing",
    }


def _rows(export: Export) -> Rows:
    for number in range(1, export.slices + 1):
        found = ExportSlice.objects.values_list("sealed", flat=True).get(export=export, number=number)
        if found is None:
            raise ExportGone
        yield from slices.unseal(export, number, bytes(found))


# -- forms ----------------------------------------------------------------------------------------------------
def as_jsonl(facts: dict[str, str], columns: tuple[str, ...], found: Rows) -> Iterator[bytes]:
    """For machines: a line about the export, one for each row, one that says that this is the end."""
    yield _line({"export": facts})
    count = 0
    for row in found:
        yield _line(dict(zip(columns, row, strict=True)))
        count += 1
    yield _line({"end": {"rows": count}})


def as_csv(facts: dict[str, str], columns: tuple[str, ...], found: Rows) -> Iterator[bytes]:
    """For people: every cell quoted, and what a spreadsheet would take for a formula disarmed by an apostrophe."""
    yield "\ufeff".encode()
    yield _csv([f"Export of {facts['export']}", *(f"{name}: {value}" for name, value in facts.items())])
    yield _csv(columns)
    count = 0
    for row in found:
        yield _csv(row)
        count += 1
    yield _csv([f"End of the export: {count} rows"])


def as_xlsx(facts: dict[str, str], columns: tuple[str, ...], found: Rows) -> Iterator[bytes]:
    """For people: every cell a string, so that nothing is a formula; what it is stands on a sheet of its own."""
    book = Workbook()
    yield from book.sheet("About", ([name, value] for name, value in facts.items()))
    yield from book.table("Rows", columns, found)
    yield from book.end()


def disarmed(cell: str) -> str:
    """`cell` so that no spreadsheet runs it. Blanks before a formula don't save it."""
    return "'" + cell if cell.startswith(FORMULA_BEGINS) or cell.lstrip().startswith(FORMULA_BEGINS) else cell


def _csv(cells: "list[str] | tuple[str, ...]") -> bytes:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow([disarmed(cell) for cell in cells])
    return line.getvalue().encode()


def _line(facts: object) -> bytes:
    return json.dumps(facts, ensure_ascii=False).encode() + b"\n"


Writer = Callable[[dict[str, str], tuple[str, ...], Rows], Iterator[bytes]]
WRITERS: Final[dict[Export.Form, Writer]] = {Form.XLSX: as_xlsx, Form.CSV: as_csv, Form.JSONL: as_jsonl}
