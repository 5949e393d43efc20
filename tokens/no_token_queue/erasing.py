"""Erasing a person from the queue: number and text go, what was decided stays, and the row is still known."""

import re
import uuid
from collections.abc import Collection, Iterator, Sequence, Set
from contextlib import suppress
from typing import Final

from django.db import transaction

from tokens.consent import blind
from tokens.crypto.keyring import IndexKey
from tokens.formats.kinds import Kind
from tokens.formats.reasons import InvalidValue
from tokens.models import Enterprise, QueueBadLine, QueueMessage

_NUMBER: Final = re.compile(r"\+?[0-9](?:[ ().-]{0,3}[0-9]){6,18}")


@transaction.atomic
def forget(enterprise: Enterprise, blind_indexes: Collection[bytes]) -> int:
    """Destroy what the queue holds of a person who has these blind indexes; how many messages were emptied.

    Rows stay: their digest keeps a later extract from bringing the message back, and their opt-out still stands.
    A line that could not be read is theirs when its message was taken over, or when it shows their number and somebody
    has settled it: until then it may be an opt-out that nobody has heard yet.
    """
    messages = QueueMessage.objects.filter(
        enterprise=enterprise, blind_index__in=list(blind_indexes), number__isnull=False
    )
    ids = list(messages.select_for_update().order_by("pk").values_list("pk", flat=True))
    QueueBadLine.objects.filter(enterprise=enterprise, message__in=ids).update(content=None)
    settled = _settled_with(enterprise, set(map(bytes, blind_indexes)))
    lines = QueueBadLine.objects.filter(pk__in=settled).update(content=None)
    return lines + QueueMessage.objects.filter(pk__in=ids).update(number=None, text=None)


def _settled_with(enterprise: Enterprise, blind_indexes: Set[bytes]) -> list[uuid.UUID]:
    """The settled lines in which a number of theirs can be read; there are few, for each took a person."""
    lines = QueueBadLine.objects.filter(
        enterprise=enterprise, state=QueueBadLine.State.SETTLED, content__isnull=False
    )
    versions = blind.versions_of(enterprise)
    return [
        line.pk
        for line in lines.iterator()
        if not blind_indexes.isdisjoint(_numbers_in(enterprise, line.content.open(), versions))
    ]


def _numbers_in(enterprise: Enterprise, line: str, versions: Sequence[IndexKey]) -> Iterator[bytes]:
    """Blind indexes of whatever in a line can be a number."""
    for cell in _NUMBER.findall(line):
        with suppress(InvalidValue):
            for one in blind.of_typed(
                enterprise, Kind.MOBILE, cell, home=enterprise.default_region, versions=versions
            ):
                yield from one.digests
