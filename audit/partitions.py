"""Monthly partitions of the evidence tables, by the time in the UUIDv7 of each row.

There is no default partition on purpose: an entry that fits nowhere must fail, and with it the answer, rather
than land where retention can't drop it. The maintenance process keeps MONTHS_AHEAD months ready.
"""

import datetime
import uuid
from collections.abc import Iterable
from typing import Any, Final

from django.db import connections, migrations
from django.utils import timezone
from psycopg import sql

TABLES: Final = ("audit_payloadentry", "audit_auditevent")
MONTHS_AHEAD: Final = 6


class CreatePartitionedModel(migrations.CreateModel):
    """CreateModel for a table partitioned by range of its UUIDv7 primary key."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        plain = schema_editor.sql_create_table
        schema_editor.sql_create_table = plain + " PARTITION BY RANGE (id)"
        try:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        finally:
            schema_editor.sql_create_table = plain


def first_id_of(month: datetime.date) -> uuid.UUID:
    """The smallest UUIDv7 of a month (UTC): its first 48 bits are milliseconds since 1970."""
    return first_id_at(datetime.datetime(month.year, month.month, 1, tzinfo=datetime.UTC))


def first_id_at(moment: datetime.datetime) -> uuid.UUID:
    """The smallest UUIDv7 of a moment, or of 1970 for any before: rows made since have none below it."""
    return uuid.UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def month_after(month: datetime.date) -> datetime.date:
    """The first day of the next month."""
    return (month.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)


def ensure(
    *, months: int = MONTHS_AHEAD, using: str = "owner", first: datetime.date | None = None
) -> list[str]:
    """Make the partitions from `first` (this month) to `months` ahead that are missing; their names are returned."""
    month = (first or timezone.now().date()).replace(day=1)
    made = []
    with connections[using].cursor() as cursor:
        for _ in range(months + 1):
            for table in TABLES:
                name = name_of(table, month)
                if _exists(cursor, name):
                    continue
                cursor.execute(
                    sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                        sql.Identifier(name),
                        sql.Identifier(table),
                        sql.Literal(str(first_id_of(month))),
                        sql.Literal(str(first_id_of(month_after(month)))),
                    )
                )
                made.append(name)
            month = month_after(month)
    return made


def name_of(table: str, month: datetime.date) -> str:
    """The partition of `table` for a month."""
    return f"{table}_{month:%Y_%m}"


def missing(months: Iterable[datetime.date], *, using: str = "default") -> list[str]:
    """The partitions of these months that are not there."""
    names = [name_of(table, month) for month in months for table in TABLES]
    with connections[using].cursor() as cursor:
        return [name for name in names if not _exists(cursor, name)]


def _exists(cursor: Any, table: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
    return bool(cursor.fetchone()[0])
