"""Reviewing what was revealed behind broken glass: by a second person, within a day."""

import datetime
import uuid
from collections.abc import Collection
from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit import trail
from audit.free_text import refuse_clear_values
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal.models import BreakGlass
from portal.reveals.errors import OwnReveal, ReviewedAlready

REVIEW: Final = ("reviewed_by_id", "reviewed_by_name", "reviewed_at", "was_justified", "comment")
DUE: Final = datetime.timedelta(hours=24)


def waiting(enterprise_ids: Collection[int]) -> "QuerySet[BreakGlass]":
    """What nobody has reviewed yet, the oldest first."""
    return BreakGlass.objects.filter(enterprise_id__in=enterprise_ids, reviewed_at=None).order_by("pk")


def is_overdue(broken: BreakGlass) -> bool:
    """Whether the day for the review is over."""
    return broken.reviewed_at is None and timezone.now() - broken.created_at > DUE


@transaction.atomic
def review(event_id: uuid.UUID, *, was_justified: bool, comment: str, actor: Actor) -> BreakGlass:
    """Say whether it was justified. Raises OwnReveal, ReviewedAlready, ClearValueInText; BreakGlass.DoesNotExist."""
    refuse_clear_values(comment)
    broken = BreakGlass.objects.select_for_update().get(pk=event_id)
    if broken.reviewed_at is not None:
        raise ReviewedAlready
    if broken.actor_id == actor.id:
        raise OwnReveal
    broken.reviewed_by_id, broken.reviewed_by_name = actor.id, actor.name
    broken.reviewed_at, broken.was_justified, broken.comment = timezone.now(), was_justified, comment
    broken.save(update_fields=REVIEW)
    trail.record(
        Action.REVEAL_REVIEWED,
        actor=actor,
        enterprise_id=broken.enterprise_id,
        target=Target("reveal", str(event_id), f"by {broken.actor_name}"),
        details={"justified": was_justified, "comment": comment},
    )
    return broken
