"""Which requests for approval a person sees, and which of them wait for their decision."""

from typing import Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.approvals import acts
from audit.approvals.requests import is_own
from audit.models import ApprovalRequest
from audit.trail import Actor
from portal.access import Grants
from portal.roles import Permission

# More requests than anybody decides within their four hours.
MOST: Final = 200


def open_requests(held: Grants, actor: Actor) -> list[ApprovalRequest]:
    """What waits, the newest first, of what the person may see."""
    waiting = ApprovalRequest.objects.filter(
        state=ApprovalRequest.State.PENDING, expires_at__gt=timezone.now()
    )
    return list(visible(waiting, held, actor).order_by("-pk")[:MOST])


def visible(rows: "QuerySet[ApprovalRequest]", held: Grants, actor: Actor) -> "QuerySet[ApprovalRequest]":
    """Requests of the enterprises in which the person may see them, and their own."""
    if held.may_everywhere(Permission.VIEW_APPROVALS):
        return rows
    seen = [one for one in held.by_enterprise if held.may_in(Permission.VIEW_APPROVALS, one)]
    return rows.filter(Q(enterprise_id__in=seen) | Q(requester_id=actor.id))


def may_decide(asked: ApprovalRequest, held: Grants, actor: Actor) -> bool:
    """Whether the page offers the decision: the verb asks again."""
    executor = acts.registered().get(asked.act)
    if executor is None or (is_own(asked, actor) and not asked.single_operator):
        return False
    if asked.target_id == actor.id and not asked.single_operator:
        return False
    wanted = (Permission.DECIDE_APPROVALS, Permission(executor.decided_with))
    if asked.enterprise_id is None:
        return all(held.may_everywhere(one) for one in wanted)
    return all(held.may_in(one, asked.enterprise_id) for one in wanted)


def count_to_decide(held: Grants, actor: Actor) -> int:
    """How many wait for this person: stands in the navigation of every page, at one statement."""
    if not held.may(Permission.DECIDE_APPROVALS):
        return 0
    return sum(may_decide(asked, held, actor) for asked in open_requests(held, actor))
