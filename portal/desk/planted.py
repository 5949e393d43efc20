"""Rows of evidence that can't be read: who may only insert could plant a time of `infinity` or JSON of a strange shape.

Such a row is an alarm of the sequencer and a finding of `verify_audit`. Here it must hide none of those beside it.
"""

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from audit.seals.rows import UNREADABLE
from portal.desk.keyset import Sheet, sheet


@dataclass(slots=True)
class Unreadable:
    """Stands in the place of a row of which only the id could be read."""

    pk: uuid.UUID
    details: dict[str, Any] = field(default_factory=dict)
    unreadable: bool = True
    seal: Any = None


def readable_sheet(rows: "QuerySet[Any]", request: HttpRequest) -> Sheet:
    """The page of events that the address asks for, with what can't be read told as such."""
    try:
        page = sheet(rows, request)
    except UNREADABLE:
        page = sheet(rows.only("id"), request)
        page = replace(page, rows=[_row(rows, one.pk) for one in page.rows])
    return replace(page, rows=[_with_facts(one) for one in page.rows])


def _row(rows: "QuerySet[Any]", key: uuid.UUID) -> Any:
    try:
        return rows.get(pk=key)
    except UNREADABLE:
        return Unreadable(key)


def _with_facts(row: Any) -> Any:
    """Details that are no object would be tripped over further on."""
    return row if isinstance(row.details, dict) else Unreadable(row.pk)
