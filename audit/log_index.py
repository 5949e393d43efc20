"""Sorting new links into the indexes of the payload log, beside the calls instead of in them.

An entry of a full batch has 500 links, and each is an entry of its own in a GIN index. Sorted in one by one they
cost more than everything else that is written; in hundreds of entries at a time, half of it. PostgreSQL keeps them
in a list meanwhile, which searches read too, so nothing is ever missing.
"""

from typing import Final

from django.db import connections

SORT_IN: Final = """
SELECT coalesce(sum(gin_clean_pending_list(inhrelid)), 0) FROM pg_inherits
WHERE inhparent IN ('payload_by_link'::regclass, 'payload_by_blind_index'::regclass)
"""


def sort_in(*, using: str = "owner") -> int:
    """Sort in what waits in the lists of all partitions; the pages that were emptied are returned."""
    with connections[using].cursor() as cursor:
        cursor.execute(SORT_IN)
        pages: int = cursor.fetchone()[0]
    return pages
