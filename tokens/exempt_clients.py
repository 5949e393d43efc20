"""Clients that opt-outs do not block at Resolve: for messages that the law exempts. Making one so takes two people.

Whatever such a client sends reaches everybody who opted out, so an officer decides what an integration admin asks for.
"""

from typing import Any

from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.trail import Actor, Target
from audit.vocabulary import ApprovedAct
from tokens import clients
from tokens.errors import ExemptClient
from tokens.models import ApiClient, Enterprise


def ask_to_exempt(client: ApiClient, *, reason: str, actor: Actor) -> Outcome:
    """Have opt-outs not block a client; in a sandbox at once. Raises ApprovalError."""
    return perform_or_request(
        ApprovedAct.EXEMPT_CLIENT, {"client": client.client_id}, reason=reason, actor=actor
    )


def end_exemption(client: ApiClient, *, actor: Actor) -> ApiClient:
    """Have opt-outs block it again, which one person may."""
    return clients.change_client(client, transactional=False, actor=actor)


def check_new_client(enterprise: Enterprise, *, transactional: bool) -> None:
    """A client of a live enterprise is not born exempt. Raises ExemptClient."""
    if transactional and not enterprise.sandbox:
        raise ExemptClient


def register() -> None:
    """Called once, when the app starts."""
    acts.register(
        Executor(ApprovedAct.EXEMPT_CLIENT, "clients.manage", "unsubscribes.view", _plan, _carry_out)
    )


def _plan(parameters: dict[str, Any]) -> Plan:
    rows = ApiClient.objects.select_for_update(of=("self",)).select_related("enterprise")
    client = rows.filter(client_id=parameters["client"]).first()
    if client is None:
        raise CannotBeDone("there is no such client")
    if client.transactional:
        raise CannotBeDone("opt-outs do not block it already")
    return Plan(
        enterprise_id=client.enterprise_id,
        target=Target("client", client.client_id, client.name),
        difference=(("opt-outs at Resolve", "block it", "do not block it"),),
        blast_radius=f"Everybody of {client.enterprise.name} who opted out gets what is sent through {client.name}.",
        affected=1,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> ApiClient:
    client = ApiClient.objects.get(client_id=parameters["client"])
    return clients.change_client(client, transactional=True, actor=actor)
