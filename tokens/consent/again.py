"""Opt-outs that a restored older database lost, put back as they were; their evidence is lost (docs/erasure.md)."""

from typing import Any

from django.db import connection, transaction

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.consent import opening
from tokens.consent.blind import mapping_of, of_mapping
from tokens.consent.opening import OptedOut
from tokens.consent.opt_outs import SUPPRESS
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent


@transaction.atomic
def record_again(event: ConsentEvent, *, actor: Actor) -> bool:
    """Record an opt-out under the id that it had; whether it was missing. It blocks and is due as it did and was."""
    known = ConsentEvent.objects.filter(pk=event.pk)
    if known.exists():
        return False
    ConsentEvent.objects.bulk_create([event], ignore_conflicts=True)
    if not known.exists():
        return False  # its source sent it again since the restore
    scope, source = ConsentEvent.Scope(event.scope), ConsentEvent.Source(event.source)
    if scope == ConsentEvent.Scope.ENTERPRISE:
        _suppress(event)
    opened = OptedOut(event.pk, Kind(event.kind), scope, source, event.law, event.occurred_at)
    opening.open_for(event.enterprise, [opened])
    trail.record(
        Action.OPT_OUT_REPLAYED,
        actor=actor,
        enterprise_id=event.enterprise_id,
        target=Target("consent-event", str(event.pk)),
        details={"channel": Kind(event.kind).channel, "scope": event.scope, "source": event.source},
    )
    return True


def _suppress(event: ConsentEvent) -> None:
    """Under the index that the event names, and those of the mapping where there is one."""
    mapping = mapping_of(event)
    indexes = dict(of_mapping(mapping).by_version if mapping else ())
    indexes[event.index_version] = bytes(event.blind_index)
    # Sorted as others sort them, and waiting for whoever lifts an older opt-out: `opt_outs.SUPPRESS` says why.
    people = sorted((index, version) for version, index in indexes.items())
    parameters: dict[str, Any] = {
        "enterprise": event.enterprise_id,
        "kinds": [int(event.kind)] * len(people),
        "versions": [version for _, version in people],
        "indexes": [index for index, _ in people],
    }
    with connection.cursor() as cursor:
        cursor.execute(SUPPRESS, parameters)
