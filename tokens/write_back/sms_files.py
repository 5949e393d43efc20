"""Text-message opt-outs leave as a file that people import in Marketing Cloud, for its APIs end no text subscription.

The file holds subscriber keys and tokens, never a number. Its columns are not public [assumed]. Once it is taken, the
outbox reads each person's subscriptions back until Marketing Cloud says itself that they are out.
"""

import csv
import datetime
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import uuid_utils.compat
import zstandard
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.connections.client import of_account
from tokens.crypto import envelope
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose
from tokens.errors import NothingToHandOver, SmsFileGone, SmsFileOvertaken
from tokens.exports.files import FORMULA_BEGINS
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, SmsFile, Unsubscribe

State, Scope = Unsubscribe.State, ConsentEvent.Scope
# [assumed] What an import definition maps; "" in ShortCode stands for every code.
HEADER: Final = ("SubscriberKey", "MobileNumber", "ShortCode", "OptInStatus", "OptOutDate")
OPTED_OUT: Final = "OptedOut"
MOST: Final = 50_000
# People import a file within minutes at best: asked earlier, Marketing Cloud can only say that nothing changed.
FIRST_LOOK: Final = datetime.timedelta(minutes=15)

# One row for each contact that holds the person's number, by the blind index that the event names.
ROWS: Final = """
SELECT open.event_id, contact.subscriber_key, mapping.token, event.scope, event.scope_id, event.occurred_at
FROM unnest(%s::uuid[]) AS open (event_id)
JOIN tokens_consentevent event ON event.id = open.event_id
LEFT JOIN LATERAL (
    SELECT id, token FROM tokens_mapping
    WHERE enterprise_id = event.enterprise_id AND kind = event.kind AND state <> 3
      AND (blind_index_0 = event.blind_index OR blind_index_1 = event.blind_index)
    ORDER BY id LIMIT 1
) mapping ON true
LEFT JOIN tokens_contactmapping link ON link.mapping_id = mapping.id
LEFT JOIN tokens_contact contact ON contact.id = link.contact_id AND contact.erased_at IS NULL
ORDER BY event.id, contact.subscriber_key
"""

# What was found to be of no use before is tried anew: the file may have changed it.
FOLLOW: Final = """
INSERT INTO tokens_writeback (unsubscribe_id, enterprise_id, next_try_at)
SELECT row.event_id, row.enterprise_id, %(at)s FROM tokens_unsubscribe row
WHERE row.event_id = ANY (%(opt_outs)s) AND row.state <> 'closed'
ON CONFLICT (unsubscribe_id) DO UPDATE SET state = 'pending', next_try_at = EXCLUDED.next_try_at
"""


def waiting(enterprise_ids: Sequence[int]) -> "QuerySet[Unsubscribe]":
    """Open opt-outs of text messages that nothing proves yet."""
    rows = Unsubscribe.objects.filter(enterprise__in=enterprise_ids, event__kind=Kind.MOBILE, proof="")
    return rows.exclude(state=State.CLOSED).exclude(event__scope=Scope.BUSINESS_UNIT)


@transaction.atomic
def make(enterprise: Enterprise, *, actor: Actor) -> SmsFile:
    """A file of what is open now, the most urgent first. Raises NothingToHandOver."""
    open_ones = waiting([enterprise.pk]).order_by("due_at", "event").values_list("pk", flat=True)
    opt_outs = list(open_ones[:MOST])
    found = _rows(opt_outs)
    known = [row for row in found if row[1] is not None and _is_plain(row[1])]
    if not known:
        raise NothingToHandOver
    inside = {row[0] for row in known}
    file = SmsFile(
        id=uuid_utils.compat.uuid7(),
        enterprise=enterprise,
        opt_outs=[one for one in opt_outs if one in inside],
        rows=len(known),
        left_out=len(opt_outs) - len(inside),
        made_by_id=actor.id,
        made_by_name=actor.name,
    )
    packed = zstandard.ZstdCompressor(level=3).compress(_text(known).encode())
    file.content = keyring(enterprise.pk).seal(Purpose.CONSENT, packed, _place(file))
    file.save(force_insert=True)
    _record(Action.SMS_FILE_MADE, file, actor)
    return file


@transaction.atomic
def take(file: SmsFile, *, actor: Actor) -> bytes:
    """The bytes of a file, recorded first; from then on its people's subscriptions are read back.

    Raises SmsFileGone, and SmsFileOvertaken: importing it would opt somebody out who consented since.

    Where no connection of the account is in use, nothing is read back: a second person confirms what was imported.
    """
    file = SmsFile.objects.select_for_update(of=("self",)).select_related("enterprise").get(pk=file.pk)
    if file.content is None:
        raise SmsFileGone
    renewed = ConsentEvent.objects.filter(enterprise=file.enterprise_id, action=ConsentEvent.Action.OPT_IN)
    if renewed.filter(kind=Kind.MOBILE, lifts__overlap=file.opt_outs).exists():
        raise SmsFileOvertaken
    file.taken, file.taken_at, file.taken_by_name = file.taken + 1, timezone.now(), actor.name
    file.save(update_fields=["taken", "taken_at", "taken_by_name"])
    _record(Action.SMS_FILE_TAKEN, file, actor)
    if of_account(file.enterprise) is not None:
        with connection.cursor() as cursor:
            cursor.execute(FOLLOW, {"opt_outs": file.opt_outs, "at": timezone.now() + FIRST_LOOK})
    packed = keyring(file.enterprise_id).open(bytes(file.content), _place(file))
    return zstandard.ZstdDecompressor().decompress(packed)


def forget_old() -> int:
    """Empty files that are older than exports live; how many."""
    before = timezone.now() - datetime.timedelta(days=settings.EXPORT_DAYS)
    return SmsFile.objects.filter(made_at__lt=before, content__isnull=False).update(content=None)


def _rows(opt_outs: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(ROWS, [list(opt_outs)])
        return list(cursor.fetchall())


def _is_plain(key: str) -> bool:
    """Whether no spreadsheet that opens the file on its way would take the key for a formula."""
    return key.isprintable() and not key.startswith(FORMULA_BEGINS)


def _text(rows: Sequence[tuple[Any, ...]]) -> str:
    """CSV for a machine: keys and tokens as they are."""
    out = io.StringIO(newline="")
    lines = csv.writer(out)
    lines.writerow(HEADER)
    lines.writerows(_lines(rows))
    return out.getvalue()


def _lines(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, ...]]:
    for _, key, token, scope, scope_id, asked in rows:
        code = scope_id if scope == Scope.SHORT_CODE else ""
        yield key, token, code, OPTED_OUT, asked.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _place(file: SmsFile) -> bytes:
    return envelope.place("tokens.SmsFile", "content", file.enterprise_id, file.pk)


def _record(action: Action, file: SmsFile, actor: Actor) -> None:
    trail.record(
        action,
        actor=actor,
        enterprise_id=file.enterprise_id,
        target=Target("sms-file", str(file.pk)),
        details={"rows": file.rows, "opt_outs": len(file.opt_outs), "left_out": file.left_out},
    )
