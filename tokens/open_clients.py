"""The networks of a client. What lets it call from nearly any address takes a second person, except in a sandbox."""

import ipaddress
from collections.abc import Iterable
from typing import Any, Final

from django.db import transaction

from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.trail import Actor, Target
from audit.vocabulary import ApprovedAct
from tokens import clients
from tokens.errors import BadClient, OpenClient
from tokens.models import AllowedNetwork, ApiClient, Enterprise

# A list of more than a /7 of IPv4 or a /20 of IPv6 protects nothing: half of the internet is not "our networks".
WIDEST_OF_FOUR: Final = 2**25
WIDEST_OF_SIX: Final = 2**108


@transaction.atomic
def add_network(client: ApiClient, *, cidr: str, label: str = "", reason: str, actor: Actor) -> Outcome:
    """Let `client` call from a network too. Raises BadNetwork, and as asking for approval does."""
    ApiClient.objects.select_for_update().get(pk=client.pk)
    added, before = clients.network(cidr), _networks(client)
    if before and _widens(before, [*before, added]):
        parameters = {"client": client.client_id, "add": added, "label": label}
        return perform_or_request(ApprovedAct.OPEN_CLIENT, parameters, reason=reason, actor=actor)
    return Outcome(result=clients.allow_network(client, cidr=added, label=label, actor=actor))


@transaction.atomic
def remove_network(rule: AllowedNetwork, *, reason: str, actor: Actor) -> Outcome:
    """Take a network from its client's list. Raises as asking for approval does: the last one opens the client."""
    ApiClient.objects.select_for_update().get(pk=rule.client_id)
    if _networks(rule.client) == [rule.cidr]:
        parameters = {"client": rule.client.client_id, "remove": rule.cidr}
        return perform_or_request(ApprovedAct.OPEN_CLIENT, parameters, reason=reason, actor=actor)
    return Outcome(result=clients.disallow_network(rule, actor=actor))


def check_new_client(enterprise: Enterprise, networks: Iterable[str]) -> None:
    """A client of a live enterprise is born closed. Raises OpenClient."""
    if not enterprise.sandbox and is_wide(networks):
        raise OpenClient


def is_wide(networks: Iterable[str]) -> bool:
    """Whether a list of networks lets in so many addresses that it is as good as none; an empty one lets in all."""
    four, six = _covered(networks)
    return not (four or six) or four > WIDEST_OF_FOUR or six > WIDEST_OF_SIX


def _widens(before: list[str], after: list[str]) -> bool:
    """Whether a list becomes wide, or a wide one wider."""
    return is_wide(after) and any(
        new > old for old, new in zip(_covered(before), _covered(after), strict=True)
    )


def _covered(networks: Iterable[str]) -> tuple[int, int]:
    """How many addresses of IPv4 and of IPv6 a list lets in, overlaps counted once."""
    parsed = [ipaddress.ip_network(cidr) for cidr in networks]
    four = [one for one in parsed if isinstance(one, ipaddress.IPv4Network)]
    six = [one for one in parsed if isinstance(one, ipaddress.IPv6Network)]
    return (
        sum(one.num_addresses for one in ipaddress.collapse_addresses(four)),
        sum(one.num_addresses for one in ipaddress.collapse_addresses(six)),
    )


def register() -> None:
    """Called once, when the app starts."""
    acts.register(Executor(ApprovedAct.OPEN_CLIENT, "clients.manage", "clients.view", _plan, _carry_out))


def _plan(parameters: dict[str, Any]) -> Plan:
    rows = ApiClient.objects.select_for_update(of=("self",)).select_related("enterprise")
    client = rows.filter(client_id=parameters["client"]).first()
    if client is None:
        raise CannotBeDone("there is no such client")
    before = _networks(client)
    after = [cidr for cidr in before if cidr != parameters.get("remove")]
    after += [parameters["add"]] if "add" in parameters else []
    if sorted(after) == before:
        raise CannotBeDone("its list has changed")
    return Plan(
        enterprise_id=client.enterprise_id,
        target=Target("client", client.client_id, client.name),
        difference=(("may call from", _said(before), _said(after)),),
        blast_radius=f"Whoever holds a secret of {client.name} may call from {_how_far(after)}, and resolve tokens of "
        f"{client.enterprise.name} if its scopes allow.",
        affected=1,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> ApiClient:
    client: ApiClient = ApiClient.objects.get(client_id=parameters["client"])
    try:
        if "add" in parameters:
            clients.allow_network(client, cidr=parameters["add"], label=parameters["label"], actor=actor)
        else:
            rule = client.networks.select_related("client").get(cidr=parameters["remove"])
            clients.disallow_network(rule, actor=actor)
    except (BadClient, AllowedNetwork.DoesNotExist) as error:
        raise CannotBeDone(str(error)) from None
    return client


def _networks(client: ApiClient) -> list[str]:
    return sorted(client.networks.values_list("cidr", flat=True))


def _how_far(networks: list[str]) -> str:
    four, six = _covered(networks)
    everything = not networks or four == 2**32 or six == 2**128
    return "any address" if everything else f"{max(four / 2**32, six / 2**128):.1%} of all addresses"


def _said(networks: list[str]) -> str:
    return ", ".join(networks) if networks else "anywhere"
