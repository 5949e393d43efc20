"""The outbox of opt-outs that Marketing Cloud must be told of."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tokens.models.enterprises import tenant
from tokens.models.unsubscribes import Unsubscribe


class WriteBack(models.Model):
    """One opt-out on its way to Marketing Cloud, at least once: done again, it changes nothing there."""

    class State(models.TextChoices):
        PENDING = "pending", "waits, or is tried again"
        DONE = "done", "done"
        DEAD = "dead", "can't be done without a person"

    unsubscribe = models.OneToOneField(
        Unsubscribe, models.PROTECT, primary_key=True, related_name="write_back", db_column="unsubscribe_id"
    )
    enterprise = tenant()
    state = models.CharField(max_length=8, choices=State, default=State.PENDING, db_default="pending")
    tries = models.PositiveIntegerField(default=0, db_default=0)
    next_try_at = models.DateTimeField(db_default=Now())
    # Whoever holds the lease works; its epoch is raised by each claim, so that a stopped worker's word counts no more.
    epoch = models.PositiveIntegerField(default=0, db_default=0)
    lease_until = models.DateTimeField(null=True)
    trouble = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="What went wrong last: a code."
    )
    made_at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["next_try_at"], condition=Q(state="pending"), name="write_back_pending"),
        ]

    def __str__(self) -> str:
        return f"write-back {self.pk}"
