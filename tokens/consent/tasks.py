"""Celery's part: what the clocks of unsubscribes bring about."""

from typing import Final

from celery import shared_task

from tokens.consent import unsubscribes
from tokens.outages import while_the_database_answers

OVERDUE: Final = "tokens.consent.overdue"


@shared_task(name=OVERDUE)
def overdue() -> None:
    """Raise the alarm for unsubscribes that passed their due instant."""
    with while_the_database_answers():
        while unsubscribes.raise_overdue():
            pass
