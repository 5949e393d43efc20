"""A cursor of Django's connection that speaks PostgreSQL's binary format.

Rows of the vault are mostly digests and envelopes. As text each would travel in hex, at twice its size, and be
encoded and decoded on both sides.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from psycopg.pq import Format


@contextmanager
def binary_cursor() -> Iterator[Any]:
    """A cursor whose results arrive in binary; write parameters as `%(name)b` to send them so too."""
    with connection.cursor() as cursor:
        cursor.cursor.format = Format.BINARY
        yield cursor
