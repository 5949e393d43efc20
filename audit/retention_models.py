"""Retention: how long each kind of record is kept, and what a legal hold kept of a month that was dropped."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from audit.append_only import APPEND_ONLY


class RecordKind(models.TextChoices):
    """What is dropped by whole months. The values are those of headers and of the verifier."""

    PAYLOAD = "payload", "payload log"
    EVENT = "event", "event trail"


class RetentionPolicy(models.Model):
    """A version of the policy of one kind; the newest is in force. Its insert takes an approved request (a trigger)."""

    kind = models.CharField(max_length=8, choices=RecordKind)
    # Whole months after the end of a month; NULL keeps for ever.
    months = models.PositiveSmallIntegerField(null=True)
    approval_id = models.UUIDField(unique=True)
    set_by_id = models.CharField(max_length=64)
    set_by_name = models.CharField(max_length=200)
    set_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "retention policies"
        indexes = [models.Index(fields=["kind", "-id"], name="policy_by_kind")]
        constraints = [
            models.CheckConstraint(name="a_month_at_least", condition=Q(months=None) | Q(months__gte=1))
        ]
        triggers = APPEND_ONLY

    def __str__(self) -> str:
        return f"{self.kind}: {self.months}"


class HeldCopy(models.Model):
    """That an act of retention kept this row, why, and the proof of its leaf. The row itself stands in its table.

    Written by the owner in the transaction of the act. One row for each act that kept the entry: the newest counts.
    """

    act = models.UUIDField(help_text="The event that dropped the rest of the month.")
    kind = models.CharField(max_length=8, choices=RecordKind)
    entry_id = models.UUIDField()
    enterprise_id = models.BigIntegerField(null=True)
    # Empty for acts that verifying needs: they are kept without a hold.
    holds = ArrayField(models.UUIDField(), default=list)
    # The inclusion proof of its leaf under a checkpoint that was there: 32 bytes a step, from the leaf upwards.
    index = models.BigIntegerField()
    checkpoint = models.BigIntegerField()
    proof = models.BinaryField()

    class Meta:
        verbose_name_plural = "held copies"
        indexes = [models.Index(fields=["entry_id"], name="copies_by_entry")]
        constraints = [models.UniqueConstraint(fields=["act", "entry_id"], name="kept_once_by_an_act")]
        triggers = APPEND_ONLY

    def __str__(self) -> str:
        return f"{self.kind} {self.entry_id}"
