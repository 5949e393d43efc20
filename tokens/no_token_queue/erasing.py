"""Erasing a person from the queue: number and text go, what was decided stays, and the row is still known."""

from collections.abc import Collection

from django.db import transaction

from tokens.models import Enterprise, QueueBadLine, QueueMessage


@transaction.atomic
def forget(enterprise: Enterprise, blind_indexes: Collection[bytes]) -> int:
    """Destroy what the queue holds of a person who has these blind indexes; how many messages were emptied.

    Rows stay: their digest keeps a later extract from bringing the message back, and their opt-out still stands.
    A line that could not be read is nobody's as far as can be known, unless its message was taken over.
    """
    messages = QueueMessage.objects.filter(
        enterprise=enterprise, blind_index__in=list(blind_indexes), number__isnull=False
    )
    ids = list(messages.select_for_update().order_by("pk").values_list("pk", flat=True))
    QueueBadLine.objects.filter(enterprise=enterprise, message__in=ids).update(content=None)
    return QueueMessage.objects.filter(pk__in=ids).update(number=None, text=None)
