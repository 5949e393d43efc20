"""Granting roles: at once in a sandbox, after a second person approved it anywhere else (docs/approvals.md)."""

from typing import Any

from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import DECIDE, Outcome, perform_or_request
from audit.trail import Actor, Target
from audit.vocabulary import ApprovedAct
from portal import people, set_up
from portal.access import grants
from portal.models import Membership, User
from portal.roles import PERMISSIONS, Permission, Role
from tokens.models import Enterprise


def grant(user: User, role: Role, *, enterprise: Enterprise | None, reason: str, actor: Actor) -> Outcome:
    """Give a role, or ask for it. Raises CannotBeDone, MayNot and ReasonMissing."""
    parameters = {"user": user.pk, "role": role.value, "enterprise": enterprise.pk if enterprise else None}
    return perform_or_request(ApprovedAct.GRANT_ROLE, parameters, reason=reason, actor=actor)


def somebody_can_decide(enterprise: Enterprise | None) -> bool:
    """Whether two people are there who could decide on a role: before that the command line grants at once."""
    deciders = 0
    for user in User.objects.filter(is_active=True).prefetch_related("memberships"):
        held = grants(user)
        wanted = (Permission(DECIDE), Permission.VIEW_USERS)
        deciders += all(
            held.may_in(one, enterprise.pk) if enterprise else held.may_everywhere(one) for one in wanted
        )
    return deciders >= 2


def register() -> None:
    """Called once, when the app starts."""
    acts.register(
        Executor(ApprovedAct.GRANT_ROLE, Permission.MANAGE_USERS, Permission.VIEW_USERS, _plan, _carry_out)
    )


def _plan(parameters: dict[str, Any]) -> Plan:
    user, role, enterprise = _read(parameters, lock=True)
    held = Membership.objects.filter(user=user, enterprise=enterprise)
    roles = {Role(one) for one in held.values_list("role", flat=True)}
    if role in roles:
        raise CannotBeDone("they hold that role already")
    where = enterprise.name if enterprise else "every enterprise, those to come included"
    gained = PERMISSIONS[role].difference(*(PERMISSIONS[one] for one in roles))
    return Plan(
        enterprise_id=enterprise.pk if enterprise else None,
        target=Target("user", f"user:{user.pk}", user.get_username()),
        difference=(
            (f"roles in {where}", _labels(roles), _labels({*roles, role})),
            ("may then also", "", ", ".join(sorted(gained)) or "nothing more"),
        ),
        blast_radius=f"{user.get_username()} becomes {role.label.lower()} in {where}. Their sessions end."
        + _first_time(user),
        affected=1,
    )


def _first_time(user: User) -> str:
    """Stands beside what is asked, not in its digest: it changes on purpose until somebody decides."""
    waits = set_up.is_waiting(user)
    return (
        " They have not set up their sign-in yet: ask them whether it was them, then approve."
        if waits
        else ""
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> Membership:
    user, role, enterprise = _read(parameters)
    return people.grant(user, role, enterprise=enterprise, actor=actor)


def _read(parameters: dict[str, Any], *, lock: bool = False) -> tuple[User, Role, Enterprise | None]:
    users = User.objects.select_for_update() if lock else User.objects
    user = users.filter(pk=parameters["user"], is_active=True).first()
    if user is None:
        raise CannotBeDone("there is no such user, or they are switched off")
    enterprise = None
    if parameters["enterprise"] is not None:
        enterprise = Enterprise.objects.filter(pk=parameters["enterprise"]).first()
        if enterprise is None:
            raise CannotBeDone("there is no such enterprise")
    return user, Role(parameters["role"]), enterprise


def _labels(roles: set[Role]) -> str:
    return ", ".join(sorted(str(role.label) for role in roles)) or "none"
