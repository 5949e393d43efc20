"""The people at the desk, by what they are there."""

from typing import Any

from django.test import Client

from portal import second_factor
from portal.access import grants
from portal.models import Membership, User
from portal.roles import Role
from tests.portal.factor import show_factor
from tokens.models import Enterprise

PASSWORD = "a sentence of my own"

NAMES = {
    Role.COMPLIANCE_OFFICER: "olivia",
    Role.AUDITOR: "aaron",
    Role.INTEGRATION_ADMIN: "ines",
    Role.DATA_ENGINEER: "dario",
    Role.ADMINISTRATOR: "ursula",
}


def a_user(name: str, **facts: Any) -> User:
    return User.objects.create_user(name, password=PASSWORD, **facts)


def somebody(*roles: Role, enterprise: Enterprise | None = None, name: str = "") -> User:
    """A user with `roles` in one enterprise, or in all of them."""
    user = a_user(name or NAMES[roles[0]])
    for role in roles:
        Membership.objects.create(user=user, role=role, enterprise=enterprise)
    return user


def browser_of(user: User | None, *, shown: bool = True) -> Client:
    """A browser in which `user` is signed in, and showed a second factor where their roles ask for one."""
    client = Client()
    if user is not None:
        client.force_login(user)
        if shown and second_factor.is_required(grants(user)):
            show_factor(client, user)
    return client


def at_desk(role: Role, enterprise: Enterprise | None = None) -> Client:
    """The browser of somebody with `role`."""
    return browser_of(somebody(role, enterprise=enterprise))
