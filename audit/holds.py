"""Legal holds: placed by one officer, released by approval, asked before anything is lost (docs/legal-holds.md).

`audit` does not know what a person is. Who does registers how the entries of a person are told (`know_people_by`);
until then a hold on a person covers everything of its enterprise, so that nothing is lost by an app that is missing.
"""

import datetime
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import uuid_utils.compat
from django.db import connections, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request, request
from audit.free_text import refuse_clear_values
from audit.models import ApprovalRequest, AuditEvent, LegalHold, PayloadEntry
from audit.partitions import first_id_at
from audit.trail import Actor, Target
from audit.vocabulary import Action, ApprovedAct

Scope = LegalHold.Scope
# Who places a hold shares this lock; who destroys or drops has it alone, so that neither overlooks the other.
LOCK: Final = 7_310_271
# A key of a day can have sealed what was said a moment before or after it, and ids are made before entries.
SLACK: Final = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Traces:
    """By what the payload log knows a person."""

    links: frozenset[int]
    blind_indexes: frozenset[bytes]


TracesOf = Callable[[LegalHold], Traces]


@dataclass(slots=True)
class _Outside:
    traces_of: TracesOf | None = None


_outside: Final = _Outside()


def know_people_by(traces_of: TracesOf) -> None:
    """Say how the log knows the person that a hold is on."""
    _outside.traces_of = traces_of


@transaction.atomic
def place(
    *,
    enterprise_id: int,
    scope: LegalHold.Scope,
    case: str,
    reason: str,
    actor: Actor,
    subject: Target | None = None,
    first: datetime.datetime | None = None,
    before: datetime.datetime | None = None,
    entry_id: uuid.UUID | None = None,
) -> LegalHold:
    """Hold a person (`subject`), a range of time (`first` ≤ at < `before`) or one entry. Raises ClearValueInText."""
    refuse_clear_values(case, reason)
    _lock(shared=True)
    subject = subject or Target("", "")
    hold = LegalHold.objects.create(
        id=uuid_utils.compat.uuid7(), enterprise_id=enterprise_id, scope=scope, subject_type=subject.type,
        subject_id=subject.id, subject_name=subject.name, first=first, before=before, entry_id=entry_id,
        sandbox=acts.is_sandbox(enterprise_id), case=case, reason=reason, placed_by_id=actor.id,
        placed_by_name=actor.name,
    )  # fmt: skip
    _record(Action.HOLD_PLACED, hold, actor, reason=reason)
    return hold


def ask_to_release(hold: LegalHold, *, reason: str, actor: Actor) -> Outcome:
    """Ask a second person to release a hold; one of a sandbox is released at once. Raises ApprovalError."""
    parameters = {"hold": str(hold.pk)}
    if (
        not hold.sandbox
    ):  # placed before holds knew of sandboxes: the database releases it with an approval only
        return Outcome(waits_for=request(ApprovedAct.RELEASE_HOLD, parameters, reason=reason, actor=actor))
    return perform_or_request(ApprovedAct.RELEASE_HOLD, parameters, reason=reason, actor=actor)


# -- what is held -------------------------------------------------------------------------------------------
def live(enterprise_id: int | None = None) -> "QuerySet[LegalHold]":
    """The holds in force, of one enterprise or of all."""
    rows = LegalHold.objects.filter(released_at=None)
    return rows if enterprise_id is None else rows.filter(enterprise_id=enterprise_id)


def on_subject(subject_type: str, subject_id: str) -> "QuerySet[LegalHold]":
    """The holds in force on what an event names so."""
    return live().filter(subject_type=subject_type, subject_id=subject_id)


def on_entry(entry: PayloadEntry) -> list[LegalHold]:
    """The holds in force that cover a log entry."""
    if entry.enterprise_id is None:
        return []
    return [hold for hold in live(entry.enterprise_id) if _covers(hold, entry)]


def held_entries(hold: LegalHold) -> "QuerySet[PayloadEntry]":
    """The log entries that a hold covers."""
    rows = PayloadEntry.objects.filter(enterprise_id=hold.enterprise_id)
    if hold.scope == Scope.ENTRY:
        assert hold.entry_id is not None
        return rows.filter(pk=hold.entry_id)
    if hold.scope == Scope.RANGE:
        assert hold.first is not None
        assert hold.before is not None
        return rows.filter(pk__gte=first_id_at(hold.first), pk__lt=first_id_at(hold.before))
    if _outside.traces_of is None:
        return rows
    traces = _outside.traces_of(hold)
    touched = Q(blind_indexes__overlap=list(traces.blind_indexes))
    return rows.filter(touched | Q(links__overlap=list(traces.links)) if traces.links else touched)


def held_events(hold: LegalHold) -> "QuerySet[AuditEvent]":
    """The events that a hold covers: those upon the person or the entry, and all of a range of time."""
    rows = AuditEvent.objects.filter(enterprise_id=hold.enterprise_id)
    if hold.scope == Scope.ENTRY:
        upon = Q(target_type="entry", target_id=str(hold.entry_id))
        return rows.filter(upon | Q(request_id=hold.entry_id))
    if hold.scope == Scope.RANGE:
        assert hold.first is not None
        assert hold.before is not None
        return rows.filter(pk__gte=first_id_at(hold.first), pk__lt=first_id_at(hold.before))
    return rows.filter(target_type=hold.subject_type, target_id=hold.subject_id)


def keeps_residue(enterprise_id: int, day: datetime.date) -> LegalHold | None:
    """A hold in force for which the residue key of a day must live on, or None.

    Take `alone()` first: a hold that is being placed now must not be overlooked.
    """
    begin = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC) - SLACK
    end = begin + datetime.timedelta(days=1) + 2 * SLACK
    of_day = Q(pk__gte=first_id_at(begin), pk__lt=first_id_at(end), residue__isnull=False)
    return next((hold for hold in live(enterprise_id) if held_entries(hold).filter(of_day).exists()), None)


def alone(*, using: str = "default") -> None:
    """Wait until nobody is placing a hold, and let nobody place one until this transaction ends."""
    _lock(shared=False, using=using)


def _lock(*, shared: bool, using: str = "default") -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock{'_shared' if shared else ''}(%s)", [LOCK])


def _covers(hold: LegalHold, entry: PayloadEntry) -> bool:
    if hold.scope == Scope.ENTRY:
        return hold.entry_id == entry.pk
    if hold.scope == Scope.RANGE:
        assert hold.first is not None
        assert hold.before is not None
        return first_id_at(hold.first) <= entry.pk < first_id_at(hold.before)
    if _outside.traces_of is None:
        return True
    traces = _outside.traces_of(hold)
    return _meet(traces.links, entry.links) or _meet(traces.blind_indexes, map(bytes, entry.blind_indexes))


def _meet(known: "frozenset[Any]", touched: Iterable[Any]) -> bool:
    return not known.isdisjoint(touched)


def _record(action: Action, hold: LegalHold, actor: Actor, **details: Any) -> None:
    """Upon the person where there is one, so that it stands in their timeline."""
    named = Target(hold.subject_type, hold.subject_id, hold.subject_name)
    target = named if hold.subject_id else Target("hold", str(hold.pk), hold.case)
    facts = {"case": hold.case, "holds": hold.get_scope_display(), "hold": str(hold.pk)} | details
    if hold.entry_id:
        facts["entry"] = str(hold.entry_id)
    if hold.first and hold.before:
        facts |= {"from": hold.first.isoformat(), "before": hold.before.isoformat()}
    trail.record(action, actor=actor, enterprise_id=hold.enterprise_id, target=target, details=facts)


# -- releasing: approved --------------------------------------------------------------------------------------
def _plan(parameters: dict[str, Any]) -> Plan:
    hold = LegalHold.objects.select_for_update().filter(pk=parameters["hold"]).first()
    if hold is None or not hold.is_live:
        raise CannotBeDone("the hold was released before")
    return Plan(
        enterprise_id=hold.enterprise_id,
        target=Target("hold", str(hold.pk), hold.case),
        difference=((f"hold on {hold.get_scope_display()}, case {hold.case}", "in force", "released"),),
        blast_radius="what it held may be dropped by retention, and lose its residue for good, within the hour",
        affected=1,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> LegalHold:
    hold = LegalHold.objects.get(pk=parameters["hold"])
    approved = ApprovalRequest.objects.filter(
        act=ApprovedAct.RELEASE_HOLD, state=ApprovalRequest.State.APPROVED, parameters=parameters
    ).order_by("-pk")
    LegalHold.objects.filter(pk=hold.pk, released_at=None).update(
        released_at=Now(),
        released_by_id=actor.id,
        released_by_name=actor.name,
        released_with=approved.values("pk")[:1],
    )
    _record(Action.HOLD_RELEASED, hold, actor)
    hold.refresh_from_db()
    return hold


def register() -> None:
    """Make the act known to approvals."""
    acts.register(Executor(ApprovedAct.RELEASE_HOLD, "holds.place", "holds.view", _plan, _carry_out))
