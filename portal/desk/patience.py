"""A limit on how long a page may keep the database busy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

SECONDS: Final = 5


class TookTooLong(Exception):
    """The database did not answer in time: ask for a narrower range of time."""


@contextmanager
def patience(seconds: int = SECONDS) -> Iterator[None]:
    """Queries inside are cancelled after `seconds` each. Raises TookTooLong."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{seconds}s"])
            yield
            # Inside an outer transaction the setting would live on.
            cursor.execute("SELECT set_config('statement_timeout', '0', true)")
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TookTooLong from None
        raise
