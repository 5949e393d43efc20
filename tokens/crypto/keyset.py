"""The keyset as it is stored: data keys wrapped by the root keys, and the versions of the blind index."""

import datetime

from django.db import models
from django.db.models import Q

from tokens.crypto import envelope


class Purpose(models.TextChoices):
    """What a data key is for. Keys of different purposes never open each other's envelopes."""

    VALUE = "value", "clear values of mappings"
    ATTRIBUTES = "attributes", "attribute sets of contacts"
    INDEX = "index", "blind index (HMAC)"
    LOG_DIGEST = "log-digest", "digests of logged bodies (HMAC)"
    RESIDUE = "residue", "residue of the payload log, one key a day"
    CONSENT = "consent", "evidence of consent events"
    CREDENTIAL = "credential", "client secrets (HMAC)"
    BULK = "bulk", "files of bulk jobs"
    CONNECTION = "connection", "secrets and keys of connections to Marketing Cloud"
    SUBSCRIBER_KEY = "subscriber-key", "derived subscriber keys (HMAC)"


class DataKey(models.Model):
    """A data key of one enterprise and purpose. `wrapped` is NULL once the key is destroyed; the row stays."""

    id = models.AutoField(primary_key=True)  # stands in envelopes as 4 bytes
    uid = models.UUIDField(unique=True, editable=False)
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=16, choices=Purpose)
    day = models.DateField(null=True, help_text="Only residue keys: the day whose bodies it seals.")
    is_primary = models.BooleanField(help_text="Seals; the others only open.")
    wrapped = models.BinaryField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    destroyed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["enterprise", "purpose", "day"],
                condition=Q(is_primary=True),
                nulls_distinct=False,
                name="one_primary_key",
            ),
            models.CheckConstraint(
                condition=Q(purpose="residue", day__isnull=False) | (~Q(purpose="residue") & Q(day=None)),
                name="only_residue_keys_have_a_day",
            ),
            models.CheckConstraint(
                condition=Q(wrapped=None) ^ Q(destroyed_at=None), name="destroyed_keys_are_gone"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} key {self.id}"

    def context(self) -> bytes:
        """What the wrapped key is bound to, so that it can't be moved to another enterprise or purpose."""
        return envelope.place("tokens.DataKey", "wrapped", self.enterprise_id, self.purpose, self.uid)


def slot_of(purpose: Purpose, day: datetime.date | None) -> str:
    """Name under which a primary key is looked up: the purpose, and the day of a residue key."""
    return f"{purpose.value}:{day.isoformat()}" if day else purpose.value


class IndexVersion(models.Model):
    """A live version of the blind index: an HMAC key and a version of the normalisation.

    Version n stands in column `blind_index_<n mod 2>`. Look-ups compare every live version with both columns.
    """

    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="index_versions")
    number = models.PositiveSmallIntegerField()
    normalisation = models.PositiveSmallIntegerField()
    key = models.ForeignKey(DataKey, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["enterprise", "number"], name="one_index_version")]

    def __str__(self) -> str:
        return f"blind index version {self.number}"
