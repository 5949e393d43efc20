"""People: users, and their memberships with a role in one enterprise or all."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
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
