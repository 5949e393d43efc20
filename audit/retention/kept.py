"""What of a month must stay: what legal holds cover, and the acts without which a verifier can't explain a gap."""

from typing import Any, Final

from django.db.models import Q, QuerySet

from audit import holds
from audit.models import AuditEvent, LegalHold, RecordKind
from audit.retention.months import Month
from audit.vocabulary import Action

# An event trail without these would turn every lawful gap of the past into tampering.
NEEDED: Final = (Action.PARTITION_DROPPED, Action.RESTORE_DECLARED)


def by_hold(hold: LegalHold, month: Month, *, using: str = "default") -> "QuerySet[Any]":
    """The rows of a month that a hold covers."""
    rows = holds.held_entries(hold) if month.kind == RecordKind.PAYLOAD else holds.held_events(hold)
    return rows.using(using).filter(_of(month))


def needed(month: Month, *, using: str = "default") -> "QuerySet[AuditEvent]":
    """The events of a month that verifying needs; none of the payload log."""
    if month.kind == RecordKind.PAYLOAD:
        return AuditEvent.objects.using(using).none()
    return AuditEvent.objects.using(using).filter(_of(month), action__in=NEEDED)


def holds_on(month: Month) -> list[LegalHold]:
    """The holds in force that keep something of a month."""
    return [hold for hold in holds.live().order_by("pk") if by_hold(hold, month).exists()]


def count(month: Month, live: list[LegalHold]) -> int:
    """How many rows of a month stay."""
    found = needed(month) if month.kind == RecordKind.EVENT else None
    for hold in live:
        rows = by_hold(hold, month)
        found = rows if found is None else found | rows
    return 0 if found is None else found.count()


def _of(month: Month) -> Q:
    return Q(pk__gte=month.first, pk__lt=month.before)
