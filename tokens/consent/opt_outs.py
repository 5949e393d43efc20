"""Recording opt-outs: event, suppression and trail in one transaction (decision 9)."""

import datetime
from typing import Any

import uuid_utils.compat
from django.db import transaction

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.consent import unsubscribes
from tokens.consent.blind import BlindIndexes, of_mapping, of_typed
from tokens.crypto.fields import Clear
from tokens.errors import AmbiguousNumber, BadOptOut, SourceIdReused, UnknownToken
from tokens.formats.kinds import Kind
from tokens.formats.normalise import normalise
from tokens.models import ConsentEvent, Enterprise, Mapping, Suppression


@transaction.atomic
def record_opt_out(
    enterprise: Enterprise,
    *,
    kind: Kind,
    raw_value: str | None = None,
    mapping: Mapping | None = None,
    source: ConsentEvent.Source | str,
    source_id: str,
    occurred_at: datetime.datetime,
    scope: ConsentEvent.Scope | str = ConsentEvent.Scope.ENTERPRISE,
    scope_id: str = "",
    law: str = "",
    evidence: str = "",
    home: str = "",
    actor: Actor,
) -> ConsentEvent:
    """Record that a person opted out; Resolve refuses the channel from the next request if the scope is the enterprise.

    The person is given by clear value (whether or not we hold a mapping for it) or by mapping (also an erased one).
    A number begins with its country calling code, as Marketing Cloud writes it; `home` names the country of a person
    who typed it and may have left that out (Enterprise.default_region).
    `occurred_at` is when the person asked, and `evidence` is sealed. An event that the source sent before is returned
    as it stands. Raises InvalidValue and BadOptOut: AmbiguousNumber, UnknownToken, or SourceIdReused when the id was
    sent before for somebody else.
    """
    person = _person(enterprise, kind, raw_value, mapping, home)
    event = _event(
        enterprise, kind, person, actor, scope=ConsentEvent.Scope(scope), scope_id=scope_id,
        source=ConsentEvent.Source(source), source_id=source_id, law=law,
        evidence=Clear(evidence) if evidence else None, occurred_at=occurred_at,
    )  # fmt: skip
    stored = _store_once(event, person)
    if stored.pk == event.pk:
        _take_effect(stored, person, actor)
    return stored


def _event(
    enterprise: Enterprise, kind: Kind, person: BlindIndexes, actor: Actor, **said: Any
) -> ConsentEvent:
    _check_scope_id(said["scope"], said["scope_id"])
    return ConsentEvent(
        id=uuid_utils.compat.uuid7(),
        enterprise=enterprise,
        kind=kind,
        action=ConsentEvent.Action.OPT_OUT,
        index_version=person.version,
        blind_index=person.current,
        actor_id=actor.id,
        actor_name=actor.name,
        **said,
    )


def _take_effect(event: ConsentEvent, person: BlindIndexes, actor: Actor) -> None:
    if event.scope == ConsentEvent.Scope.ENTERPRISE:
        _suppress(event.enterprise, Kind(event.kind), person)
    unsubscribes.open_for(event)
    _record(event, actor)


def _person(
    enterprise: Enterprise, kind: Kind, raw: str | None, mapping: Mapping | None, home: str
) -> BlindIndexes:
    if (raw is None) == (mapping is None):
        raise BadOptOut("give a clear value or a mapping, and not both")
    if mapping is None:
        if kind == Kind.EMAIL and normalise(kind, raw or "").endswith(f"@{enterprise.token_domain}"):
            raise UnknownToken
        person, *others = of_typed(enterprise, kind, raw or "", home=home)
        if others:
            raise AmbiguousNumber
        return person
    if (mapping.enterprise_id, mapping.kind) != (enterprise.pk, kind):
        raise BadOptOut("the mapping is of another enterprise or channel")
    return of_mapping(mapping)


def _check_scope_id(scope: ConsentEvent.Scope, scope_id: str) -> None:
    if (scope == ConsentEvent.Scope.ENTERPRISE) == bool(scope_id):
        raise BadOptOut("a business unit or short code is named for a narrower scope, and for no other")
    if "@" in scope_id:  # the code is in the open; a long one has as many digits as a person's number
        raise BadOptOut("the code of the sender holds an address of a person: leave it out")


def _store_once(event: ConsentEvent, person: BlindIndexes) -> ConsentEvent:
    """The event, or the one that its source sent before under the same id."""
    if not event.source_id:
        raise BadOptOut("the source's id of the event is missing")
    ConsentEvent.objects.bulk_create([event], ignore_conflicts=True)
    stored = ConsentEvent.objects.get(
        enterprise=event.enterprise, source=event.source, source_id=event.source_id
    )
    said = (stored.kind, stored.action, stored.scope, stored.scope_id)
    if said != (event.kind, event.action, event.scope, event.scope_id) or not person.has(stored.blind_index):
        raise SourceIdReused
    return stored


def _suppress(enterprise: Enterprise, kind: Kind, person: BlindIndexes) -> None:
    # An update rather than nothing on conflict: it waits for whoever is lifting an older opt-out at this moment.
    Suppression.objects.bulk_create(
        [
            Suppression(enterprise=enterprise, kind=kind, index_version=version, blind_index=index)
            for version, index in person.by_version
        ],
        update_conflicts=True,
        unique_fields=["enterprise", "kind", "blind_index"],
        update_fields=["index_version"],
    )


def _record(event: ConsentEvent, actor: Actor) -> None:
    trail.record(
        Action.OPTED_OUT,
        actor=actor,
        enterprise_id=event.enterprise_id,
        target=Target("consent-event", str(event.pk)),
        details={
            "channel": Kind(event.kind).channel,
            "scope": event.scope,
            "scope_id": event.scope_id,
            "source": event.source,
            "source_id": event.source_id,
            "law": event.law,
            "occurred_at": event.occurred_at.isoformat(),
        },
    )
