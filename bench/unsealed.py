"""The portal without seals, to measure what they cost: entries are logged, and nothing is queued or sealed.

`gunicorn bench.unsealed:application` is the web server, `python -m bench.unsealed` the maintenance process.
"""

import os
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

from portal.wsgi import application

__all__ = ["application"]


def _without_the_queue() -> None:
    from django.db import connection

    from audit import payload_log

    head, _, rest = payload_log.RECORD.partition("INSERT INTO audit_payloadentry")
    statement = "INSERT INTO audit_payloadentry" + rest.rpartition(")\nINSERT INTO audit_sealqueueentry")[0]
    assert "WITH entry" in head
    sealed = payload_log.RECORD

    class Shorter:
        """A cursor that takes the statement of the log without what follows the entry."""

        def __init__(self, cursor: Any) -> None:
            self._cursor = cursor

        def __enter__(self) -> "Shorter":
            return self

        def __exit__(self, *_: object) -> None:
            self._cursor.close()

        def execute(self, query: str, values: list[Any]) -> None:
            assert query == sealed
            self._cursor.execute(statement, values[:-3])

    class Connection:
        """Hands out such cursors to the module of the log alone."""

        def cursor(self) -> Shorter:
            return Shorter(connection.cursor())

    payload_log.connection = Connection()  # type: ignore[assignment]


_without_the_queue()

if __name__ == "__main__":
    from django.core.management import call_command

    from portal.management.commands import maintain

    maintain.SEALING.clear()
    sys.exit(call_command("maintain"))
