"""Who may do what in which enterprise: asked by every page, answered from the person's memberships."""

from dataclasses import dataclass, field
from typing import Final

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from portal.models import User
from portal.roles import PERMISSIONS, Permission, Role
from tokens.models import Enterprise

COMMAND_LINE: Final = "command-line"
"""The id of the actor who types at the command line of the server."""


@dataclass(frozen=True, slots=True)
class Grants:
    """What a person holds: roles in every enterprise (those to come included), and in single ones."""

    everywhere: frozenset[Role] = frozenset()
    by_enterprise: dict[int, frozenset[Role]] = field(default_factory=dict)

    def may(self, permission: Permission) -> bool:
        """Whether any role in any enterprise gives `permission`: decides what the navigation shows."""
        return any(permission in PERMISSIONS[role] for role in self.roles())

    def may_everywhere(self, permission: Permission) -> bool:
        """Whether `permission` is held in every enterprise, and for what belongs to none."""
        return any(permission in PERMISSIONS[role] for role in self.everywhere)

    def may_in(self, permission: Permission, enterprise_id: int) -> bool:
        """Whether `permission` is held in one enterprise."""
        roles = self.everywhere | self.by_enterprise.get(enterprise_id, frozenset())
        return any(permission in PERMISSIONS[role] for role in roles)

    def enterprises(self, permission: Permission) -> QuerySet[Enterprise]:
        """The enterprises in which `permission` is held; every page filters by it."""
        if self.may_everywhere(permission):
            return Enterprise.objects.all()
        held = [enterprise for enterprise in self.by_enterprise if self.may_in(permission, enterprise)]
        return Enterprise.objects.filter(pk__in=held)

    def roles(self) -> frozenset[Role]:
        """Every role held anywhere."""
        return self.everywhere.union(*self.by_enterprise.values())


def grants(user: User | AnonymousUser) -> Grants:
    """Everything `user` was granted by memberships, in one query; staff and superuser flags give nothing."""
    if not isinstance(user, User) or not user.is_active:
        return Grants()
    everywhere: set[Role] = set()
    by_enterprise: dict[int, set[Role]] = {}
    for membership in user.memberships.all():
        key = membership.enterprise_id
        (everywhere if key is None else by_enterprise.setdefault(key, set())).add(Role(membership.role))
    return Grants(frozenset(everywhere), {key: frozenset(roles) for key, roles in by_enterprise.items()})


def actor_may(actor_id: str, permission: str, enterprise_id: int | None) -> bool:
    """Whether an actor of the trail holds `permission` in an enterprise, or everywhere (None): asked by approvals.

    Who types at the command line of the server may ask for everything, and decide nothing.
    """
    if actor_id == COMMAND_LINE:
        return permission != Permission.DECIDE_APPROVALS
    kind, _, number = actor_id.partition(":")
    user = User.objects.filter(pk=int(number)).first() if kind == "user" and number.isdecimal() else None
    held = grants(user) if user else Grants()
    asked = Permission(permission)
    return held.may_everywhere(asked) if enterprise_id is None else held.may_in(asked, enterprise_id)


def enterprises_for(user: User, permission: Permission) -> QuerySet[Enterprise]:
    """The enterprises in which `user` holds a role with `permission`."""
    return grants(user).enterprises(permission)


def may(user: User, permission: Permission) -> bool:
    """Whether `user` holds `permission` in any enterprise."""
    return grants(user).may(permission)
