"""The consent of a person: a fold over append-only events, in any order and with repetitions (decision 9).

Blocked while there is an opt-out that no opt-in names. An opt-in names the opt-outs that it lifts, so that one
which arrives late lifts nothing that came after the person's renewed consent.
"""

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise


@dataclass(frozen=True, slots=True)
class ConsentState:
    """What stands after all events of a person and channel: the opt-outs in force, oldest first by their id."""

    opt_outs: tuple[ConsentEvent, ...] = ()

    @property
    def is_blocked(self) -> bool:
        """Whether the channel is closed for the whole enterprise: what Resolve refuses."""
        return any(event.scope == ConsentEvent.Scope.ENTERPRISE for event in self.opt_outs)


def fold(events: Iterable[ConsentEvent]) -> ConsentState:
    """The state after `events`, whatever their order and however often each is given."""
    opt_outs: dict[uuid.UUID, ConsentEvent] = {}
    lifted: set[uuid.UUID] = set()
    for event in events:
        if event.action == ConsentEvent.Action.OPT_OUT:
            opt_outs[event.id] = event
        else:
            lifted.update(event.lifts)
    in_force = sorted(opt_outs.keys() - lifted)
    return ConsentState(tuple(opt_outs[event_id] for event_id in in_force))


def state_of(enterprise: Enterprise, kind: Kind, blind_indexes: Collection[bytes]) -> ConsentState:
    """The state of the person who has these blind indexes (one for each version)."""
    return fold(
        ConsentEvent.objects.filter(enterprise=enterprise, kind=kind, blind_index__in=list(blind_indexes))
    )
