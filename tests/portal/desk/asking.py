"""Requests for approval as people at the desk meet them."""

from audit.models import ApprovalRequest
from audit.trail import Actor
from portal import role_grants
from portal.access import COMMAND_LINE
from portal.models import User
from portal.roles import Role
from tests.portal.desk import cast
from tokens import open_clients
from tokens.models import ApiClient, Enterprise

AT_THE_KEYBOARD = Actor(COMMAND_LINE, "root")


def actor(user: User) -> Actor:
    return Actor(f"user:{user.pk}", user.get_username())


def a_request(enterprise: Enterprise, *, by: User | None = None) -> ApprovalRequest:
    """Somebody new shall become auditor of the enterprise."""
    who, number = actor(by) if by else AT_THE_KEYBOARD, ApprovalRequest.objects.count()
    wanted = cast.a_user(f"newcomer-{number}")
    outcome = role_grants.grant(
        wanted, Role.AUDITOR, enterprise=enterprise, reason="She joins the audit in May.", actor=who
    )
    assert outcome.waits_for is not None
    return outcome.waits_for


def a_request_to_open(client: ApiClient, *, by: User) -> ApprovalRequest:
    """The only network of a client shall go."""
    rule = client.networks.select_related("client").get()
    outcome = open_clients.remove_network(rule, reason="The stack moves.", actor=actor(by))
    assert outcome.waits_for is not None
    return outcome.waits_for
