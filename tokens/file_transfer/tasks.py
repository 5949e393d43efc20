"""Celery's part: a task for each server, so that a slow or broken one holds up no other."""

import uuid

from celery import shared_task

from tokens.file_transfer import fetching
from tokens.models import FileTransfer
from tokens.outages import while_the_database_answers


@shared_task(name="tokens.file_transfer.sweep")
def sweep() -> None:
    """Have somebody look at every server in use."""
    with while_the_database_answers():
        for key in FileTransfer.objects.filter(in_use_since__isnull=False).values_list("pk", flat=True):
            look.apply_async([str(key)], expires=60)


# As long as the lease: a large extract takes its time.
@shared_task(name="tokens.file_transfer.look", time_limit=fetching.LEASE.total_seconds() - 10)
def look(transfer_id: str) -> None:
    """Look at one server."""
    with while_the_database_answers():
        fetching.look(uuid.UUID(transfer_id))
