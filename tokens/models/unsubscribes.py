"""The duty that follows from an opt-out: who sees to it, until when, how far it is, and what proves it."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from tokens.models.consent import ConsentEvent
from tokens.models.enterprises import tenant


class Unsubscribe(models.Model):
    """One opt-out, until it is carried out everywhere. Its history is events; what was asked, and when, stays."""

    class State(models.TextChoices):
        RECEIVED = "received", "received"
        BLOCKED = "blocked", "blocked at Resolve"
        WRITTEN = "written", "written to Marketing Cloud"
        VERIFIED = "verified", "verified by read-back"
        CLOSED = "closed", "closed"

    class Proof(models.TextChoices):
        """What shows that Marketing Cloud knows: nothing is closed without one."""

        NONE = "", "none yet"
        ITS_OWN = "its-own", "Marketing Cloud told us itself"
        WRITTEN_BACK = "written-back", "Marketing Cloud confirmed that we wrote it"
        READ_BACK = "read-back", "read back from Marketing Cloud"
        CONSENT = "consent", "the person consented anew"
        SECOND_PERSON = "second-person", "a second person confirmed it"

    class Alarm(models.IntegerChoices):
        """How loudly it was said that time runs out."""

        NONE = 0, "none"
        OVERDUE = 1, "overdue"

    event = models.OneToOneField(
        ConsentEvent, models.PROTECT, primary_key=True, related_name="unsubscribe", db_column="event_id"
    )
    enterprise = tenant()
    state = models.CharField(max_length=8, choices=State)
    proof = models.CharField(max_length=16, choices=Proof, blank=True, default=Proof.NONE)
    # Who wrote it to Marketing Cloud by hand: somebody else must confirm it.
    written_by_id = models.CharField(max_length=64, blank=True)
    owner_id = models.CharField(max_length=64, blank=True)
    owner_name = models.CharField(max_length=200, blank=True)
    # The clock, computed once (tokens.consent.clocks): only an extension or the end of a pause moves it.
    law = models.CharField(max_length=32, blank=True)
    calendar = models.CharField(max_length=64)
    asked_at = models.DateTimeField()
    target_at = models.DateTimeField()
    due_at = models.DateTimeField()
    paused_at = models.DateTimeField(null=True)
    alarmed = models.PositiveSmallIntegerField(choices=Alarm, default=Alarm.NONE)
    # Waits to be handed to the outbox (tokens.write_back): of an e-mail opt-out, until a connection is in use.
    to_tell = models.BooleanField(default=False, db_default=False)
    opened_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="closed") | (~Q(proof="") & Q(closed_at__isnull=False)),
                name="nothing_is_closed_without_proof",
            ),
            models.CheckConstraint(
                condition=~Q(state="verified") | ~Q(proof=""), name="nothing_is_verified_without_proof"
            ),
            models.CheckConstraint(
                condition=Q(paused_at__isnull=True) | ~Q(state="closed"), name="what_is_closed_is_not_paused"
            ),
            models.CheckConstraint(condition=Q(due_at__gte=F("asked_at")), name="due_after_it_was_asked"),
        ]
        indexes = [
            models.Index(fields=["due_at", "event"], condition=~Q(state="closed"), name="unsubscribe_open"),
            models.Index(
                fields=["due_at"], condition=~Q(state="closed") & Q(alarmed=0), name="unsubscribe_to_alarm"
            ),
            models.Index(fields=["enterprise"], condition=Q(to_tell=True), name="unsubscribe_to_tell"),
        ]

    def __str__(self) -> str:
        return f"unsubscribe {self.pk}"
