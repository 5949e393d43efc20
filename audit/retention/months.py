"""Months of evidence: which partitions are there, what they hold, which ids belong to them. All times are UTC."""

import datetime
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import connections
from django.utils import timezone
from psycopg import sql

from audit.models import RecordKind
from audit.partitions import first_id_of, month_after, name_of

TABLES: Final[dict[RecordKind, str]] = {
    RecordKind.PAYLOAD: "audit_payloadentry",
    RecordKind.EVENT: "audit_auditevent",
}
# Beyond so many rows a count is PostgreSQL's estimate: counting them would keep somebody waiting.
COUNTED: Final = 1_000_000
PRESENT: Final = """
SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
JOIN pg_class parent ON parent.oid = inhparent
WHERE parent.relname = %s AND parent.relnamespace = 'public'::regnamespace
"""
ESTIMATE: Final = """
SELECT sum(reltuples)::bigint, bool_or(reltuples < 0) FROM pg_class
WHERE relname = ANY(%s) AND relnamespace = 'public'::regnamespace
"""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of one kind of record; `day` is its first."""

    day: datetime.date
    kind: RecordKind

    @property
    def label(self) -> str:
        """As people and parameters write it: 2026-11."""
        return f"{self.day:%Y-%m}"

    @property
    def name(self) -> str:
        """With its kind, for events and errors."""
        return f"{self.kind.label} of {self.label}"

    @property
    def first(self) -> uuid.UUID:
        """The smallest id that it can hold."""
        return first_id_of(self.day)

    @property
    def before(self) -> uuid.UUID:
        """The smallest id after it."""
        return first_id_of(month_after(self.day))

    @property
    def parent(self) -> str:
        """The partitioned table."""
        return TABLES[self.kind]

    @property
    def partition(self) -> str:
        """Its partition."""
        return name_of(self.parent, self.day)


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows; an estimate when there are very many."""

    rows: int
    is_exact: bool

    @property
    def in_words(self) -> str:
        """As people read it."""
        rows = f"{self.rows:,} rows" if self.rows != 1 else "1 row"
        return rows if self.is_exact else f"about {rows}"


def today() -> datetime.date:
    """The day in UTC, by which months end."""
    return timezone.now().astimezone(datetime.UTC).date()


def back(month: datetime.date, count: int) -> datetime.date:
    """The first of the month so many months earlier; of the year 1 at the earliest."""
    number = max(month.year * 12 + month.month - 1 - count, 12)
    return datetime.date(number // 12, number % 12 + 1, 1)


def of_label(kind: RecordKind, label: str) -> Month:
    """The month that a label means. Raises ValueError."""
    return Month(datetime.date.fromisoformat(f"{label}-01"), kind)


def of_first(kind: str, first: str) -> Month | None:
    """The month that begins with this id; None when none does."""
    try:
        day = datetime.datetime.fromtimestamp((uuid.UUID(first).int >> 80) / 1000, datetime.UTC).date()
        month = Month(day, RecordKind(kind))
    except (ValueError, OverflowError, OSError):
        return None
    return month if str(month.first) == first else None


def present(kind: RecordKind, *, using: str = "default") -> list[Month]:
    """The months whose partition is there, those ahead included, the oldest first."""
    with connections[using].cursor() as cursor:
        cursor.execute(PRESENT, [TABLES[kind]])
        names = [name for (name,) in cursor.fetchall()]
    found = [re.search(r"_(\d{4})_(\d\d)$", name) for name in names]
    return sorted(Month(datetime.date(int(one[1]), int(one[2]), 1), kind) for one in found if one)


def count(wanted: Sequence[Month], *, using: str = "default") -> Count:
    """The rows of some months of one kind."""
    if not wanted:
        return Count(0, is_exact=True)
    with connections[using].cursor() as cursor:
        cursor.execute(ESTIMATE, [[one.partition for one in wanted]])
        rows, is_unknown = cursor.fetchone()
        if (rows or 0) > COUNTED and not is_unknown:
            return Count(rows, is_exact=False)
        ranges = sql.SQL(" OR ").join(
            sql.SQL("(id >= {} AND id < {})").format(sql.Literal(one.first), sql.Literal(one.before))
            for one in wanted
        )
        statement = sql.SQL("SELECT count(*) FROM {} WHERE {}")
        cursor.execute(statement.format(sql.Identifier(wanted[0].parent), ranges))
        return Count(cursor.fetchone()[0], is_exact=True)


def span_in_words(wanted: Sequence[Month]) -> str:
    """The months from the first to the last, as people read them."""
    first, last = min(wanted), max(wanted)
    return first.label if first == last else f"{first.label} to {last.label}"
