"""Legal holds: what must not be lost while a case is open, whatever retention and the life of keys say.

What may be written to one is held by plain triggers (`audit/hold_triggers.py`): its release, once, with the request
that was approved for it.
"""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class LegalHold(models.Model):
    """A hold on a person, on a range of time, or on one entry. Only its release is ever written to it."""

    class Scope(models.TextChoices):
        PERSON = "person", "a person"
        RANGE = "range", "a range of time"
        ENTRY = "entry", "one log entry"

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7
    enterprise_id = models.BigIntegerField()
    sandbox = models.BooleanField(db_default=False)  # of the enterprise: released without a second person
    scope = models.CharField(max_length=8, choices=Scope)
    # A person: the type and id of what stands for them, as events name it, and a name without a clear value.
    subject_type = models.CharField(max_length=64, blank=True)
    subject_id = models.CharField(max_length=255, blank=True)
    subject_name = models.CharField(max_length=255, blank=True)
    # A range of time, or the moment of the one entry: first ≤ at < before.
    first = models.DateTimeField(null=True)
    before = models.DateTimeField(null=True)
    entry_id = models.UUIDField(null=True)
    case = models.CharField(max_length=64)
    reason = models.TextField(max_length=2000)
    placed_by_id = models.CharField(max_length=64)
    placed_by_name = models.CharField(max_length=200)
    placed_at = models.DateTimeField(db_default=Now())
    released_by_id = models.CharField(max_length=64, blank=True)
    released_by_name = models.CharField(max_length=200, blank=True)
    released_at = models.DateTimeField(null=True)
    released_with = models.UUIDField(null=True)  # the approved request; none in a sandbox

    class Meta:
        indexes = [
            models.Index(fields=["enterprise_id"], condition=Q(released_at=None), name="live_holds"),
            models.Index(fields=["subject_id", "subject_type"], name="holds_by_subject"),
        ]
        constraints = [
            models.CheckConstraint(
                name="a_hold_says_what_it_holds",
                condition=Q(scope="person", first=None, before=None, entry_id=None) & ~Q(subject_id="")
                | Q(scope="range", entry_id=None, first__isnull=False, before__gt=F("first"))
                | Q(scope="entry", entry_id__isnull=False, first=None, before=None),
            ),
            models.CheckConstraint(
                name="who_released_a_hold_is_known",
                condition=Q(released_at=None, released_by_id="")
                | (Q(released_at__isnull=False) & ~Q(released_by_id="")),
            ),
        ]

    def __str__(self) -> str:
        return f"hold {self.case}"

    @property
    def is_live(self) -> bool:
        return self.released_at is None
