"""Celery's part: the log is followed every minute, the queue is reconciled every day."""

from celery import shared_task

from tokens.no_token_queue import following, reconcile
from tokens.outages import while_the_database_answers


@shared_task(name="tokens.no_token_queue.follow")
def follow() -> None:
    """Chains of tries that gave no token."""
    with while_the_database_answers():
        following.follow_all()


@shared_task(name="tokens.no_token_queue.reconcile")
def reconcile_daily() -> None:
    """Extracts against what we saw ourselves."""
    with while_the_database_answers():
        reconcile.reconcile_all()
