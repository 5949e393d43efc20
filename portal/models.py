"""People: users, and their memberships with a role in one enterprise or all."""

from typing import ClassVar

import pgtrigger
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from portal.roles import Role


class User(AbstractUser):
    """A person who signs in to the portal. What they may do is said by their memberships, not by groups."""

    session_epoch = models.PositiveIntegerField(
        default=0, help_text="Sessions of an earlier epoch have ended: it grows when roles change."
    )

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        # Django compares this on every request, and ends the sessions that were begun under another.
        bound = f"{self.password}:{self.session_epoch}"
        return salted_hmac("portal.User.session", bound, secret=secret, algorithm="sha256").hexdigest()


class Membership(models.Model):
    """A role of a user in one enterprise, or in all of them when `enterprise` is empty."""

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    enterprise = models.ForeignKey(
        "tokens.Enterprise", models.CASCADE, null=True, blank=True, related_name="+"
    )
    role = models.CharField(max_length=32, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "enterprise", "role"],
                nulls_distinct=False,
                name="one_membership_for_each_role",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()} in {self.enterprise or 'every enterprise'}"


class SetUpLink(models.Model):
    """A code with which one person sets password and second factor, once (`portal.set_up`); the newest counts."""

    user = models.ForeignKey(User, models.CASCADE, related_name="set_up_links")
    digest = models.BinaryField(max_length=32, unique=True)  # SHA-256 of the code, which is kept nowhere
    made_by_id = models.CharField(max_length=64)
    made_by_name = models.CharField(max_length=200)
    made_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    used_from = models.GenericIPAddressField(null=True)

    def __str__(self) -> str:
        return f"set-up link of {self.user_id}"


class BreakGlass(models.Model):
    """A reveal beyond the caps or without a case (docs/reveals.md): a second person reviews it, once."""

    id = models.UUIDField(primary_key=True, editable=False)  # of its event in the trail
    enterprise_id = models.BigIntegerField()
    actor_id = models.CharField(max_length=64)
    actor_name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    reviewed_by_id = models.CharField(max_length=64, blank=True)
    reviewed_by_name = models.CharField(max_length=200, blank=True)
    reviewed_at = models.DateTimeField(null=True)
    was_justified = models.BooleanField(null=True)
    comment = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["created_at"], condition=Q(reviewed_at=None), name="break_glass_waiting")
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(name="stays", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="reviewed_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__reviewed_at__isnull=False),
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~Q(reviewed_by_id=models.F("actor_id")), name="nobody_reviews_their_own"
            ),
            models.CheckConstraint(
                condition=Q(reviewed_at=None, was_justified=None, reviewed_by_id="")
                | (Q(reviewed_at__isnull=False, was_justified__isnull=False) & ~Q(reviewed_by_id="")),
                name="a_review_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"break-glass {self.id}"


class AlarmNotice(models.Model):
    """An alarm was told on a channel (portal.alarms)."""

    event_id = models.UUIDField()
    channel = models.CharField(max_length=16)
    told_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event_id", "channel"], name="told_once_on_each_channel"),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.event_id}"


class RevealGrant(models.Model):
    """Several clear values that one person may open once (docs/reveals.md), as a second person approved it."""

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7
    enterprise_id = models.BigIntegerField()
    actor_id = models.CharField(max_length=64)
    actor_name = models.CharField(max_length=200)
    parameters = models.JSONField()  # exactly what was asked for: ids, never a clear value
    approval_id = models.UUIDField(null=True)  # none in a sandbox
    approved_by_name = models.CharField(max_length=200, blank=True)
    granted_at = models.DateTimeField(auto_now_add=True, db_default=Now())
    expires_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["actor_id"], condition=Q(opened_at=None), name="grants_to_open"),
            models.Index(fields=["approval_id"], name="grant_by_approval"),
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(name="stays", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="opened_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__opened_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"reveal grant {self.id}"
