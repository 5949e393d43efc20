"""The registry: how an act that needs approval is planned and carried out.

`audit` knows nothing of tokens or of people: who owns an act registers it here when the app starts, and so does who
knows which enterprises are sandboxes and what a person may do. What is not registered is refused.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from audit import headers
from audit.trail import Actor, Target
from audit.vocabulary import ApprovedAct


@dataclass(frozen=True, slots=True)
class Plan:
    """What an act would do, found out now: planned again when it is approved, and then it must be the same.

    `difference` is rows of (what, before, after) in words for the person who decides. None of this holds a clear
    value. `enterprise_id` None means the whole installation.
    """

    enterprise_id: int | None
    target: Target
    difference: tuple[tuple[str, str, str], ...]
    blast_radius: str
    affected: int


@dataclass(frozen=True, slots=True)
class Executor:
    """An act: who may ask for it and decide it, how it is planned, how it is done.

    `plan` and `carry_out` take the parameters as they were asked with (JSON); `plan` raises CannotBeDone when there
    is nothing to do, and locks what it looks at. `carry_out` runs in the transaction of the decision, right after.
    """

    act: ApprovedAct
    asked_with: str
    decided_with: str
    plan: Callable[[dict[str, Any]], Plan]
    carry_out: Callable[[dict[str, Any], Actor], Any]


_executors: Final[dict[str, Executor]] = {}


def register(executor: Executor) -> None:
    """Make an act known. The last registration counts."""
    _executors[executor.act.value] = executor


def executor_of(act: str) -> Executor:
    """The executor of an act. Raises LookupError: the app that owns it isn't installed."""
    return _executors[act]


def registered() -> dict[str, Executor]:
    """Every executor by the name of its act."""
    return dict(_executors)


def digest(act: str, parameters: dict[str, Any], plan: Plan) -> bytes:
    """SHA-256 of the canonical form of exactly what is asked (docs/approvals.md)."""
    facts = {
        "act": act,
        "enterprise": plan.enterprise_id,
        "target_type": plan.target.type,
        "target": plan.target.id,
        "parameters": parameters,
        "difference": [list(row) for row in plan.difference],
    }
    return hashlib.sha256(headers.canonical("approval", facts)).digest()


# -- what only others know ----------------------------------------------------------------------------------
MayDo = Callable[[str, str, int | None], bool]


@dataclass(slots=True)
class _Outside:
    is_sandbox: Callable[[int], bool]
    may: MayDo


def _unknown(*_: object) -> bool:
    raise LookupError("nobody said who may do what: the apps that know register it when they start")


_outside: Final = _Outside(_unknown, _unknown)


def know_sandboxes_by(is_sandbox: Callable[[int], bool]) -> None:
    """Say how to tell whether an enterprise is a sandbox."""
    _outside.is_sandbox = is_sandbox


def know_people_by(may: MayDo) -> None:
    """Say how to tell whether the actor of that id holds a permission in an enterprise, or everywhere (None)."""
    _outside.may = may


def is_sandbox(enterprise_id: int | None) -> bool:
    """Whether an act there needs no approval. The whole installation never is a sandbox."""
    return enterprise_id is not None and _outside.is_sandbox(enterprise_id)


def may(actor_id: str, permission: str, enterprise_id: int | None) -> bool:
    """Whether that actor holds `permission` there."""
    return _outside.may(actor_id, permission, enterprise_id)
