"""Putting a connection to use takes a second person, except in a sandbox: what leaves through it does not come back."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.trail import Actor
from audit.vocabulary import Action, ApprovedAct
from tokens.connections.verbs import target_of
from tokens.errors import BadConnection
from tokens.models import Connection


@transaction.atomic
def use(connection: Connection, *, reason: str, actor: Actor) -> Outcome:
    """Let the portal work through `connection`. Raises BadConnection, and as asking for approval does."""
    if not has_passed(connection):
        raise BadConnection("test it first: only a connection whose test passed is put to use")
    parameters = {
        "connection": str(connection.pk),
        "subdomain": connection.subdomain,
        "client_id": connection.client_id,
    }
    return perform_or_request(ApprovedAct.USE_CONNECTION, parameters, reason=reason, actor=actor)


def has_passed(connection: Connection) -> bool:
    """Whether every step of its last test passed."""
    return bool(connection.test) and all(step["state"] == "passed" for step in connection.test)


def register() -> None:
    """Called once, when the app starts."""
    executor = Executor(
        ApprovedAct.USE_CONNECTION, "connections.manage", "connections.view", _plan, _carry_out
    )
    acts.register(executor)


def _plan(parameters: dict[str, Any]) -> Plan:
    connection = _asked_for(parameters)
    unit = connection.business_unit
    where = f"business unit {unit}" if unit else "every business unit without a connection of its own"
    return Plan(
        enterprise_id=connection.enterprise_id,
        target=target_of(connection),
        difference=(
            ("in use", "no", "yes"),
            ("tenant", "", connection.subdomain),
            ("package", "", connection.client_id),
        ),
        blast_radius=f"The portal reads, unsubscribes and deletes in this account for {where}. Subscriber keys and "
        "tokens leave for it; clear values don't.",
        affected=1,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> Connection:
    connection = _asked_for(parameters)
    connection.in_use_since = timezone.now()
    connection.save(update_fields=["in_use_since"])
    trail.record(
        Action.CONNECTION_USED,
        actor=actor,
        enterprise_id=connection.enterprise_id,
        target=target_of(connection),
        details={"subdomain": connection.subdomain, "client_id": connection.client_id},
    )
    return connection


def _asked_for(parameters: dict[str, Any]) -> Connection:
    rows = Connection.objects.select_for_update(of=("self",)).select_related("enterprise", "business_unit")
    connection = rows.filter(pk=parameters["connection"]).first()
    if connection is None:
        raise CannotBeDone("there is no such connection")
    if (connection.subdomain, connection.client_id) != (parameters["subdomain"], parameters["client_id"]):
        raise CannotBeDone("it leads to another tenant or package now")
    if connection.in_use_since is not None:
        raise CannotBeDone("it is in use already")
    if not has_passed(connection):
        raise CannotBeDone("its test has not passed since it was changed")
    return connection
