"""Celery's part: what may be lost or done twice without harm."""

from celery import shared_task

from tokens.connections import callbacks, hearing
from tokens.outages import while_the_database_answers


@shared_task(name="tokens.connections.work_events")
def work_events() -> None:
    """Turn the unsubscribes that Marketing Cloud told us of into opt-outs."""
    with while_the_database_answers():
        while hearing.work_events():
            pass


@shared_task(name="tokens.connections.answer_handshakes")
def answer_handshakes() -> None:
    """Answer the handshakes of event notifications that came since the last look."""
    with while_the_database_answers():
        callbacks.answer_handshakes()
