"""Connections to Marketing Cloud, the addresses of ours that it calls, and the events that it sends there."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tokens.crypto.fields import SealedTextField
from tokens.crypto.keyset import Purpose
from tokens.models.enterprises import tenant


class GrantKind(models.TextChoices):
    """How the portal proves itself to Marketing Cloud."""

    CREDENTIALS = "client-credentials", "client id and secret"
    CODE = "authorization-code", "the sign-in of a user of Marketing Cloud (authorization code)"
    JWT = "jwt-bearer", "an assertion that the portal signs (JWT bearer)"


class Connection(models.Model):
    """An installed package through which the portal calls Marketing Cloud.

    It serves one business unit, or with none every one of the enterprise that has no connection of its own. Nothing
    but a test goes through it until it was put to use, which in a live enterprise takes two.
    """

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="connections")
    business_unit = models.ForeignKey(
        "tokens.BusinessUnit", models.PROTECT, null=True, blank=True, related_name="+"
    )
    name = models.CharField(max_length=100)
    subdomain = models.CharField("sub-domain", max_length=28)
    grant_kind = models.CharField(max_length=24, choices=GrantKind, default=GrantKind.CREDENTIALS)
    client_id = models.CharField("client id", max_length=255)
    client_secret: Any = SealedTextField(purpose=Purpose.CONNECTION, null=True)
    # Of the JWT bearer flow: whom the assertion is for, the key that signs it, and its certificate, to be uploaded.
    subject = models.CharField(max_length=255, blank=True)
    signing_key: Any = SealedTextField(purpose=Purpose.CONNECTION, null=True)
    certificate = models.TextField(blank=True)
    # Of the authorization code flow: what the last sign-in of a user left.
    refresh_token: Any = SealedTextField(purpose=Purpose.CONNECTION, null=True)
    signed_in_at = models.DateTimeField(null=True)
    made_at = models.DateTimeField(db_default=Now())
    in_use_since = models.DateTimeField(null=True)
    # The last test: [{"step", "state", "said"}, …], and the scopes that the access token had.
    tested_at = models.DateTimeField(null=True)
    test = models.JSONField(default=list)
    granted = ArrayField(models.CharField(max_length=100), default=list)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["enterprise", "business_unit"],
                nulls_distinct=False,
                name="one_connection_for_each_unit",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CoreOrg(models.Model):
    """A Salesforce core org that the portal signs in to by assertion, and what its last test said."""

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="core_orgs")
    name = models.CharField(max_length=100)
    login_url = models.CharField(max_length=200)
    client_id = models.CharField("consumer key", max_length=255)
    subject = models.CharField(max_length=255)
    signing_key: Any = SealedTextField(purpose=Purpose.CONNECTION)
    certificate = models.TextField()
    made_at = models.DateTimeField(db_default=Now())
    tested_at = models.DateTimeField(null=True)
    has_passed = models.BooleanField(default=False)
    said = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class EventCallback(models.Model):
    """An address of ours that Marketing Cloud sends events to.

    `callback_id` is empty while Marketing Cloud was asked for one and its answer is not stored yet: the handshake can
    be faster. Events count once the handshake was answered.
    """

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="+")
    connection = models.ForeignKey(Connection, models.PROTECT, related_name="callbacks")
    callback_id = models.CharField(max_length=64, blank=True)
    signature_key: Any = SealedTextField(purpose=Purpose.CONNECTION, null=True)
    # What the handshake brought, until it is answered.
    verification_key: Any = SealedTextField(purpose=Purpose.CONNECTION, null=True)
    made_at = models.DateTimeField(db_default=Now())
    verified_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["callback_id"], condition=~Q(callback_id=""), name="one_row_for_each_callback"
            ),
        ]

    def __str__(self) -> str:
        return f"callback {self.callback_id or self.id}"


class CloudEvent(models.Model):
    """One event of Marketing Cloud, as it came. It is delivered at least once, without an id: `digest` tells."""

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = tenant()
    callback = models.ForeignKey(EventCallback, models.PROTECT, related_name="+", db_index=False)
    # SHA-256 over eventCategoryType, compositeId and timestampUTC.
    digest = models.BinaryField(max_length=32)
    category = models.CharField(max_length=100)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())
    entry_id = models.UUIDField(help_text="The exchange of the payload log that brought it.")
    event: Any = SealedTextField(purpose=Purpose.CONSENT, null=True)  # until it was worked
    worked_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0, db_default=0, help_text="How often its work failed.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["digest", "enterprise"], name="one_row_for_each_cloud_event"),
        ]
        indexes = [
            models.Index(fields=["tries", "id"], condition=Q(worked_at=None), name="cloud_event_by_tries"),
        ]

    def __str__(self) -> str:
        return f"{self.category} {self.id}"
