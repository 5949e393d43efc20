"""An act to approve and the people around it, for tests that know nothing of tokens or of the portal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.models import ApprovalRequest, AuditEvent
from audit.trail import Actor, Target
from audit.vocabulary import Action, ApprovedAct

ROSA = Actor("user:1", "rosa", "192.0.2.1")  # asks
DAVE = Actor("user:2", "dave", "192.0.2.2")  # decides
DORA = Actor("user:3", "dora")  # decides too
NOEL = Actor("user:4", "noel")  # may nothing

LIVE, SANDBOX = 1, 2
WANTED = {"networks": ["0.0.0.0/0"]}


class World:
    """What the act changes; `networks` is what it would find before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.enterprise_id: int | None = LIVE
        self.networks = "203.0.113.0/24"
        self.fails: Exception | None = None
        self.permissions = {"user:1": {"ask"}} | {
            one: {"ask", "see", "approvals.decide"} for one in ("user:2", "user:3")
        }
        executor = Executor(ApprovedAct.OPEN_CLIENT, "ask", "see", self.plan, self.carry_out)
        monkeypatch.setattr(acts, "_executors", {executor.act.value: executor})
        monkeypatch.setattr(acts, "_outside", acts._Outside(lambda one: one == SANDBOX, self.may))

    def may(self, actor_id: str, permission: str, enterprise_id: int | None) -> bool:
        return permission in self.permissions.get(actor_id, ())

    def plan(self, parameters: dict[str, Any]) -> Plan:
        return Plan(
            self.enterprise_id,
            Target("client", "c-1", "Journeys"),
            (("may call from", self.networks, ", ".join(parameters["networks"])),),
            "one client may call from any address",
            1,
        )

    def carry_out(self, parameters: dict[str, Any], actor: Actor) -> str:
        trail.record(Action.CLIENT_CHANGED, actor=actor, enterprise_id=self.enterprise_id)
        if self.fails:
            raise self.fails
        return "done"


def times_done() -> int:
    """How often the act was carried out."""
    return AuditEvent.objects.filter(action=Action.CLIENT_CHANGED).count()


def events_of(asked: ApprovalRequest) -> list[tuple[str, str]]:
    """(act, who) of the trail, in order."""
    found = AuditEvent.objects.filter(target_type="approval", target_id=str(asked.pk)).order_by("pk")
    return list(found.values_list("action", "actor_name"))


@contextmanager
def without_triggers(table: str = "audit_approvalrequest") -> Iterator[Any]:
    """The owner's cursor, with the triggers of the table off. Needs `own_database`."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield cursor
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def let_pass(asked: ApprovalRequest, hours: float) -> None:
    """The same request, as it will be after some hours. Needs `own_database`."""
    with without_triggers() as cursor:
        cursor.execute(
            "UPDATE audit_approvalrequest SET requested_at = requested_at - %s * interval '1 hour',"
            " decidable_from = decidable_from - %s * interval '1 hour',"
            " expires_at = expires_at - %s * interval '1 hour' WHERE id = %s",
            [hours, hours, hours, asked.pk],
        )


def one_person_works_here() -> None:
    """As an installation that was declared so when it was set up. Needs `own_database`."""
    with without_triggers("audit_installation") as cursor:
        cursor.execute("UPDATE audit_installation SET single_operator = true")
