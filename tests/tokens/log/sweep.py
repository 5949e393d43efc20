"""Searching every stored byte of a database for clear values."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from psycopg import Connection, sql

from tokens.payload import DamagedPayload, decompress

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def findings(database: Connection[Any], clear: Iterable[str]) -> list[str]:
    """`table.column` of every value that holds one of `clear`, in any case, escaped or compressed."""
    wanted = [one.casefold() for one in clear]
    return sorted(
        {
            f"{table}.{column}"
            for table, column, value in stored(database)
            for text in readings(value)
            if any(one in text for one in wanted)
        }
    )


def stored(database: Connection[Any]) -> Iterator[tuple[str, str, Any]]:
    """Every value of every table, as (table, column, value)."""
    tables = database.execute(
        "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition"
    ).fetchall()
    for (table,) in tables:
        rows = database.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
        names = [column.name for column in rows.description or ()]
        for row in rows:
            yield from ((table, name, value) for name, value in zip(names, row, strict=True))


def readings(value: Any) -> Iterator[str]:
    """What a stored value says to somebody who looks at it: as it is, and unpacked if it was compressed."""
    if isinstance(value, bytes):
        yield plain(value.decode("latin-1"))
        yield plain(value.decode("utf-8", "replace"))
        with contextlib.suppress(DamagedPayload):
            yield plain(decompress(value).decode("utf-8", "replace"))
    elif isinstance(value, list):
        for one in value:
            yield from readings(one)
    elif value is not None:
        yield plain(str(value))


def plain(text: str) -> str:
    """Without the escapes of JSON, in one case."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text).replace("\\/", "/").casefold()
