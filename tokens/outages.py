"""What tasks do while PostgreSQL is away: end quietly, since the next sweep after it is back finds the work."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from django.db import InterfaceError, OperationalError, connection

_log = structlog.get_logger(__name__)


@contextmanager
def while_the_database_answers() -> Iterator[None]:
    """Lets a task that loses the database end; any other error passes."""
    try:
        yield
    except (OperationalError, InterfaceError):
        connection.close()
        _log.warning("task.database-away")
