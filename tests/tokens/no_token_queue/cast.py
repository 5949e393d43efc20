"""Extracts of made-up queues."""

import datetime
import io
from collections.abc import Sequence
from typing import Any

import openpyxl

from tests.tokens.cast import OLGA
from tokens.formats.kinds import Kind
from tokens.models import Enterprise, QueueBadLine, QueueExtract, QueueMessage, Suppression
from tokens.no_token_queue import extracts
from tokens.no_token_queue.recipes import Reading

HEADER = ("MobileNumber", "ShortCode", "MessageText", "ReceivedDate")
ANA, BEN, CLO = "447700900123", "447700900456", "13175550101"
READING = Reading(
    columns={"number": "MobileNumber", "code": "ShortCode", "text": "MessageText", "received": "ReceivedDate"}
)
YESTERDAY = datetime.datetime(2024, 11, 20, 18, 0, tzinfo=datetime.UTC)

STOP = (ANA, "46356", "STOP", "11/20/2024 2:05:00 PM")
POLITE = (BEN, "46356", "please no more of this, Jane", "11/20/2024 2:06:00 PM")
ORDER = (CLO, "46356", "please cancel my order 4711", "11/20/2024 2:07:00 PM")


def csv_of(*rows: Sequence[str], header: Sequence[str] = HEADER, delimiter: str = ",") -> bytes:
    """An extract, quoted where it must be."""
    return "".join(
        delimiter.join(_quoted(cell, delimiter) for cell in row) + "\r\n" for row in (header, *rows)
    ).encode()


def _quoted(cell: str, delimiter: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(char in cell for char in f'"{delimiter}\r\n') else cell


def xlsx_of(*rows: Sequence[Any], header: Sequence[str] = HEADER) -> bytes:
    book = openpyxl.Workbook()
    for row in (header, *rows):
        book.active.append(list(row))
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def imported(
    enterprise: Enterprise,
    content: bytes,
    *,
    reading: Reading = READING,
    at: datetime.datetime = YESTERDAY,
    **options: Any,
) -> QueueExtract:
    """The extract after its lines were taken over; as it stands if it was before."""
    extract = extracts.load(enterprise, [content], name="queue.csv", extracted_at=at, actor=OLGA, **options)
    if extract.state == QueueExtract.State.IMPORTED:
        return extract
    return extracts.take_over(extract, reading, actor=OLGA)


def state_of(enterprise: Enterprise) -> Any:
    """What is on record of the queue, without ids and without which file said it."""
    messages = QueueMessage.objects.filter(enterprise=enterprise)
    lines = QueueBadLine.objects.filter(enterprise=enterprise)
    blocked = Suppression.objects.filter(enterprise=enterprise, kind=Kind.MOBILE)
    return (
        sorted((one.number.open(), one.text.open(), one.received_at, one.state) for one in messages),
        sorted((one.content.open(), one.column, one.fault) for one in lines),
        sorted(bytes(one.blind_index) for one in blocked),
    )
