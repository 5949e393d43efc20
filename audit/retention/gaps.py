"""What was dropped, as the trail tells it: for pages, packs, exports and keys. A verifier asks for the signature."""

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db import connections
from django.db.models.fields.json import KT

from audit.models import AuditEvent, HeldCopy, PayloadEntry, RecordKind, SealedLeaf, SealQueueEntry
from audit.partitions import month_after
from audit.retention import months
from audit.retention.months import Month
from audit.vocabulary import Action

# Texts, and not the details as they are: one planted event that can't be read must not stop every page.
SAID: Final = ("kind", "first", "rows", "kept", "approval")
WITH_COPIES: Final = """
SELECT act FROM unnest(%s::uuid[]) act WHERE EXISTS (SELECT FROM audit_heldcopy copy WHERE copy.act = act.act)
"""


@dataclass(frozen=True, slots=True)
class Act:
    """An event by which a month was dropped, but for what was kept."""

    event: uuid.UUID
    month: Month
    rows: int
    kept: int
    approval: str
    actor_name: str

    @property
    def at(self) -> datetime.datetime:
        """When, by its id."""
        return datetime.datetime.fromtimestamp((self.event.int >> 80) / 1000, datetime.UTC)


def acts(kind: RecordKind | None = None, *, using: str = "default") -> list[Act]:
    """All of them, the newest first: at most a few for each month that ever was."""
    rows = AuditEvent.objects.using(using).filter(action=Action.PARTITION_DROPPED).order_by("-pk")
    said = rows.values_list("id", "actor_name", *(KT(f"details__{name}") for name in SAID))
    found = [act for one in said if (act := _act(*one)) is not None and kind in (None, act.month.kind)]
    return _carried_out(found, using=using) if found else []


def dropped_months(kind: RecordKind, *, using: str = "default") -> list[datetime.date]:
    """The first days of the months that were dropped, the oldest first."""
    return sorted({act.month.day for act in acts(kind, using=using)})


def act_of(kind: RecordKind, entry_id: uuid.UUID) -> Act | None:
    """The newest act that dropped the month of this id."""
    return next((act for act in acts(kind) if act.month.first <= entry_id < act.month.before), None)


def drop_of(entry_id: uuid.UUID) -> tuple[Act, int] | None:
    """Of an entry that is gone: the act that dropped it, and the index of its leaf. None for any other id."""
    act = act_of(RecordKind.PAYLOAD, entry_id)
    if act is None or PayloadEntry.objects.filter(pk=entry_id).exists():
        return None
    leaves = SealedLeaf.objects.filter(entry_id=entry_id, kind=SealQueueEntry.Kind.PAYLOAD)
    leaf = leaves.values_list("index", flat=True).first()
    return None if leaf is None else (act, leaf)


def copies_among(ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these entries stand in a month that was dropped."""
    return set(HeldCopy.objects.filter(entry_id__in=list(ids)).values_list("entry_id", flat=True))


def copy_of(entry_id: uuid.UUID) -> HeldCopy | None:
    """What is kept of the act that kept this entry, the newest of them."""
    return HeldCopy.objects.filter(entry_id=entry_id).order_by("-pk").first()


def in_words(kind: RecordKind) -> str:
    """What is missing of a kind, for who reads a list of it; empty when nothing was dropped."""
    days = dropped_months(kind)
    if not days:
        return ""
    runs: list[list[datetime.date]] = []
    for day in days:
        if runs and month_after(runs[-1][-1]) == day:
            runs[-1].append(day)
        else:
            runs.append([day])
    spans = [f"{run[0]:%Y-%m}" + (f" to {run[-1]:%Y-%m}" if len(run) > 1 else "") for run in runs]
    dropped = f"The {kind.label} of {', '.join(spans)} was dropped by retention"
    return f"{dropped}: only what legal holds keep is left of it."


def _carried_out(found: list[Act], *, using: str) -> list[Act]:
    """Those that left what only the owner of the tables can: copies that were kept, or no row at all.

    Whoever may write events could say that a month was dropped; pages have no key to ask for the signature.
    """
    with connections[using].cursor() as cursor:
        cursor.execute(WITH_COPIES, [[act.event for act in found]])
        with_copies = {event for (event,) in cursor.fetchall()}
    there = {month for kind in RecordKind for month in months.present(kind, using=using)}

    def is_real(act: Act) -> bool:
        if act.kept:
            return act.event in with_copies
        return act.month not in there or months.count([act.month], using=using).rows == 0

    return [act for act in found if is_real(act)]


def _act(event: uuid.UUID, actor_name: str, *said: str | None) -> Act | None:
    """None for an event that says something else: whoever may write events could have planted it."""
    kind, first, rows, kept, approval = (one or "" for one in said)
    month = months.of_first(kind, first)
    if month is None or not _is_count(rows) or not _is_count(kept):
        return None
    return Act(event, month, int(rows), int(kept), approval, actor_name)


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) < 19
