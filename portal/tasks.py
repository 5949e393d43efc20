"""Celery's part: what may be lost or done twice without harm."""

from celery import shared_task

from portal import alarms
from tokens.outages import while_the_database_answers


@shared_task(name="portal.tell_alarms")
def tell_alarms() -> None:
    """Send the alarms that were raised since the last look."""
    with while_the_database_answers():
        alarms.tell()
