"""Opt-outs: append-only consent events, and the suppressions that follow from them (decision 9)."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now

from audit.append_only import APPEND_ONLY
from tokens.crypto.fields import SealedTextField
from tokens.crypto.keyset import Purpose
from tokens.formats.kinds import Kind


class ConsentEvent(models.Model):
    """Somebody opted out, or gave an evidenced opt-in that names the opt-outs it lifts. Never changed or deleted."""

    class Action(models.TextChoices):
        OPT_OUT = "opt-out", "opted out"
        OPT_IN = "opt-in", "opted in"

    class Scope(models.TextChoices):
        ENTERPRISE = "enterprise", "whole enterprise"
        BUSINESS_UNIT = "business-unit", "business unit"
        SHORT_CODE = "short-code", "short or long code"

    class Source(models.TextChoices):
        OFFICER = "officer", "compliance officer"
        NO_TOKEN_QUEUE = "no-token-queue", "No Token Queue"
        MARKETING_CLOUD = "marketing-cloud", "Marketing Cloud event"
        API = "api", "API"
        FILE = "file", "file of opt-outs"
        BOUNCE = "bounce", "bounce or complaint"

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="+")
    kind = models.PositiveSmallIntegerField(choices=[(kind.value, kind.label) for kind in Kind])
    action = models.CharField(max_length=8, choices=Action)
    # The person by blind index, not by a foreign key: an opt-out outlives erasure and re-creation.
    index_version = models.PositiveSmallIntegerField()
    blind_index = models.BinaryField(max_length=32)
    scope = models.CharField(max_length=16, choices=Scope, default=Scope.ENTERPRISE)
    scope_id = models.CharField(
        max_length=64, blank=True, help_text="The MID or the code of a narrower scope."
    )
    source = models.CharField(max_length=16, choices=Source)
    source_id = models.CharField(
        max_length=200, help_text="The source's own id, or a digest: loading twice is once."
    )
    law = models.CharField(max_length=32, blank=True)
    evidence = SealedTextField(purpose=Purpose.CONSENT, bind=("id",), null=True)
    lifts = ArrayField(models.UUIDField(), default=list, blank=True)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_name = models.CharField(max_length=200, blank=True)
    occurred_at = models.DateTimeField(help_text="When the person asked: clocks start here.")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source_id", "source", "enterprise"], name="each_source_event_once"
            ),
        ]
        indexes = [
            models.Index(fields=["blind_index", "kind", "enterprise"], name="consent_by_person"),
            GinIndex(fields=["lifts"], condition=models.Q(action="opt-in"), name="consent_by_lifted"),
        ]
        triggers = APPEND_ONLY

    def __str__(self) -> str:
        return f"{self.action} {self.id}"


class Suppression(models.Model):
    """A channel of a person is blocked for the whole enterprise: what Resolve joins.

    It is the fold of the consent events of one blind index, kept under every live index version.
    """

    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="+", db_index=False)
    kind = models.PositiveSmallIntegerField(choices=[(kind.value, kind.label) for kind in Kind])
    index_version = models.PositiveSmallIntegerField()
    blind_index = models.BinaryField(max_length=32)
    since = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["blind_index", "kind", "enterprise"], name="one_suppression"),
        ]

    def __str__(self) -> str:
        return f"suppression {self.id}"
