"""The test of a connection: DNS → TLS → token → scopes → read, by the very calls that work makes.

Which step failed is told by the error of the client: nothing is tried in another way than it will be used.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tokens.connections.client import client_of
from tokens.crypto.errors import CryptoError
from tokens.errors import SecretMissing, SimulatorInProduction
from tokens.log.recording import NotRecorded
from tokens.marketing_cloud import MarketingCloud, MarketingCloudError, Patience, errors
from tokens.marketing_cloud.client import NEEDED_SCOPES, Whom
from tokens.models import Connection

# Somebody waits for it: one try, and not for long.
IMPATIENT: Final = Patience(attempts=1, longest_wait=0, answer_within=15)
# Nobody has this key: reading needs no person.
NOBODY: Final = "portal-connection-test"


class Step(StrEnum):
    """What is walked, in this order."""

    DNS = "DNS"
    TLS = "TLS"
    TOKEN = "Token"  # noqa: S105
    SCOPES = "Scopes"
    READ = "Read"


class State(StrEnum):
    """How a step went."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Walked:
    """A step, how it went, and a sentence about it."""

    step: Step
    state: State
    said: str = ""


@dataclass(frozen=True, slots=True)
class Walk:
    """The whole test: every step once, and what the package was granted (None while that is not known)."""

    steps: tuple[Walked, ...]
    granted: frozenset[str] | None

    @property
    def has_passed(self) -> bool:
        return all(one.state is State.PASSED for one in self.steps)


def walk(connection: Connection, *, mid: str | None) -> Walk:
    """Test `connection` for the business unit `mid`, outside of transactions: each exchange is logged."""
    passed: dict[Step, str] = {}
    granted: frozenset[str] | None = None
    failure: tuple[Step, str] | None = None
    try:
        with client_of(connection, mid=mid, patience=IMPATIENT) as cloud:
            granted = cloud.caller.access.token().scopes
            for step, said in _beyond_the_token(connection, cloud, mid):
                passed |= {step: said}  # one by one: what passed stays when a later step fails
    except (MarketingCloudError, SecretMissing, SimulatorInProduction) as error:
        failure = (_step_of(error, granted, passed), str(error))
    except CryptoError as error:
        failure = (Step.TOKEN, str(error))
    except NotRecorded:
        failure = (Step.TOKEN, "The payload log can't be written, and without it nothing is exchanged.")
    return Walk(tuple(_steps(connection, passed, failure)), granted)


def missing(granted: frozenset[str]) -> list[str]:
    """The scopes that the portal needs and the package lacks."""
    return [scope for scope in NEEDED_SCOPES if scope not in granted]


class _WrongAccount(MarketingCloudError):
    """The package belongs to another account than this enterprise: compare the EID."""


class _ScopesMissing(MarketingCloudError):
    """The package lacks scopes: add them under its API integration."""


def _beyond_the_token(
    connection: Connection, cloud: MarketingCloud, mid: str | None
) -> Iterator[tuple[Step, str]]:
    whom = cloud.whom()
    eid = connection.enterprise.eid
    if whom.eid and whom.eid != eid:
        raise _WrongAccount(detail=f"it is {whom.eid}, and this enterprise {eid}")
    yield Step.TOKEN, _token_said(whom, mid)
    lacking = missing(whom.scopes)
    if lacking:
        raise _ScopesMissing(detail=", ".join(lacking))
    yield Step.SCOPES, f"All {len(NEEDED_SCOPES)} scopes that the portal needs are granted."
    cloud.subscribers.statuses([NOBODY])
    yield Step.READ, "The status of a subscriber who does not exist was read, by SOAP."


def _token_said(whom: Whom, mid: str | None) -> str:
    where = f"business unit {whom.mid}" if whom.mid else "the business unit of the package"
    asked = "" if mid in (None, whom.mid) else f" ({mid} was asked for)"
    return f"An access token for {where} came{asked}."


def _step_of(error: Exception, granted: frozenset[str] | None, passed: dict[Step, str]) -> Step:
    if isinstance(error, errors.NameUnknown):
        return Step.DNS
    if isinstance(error, errors.Unreachable) and granted is None:
        return Step.TLS
    if Step.TOKEN not in passed:
        return Step.TOKEN
    if isinstance(error, _ScopesMissing | errors.MissingScope):
        return Step.SCOPES
    return Step.READ


def _steps(
    connection: Connection, passed: dict[Step, str], failure: tuple[Step, str] | None
) -> Iterator[Walked]:
    order = list(Step)
    reached = order.index(failure[0]) if failure else len(order)
    said = {
        Step.DNS: f"The name of {connection.subdomain} is known.",
        Step.TLS: "Marketing Cloud was reached.",
        **passed,
    }
    for place, step in enumerate(order):
        if failure and place == reached:
            yield Walked(step, State.FAILED, failure[1])
        elif place < reached:
            yield Walked(step, State.PASSED, said.get(step, ""))
        else:
            yield Walked(step, State.NOT_REACHED)
