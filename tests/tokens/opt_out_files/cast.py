"""Files of opt-outs as systems write them, and how they are imported here."""

import datetime
import io
from typing import Any

import openpyxl

from tests.tokens.cast import OLGA
from tokens.models import Enterprise, OptOutFile, OptOutReject
from tokens.opt_out_files import files, worker
from tokens.opt_out_files.columns import Reading

YESTERDAY = datetime.datetime(2024, 11, 20, 18, 0, tzinfo=datetime.UTC)
HEADER = ("Email", "OptOutDate", "Reason")
COLUMNS = {"person": "Email", "asked": "OptOutDate", "evidence": "Reason"}
READING = Reading(columns=COLUMNS, law="can-spam")


def csv_of(*rows: tuple[str, ...], header: tuple[str, ...] = HEADER) -> bytes:
    return "".join(",".join(row) + "\r\n" for row in (header, *rows)).encode()


def workbook_of(*rows: tuple[str, ...], header: tuple[str, ...] = HEADER) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    for row in (header, *rows):
        book.active.append(row)
    book.save(content)
    return content.getvalue()


def loaded(enterprise: Enterprise, content: bytes, **facts: Any) -> OptOutFile:
    said: dict[str, Any] = {"what": OptOutFile.What.OPT_OUTS, "name": "crm.csv", "written_at": YESTERDAY}
    return files.load(enterprise, [content], actor=OLGA, **(said | facts))


def imported(enterprise: Enterprise, content: bytes, reading: Reading = READING, **facts: Any) -> OptOutFile:
    """The file, taken over to its end."""
    file = files.begin(loaded(enterprise, content, **facts), reading, actor=OLGA)
    return worker.work_until_done(file.pk)


def counts(file: OptOutFile) -> tuple[int, int, int, int]:
    """(new, known, skipped, refused); with them every line is accounted for."""
    assert file.lines == file.new + file.known + file.skipped + file.refused
    return file.new, file.known, file.skipped, file.refused


def rejects(file: OptOutFile) -> list[tuple[int, str, str]]:
    found = OptOutReject.objects.filter(file=file).order_by("line")
    return list(found.values_list("line", "column", "code"))
