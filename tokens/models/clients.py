"""API clients of Marketing Cloud: credentials, scopes, allowed networks, budgets (decision 11)."""

from typing import Any, Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from oauth2_provider.models import AbstractApplication


class Scope(models.TextChoices):
    """What a client may call."""

    RESOLVE = "tokens.resolve", "Resolve tokens"
    GET = "tokens.get", "Get tokens"
    OPT_OUT = "opt-outs.record", "Record opt-outs"


# What Marketing Cloud itself calls: a client gets no more unless somebody says so.
FOR_MARKETING_CLOUD: Final = (Scope.RESOLVE, Scope.GET)


class AuthMethod(models.TextChoices):
    """How a client proves itself to the API."""

    BASIC = "basic", "HTTP Basic"
    OAUTH = "oauth", "OAuth 2.0 client credentials"


class ApiClient(AbstractApplication):
    """An OAuth application that belongs to an enterprise. Its secrets are `ClientSecret` rows."""

    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="clients")
    auth = models.CharField(max_length=8, choices=AuthMethod)
    scopes = ArrayField(models.CharField(max_length=32, choices=Scope))
    transactional = models.BooleanField(
        default=False,
        help_text="Sends only messages that an opt-out does not concern: not blocked at Resolve.",
    )
    switched_off_at = models.DateTimeField(null=True, blank=True)
    mint_budget_per_day = models.PositiveIntegerField(
        default=100_000, help_text="Tokens minted through Get Token a day before an alarm is raised."
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return str(self.name or self.client_id)

    def is_usable(self, request: Any) -> bool:
        """Django OAuth Toolkit asks this before it issues or accepts a bearer token."""
        return self.switched_off_at is None and self.auth == AuthMethod.OAUTH


class ClientSecret(models.Model):
    """One of at most two live secrets of a client, as a keyed digest; the secret itself is shown once."""

    client = models.ForeignKey(ApiClient, models.PROTECT, related_name="secrets")
    digest = models.BinaryField(max_length=32)
    key = models.ForeignKey("tokens.DataKey", models.PROTECT, related_name="+")
    slot = models.PositiveSmallIntegerField(choices=[(1, "first"), (2, "second")])
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["client", "slot"], condition=Q(retired_at=None), name="two_live_secrets_at_most"
            ),
            models.CheckConstraint(condition=Q(slot__in=(1, 2)), name="secret_slot_is_1_or_2"),
        ]

    def __str__(self) -> str:
        return f"secret {self.slot} of client {self.client_id}"


class AllowedNetwork(models.Model):
    """A network from which a client may call. A client without any may call from anywhere."""

    client = models.ForeignKey(ApiClient, models.CASCADE, related_name="networks")
    cidr = models.CharField(max_length=43)
    label = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "cidr"], name="one_rule_for_each_network")]

    def __str__(self) -> str:
        return self.cidr


class BudgetUse(models.Model):
    """Tokens minted, or unknown tokens asked for, by one call. Insert-only: a counter would serialise a client."""

    class Kind(models.IntegerChoices):
        MINTED = 1, "minted"
        UNKNOWN_TOKENS = 2, "unknown tokens"

    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="+", db_index=False)
    client = models.ForeignKey(ApiClient, models.PROTECT, related_name="+", db_index=False)
    kind = models.PositiveSmallIntegerField(choices=Kind)
    amount = models.PositiveIntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["client", "kind", "at"], include=["amount"], name="budget_by_client")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.amount}"
