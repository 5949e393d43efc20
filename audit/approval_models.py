"""Requests for approval, and the one fact of the installation that their rule depends on (decision 13).

What may become of a row is held by the constraint below, by plain triggers (`audit/approval_triggers.py`) that no
session can tell to stand aside, and by the rights of the app's role (`portal/database_roles.py`).
"""

import datetime
from typing import Final

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

DELAY: Final = datetime.timedelta(hours=24)
"""Where only one person works: so long must a request wait until its own requester may confirm it."""


class ApprovalRequest(models.Model):
    """Somebody asks for an act that a second person must decide. Times and state are set by the database."""

    class State(models.TextChoices):
        PENDING = "pending", "waits for a decision"
        APPROVED = "approved", "approved and done"
        REJECTED = "rejected", "rejected"
        WITHDRAWN = "withdrawn", "withdrawn"
        EXPIRED = "expired", "expired"
        FAILED = "failed", "approved, and could not be done"

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7
    # -- what is asked, and by whom: fixed
    act = models.CharField(max_length=64)
    enterprise_id = models.BigIntegerField(null=True)  # NULL: the whole installation
    sandbox = models.BooleanField()
    target_type = models.CharField(max_length=64)
    target_id = models.CharField(max_length=255)
    target_name = models.CharField(max_length=255)
    parameters = models.JSONField()  # never a clear value
    difference = models.JSONField()  # [[what, before, after], …]: never a clear value
    digest = models.BinaryField(max_length=32)  # SHA-256 of all that is asked
    reason = models.TextField(max_length=2000)
    blast_radius = models.CharField(max_length=500)
    affected = models.PositiveBigIntegerField()
    requester_id = models.CharField(max_length=64)
    requester_name = models.CharField(max_length=200)
    single_operator = models.BooleanField(db_default=False)
    requested_at = models.DateTimeField(db_default=Now())
    decidable_from = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_default=Now())
    # -- what became of it: written once
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    decided_by_id = models.CharField(max_length=64, blank=True)
    decided_by_name = models.CharField(max_length=200, blank=True)
    decided_by_delay = models.BooleanField(default=False)
    decided_at = models.DateTimeField(null=True)
    comment = models.TextField(max_length=2000, blank=True)
    failure = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [models.Index(fields=["state", "-id"], name="approval_by_state")]
        constraints = [
            models.CheckConstraint(
                name="approval_by_a_second_person",
                condition=~Q(state__in=["approved", "rejected", "failed"])
                | (
                    # The name too: a command line knows its person by the name of an account only.
                    ~Q(decided_by_id="")
                    & ~Q(decided_by_id=F("requester_id"))
                    & ~Q(decided_by_name__iexact=F("requester_name"))
                    & Q(decided_by_delay=False)
                )
                | Q(
                    ~Q(state="rejected"),
                    decided_by_delay=True,
                    single_operator=True,
                    decidable_from__gte=F("requested_at") + DELAY,
                    decided_at__gte=F("decidable_from"),
                ),
            ),
            models.CheckConstraint(
                name="approval_withdrawn_by_its_requester",
                condition=~Q(state="withdrawn") | Q(decided_by_id=F("requester_id")),
            ),
            models.CheckConstraint(
                name="approval_is_closed_at_a_time",
                condition=Q(state="pending", decided_at=None) | (~Q(state="pending") & ~Q(decided_at=None)),
            ),
            # Asking twice for the same is asking once.
            models.UniqueConstraint(
                fields=["digest"], condition=Q(state="pending"), name="approval_pending_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.id}"


class Installation(models.Model):
    """One row, written by the first `migrate`, never changed: whether one person alone works here."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    single_operator = models.BooleanField()
    declared_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(name="one_installation", condition=Q(id=1))]

    def __str__(self) -> str:
        return "single operator" if self.single_operator else "several people"
