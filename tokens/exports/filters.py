"""What an export may be narrowed by. Names and values come from addresses of pages, so only these are taken."""

import datetime
import ipaddress
from typing import Final

from audit.models import Api, Outcome
from audit.vocabulary import Action
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Export
from tokens.models.mappings import State

What = Export.What
Only = dict[str, str]
CLASSES: Final = ("2xx", "4xx", "5xx")
TIMES: Final = ("since", "before")
# The values that a filter can have; those with none are compared as they come.
CHOICES: Final[dict[Export.What, dict[str, frozenset[str] | None]]] = {
    What.LOG: {
        "api": frozenset(Api.values),
        "outcome": frozenset(Outcome.values),
        "client": None,
        "status": frozenset([*map(str, range(100, 600)), *CLASSES]),
        "address": None,
    },
    What.EVENTS: {"action": frozenset(Action.values), "actor": None, "target": None},
    What.UNSUBSCRIBES: {
        "kind": frozenset(str(kind.value) for kind in Kind),
        "scope": frozenset(ConsentEvent.Scope.values),
        "source": frozenset(ConsentEvent.Source.values),
    },
    What.PEOPLE: {
        "kind": frozenset(str(kind.value) for kind in Kind),
        "state": frozenset(map(str, State.values)),
    },
}


def known(what: Export.What, given: Only) -> Only:
    """The part of `given` that narrows such an export; everything else is dropped."""
    return {name: value for name, value in sorted(given.items()) if value and _is_known(what, name, value)}


def is_free(what: Export.What, name: str) -> bool:
    """Whether that filter is a text which somebody typed, and not one of a few values."""
    return name not in (*TIMES, "address") and CHOICES[what].get(name, frozenset()) is None


def _is_known(what: Export.What, name: str, value: str) -> bool:
    if name in TIMES:
        return _is_moment(value)
    if name == "address" and not _is_address(value):
        return False
    allowed = CHOICES[what].get(name, frozenset())
    return len(value) <= 255 and (allowed is None or value in allowed)


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_moment(value: str) -> bool:
    try:
        moment_of(value)
    except ValueError:
        return False
    return True


def moment_of(text: str) -> datetime.datetime:
    """A moment as filters write it: ISO 8601, UTC unless it says otherwise. Raises ValueError."""
    moment = datetime.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
