"""Enterprises (Marketing Cloud accounts) and their business units."""

import pgtrigger
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models


def default_mobile_digits() -> dict[str, int]:
    """No exception: every country's tokens have 15 digits."""
    return {}


class Enterprise(models.Model):
    """One Marketing Cloud account (EID): the tenant that every other row belongs to."""

    eid = models.CharField("EID", max_length=32, unique=True, help_text="Marketing Cloud's enterprise id.")
    name = models.CharField(max_length=200)
    sandbox = models.BooleanField(
        default=False, help_text="Fixed when the enterprise is made. Acts on a sandbox need no second person."
    )
    token_domain = models.CharField(
        max_length=100,
        unique=True,
        validators=[RegexValidator(r"^(?=.{4,100}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$")],
        help_text="A sub-domain of your own that receives no other mail; e-mail tokens end in it.",
    )
    default_region = models.CharField(
        max_length=2, blank=True, help_text="Country of numbers without one in bulk files, such as DE."
    )
    mobile_token_digits = models.JSONField(
        default=default_mobile_digits,
        blank=True,
        help_text='Length of mobile tokens where it is not 15, by country calling code: {"43": 14}.',
    )
    optout_blocks_resolve = models.BooleanField(
        default=True, help_text="An enterprise-wide opt-out blocks its channel at Resolve."
    )
    identifier_keys_allowed = models.BooleanField(
        default=False,
        help_text="Accept subscriber keys that are themselves an address or a number. This defeats tokenization.",
    )
    residue_days = models.PositiveSmallIntegerField(
        default=30,
        validators=[MaxValueValidator(3650)],
        help_text="Days until the key of what was clear in a logged body, and not ours to refer to, is destroyed.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        triggers = [
            pgtrigger.ReadOnly(name="fixed_at_birth", fields=["sandbox", "eid", "token_domain"]),
        ]

    def __str__(self) -> str:
        return self.name


class BusinessUnit(models.Model):
    """A business unit (MID) of an enterprise; the parent unit is the enterprise's own account."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="business_units")
    mid = models.CharField("MID", max_length=32, help_text="Marketing Cloud's member id.")
    name = models.CharField(max_length=200)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["enterprise", "mid"], name="one_unit_for_each_mid")]

    def __str__(self) -> str:
        return f"{self.name} ({self.mid})"


def tenant() -> "models.ForeignKey[Enterprise, Enterprise]":
    """The enterprise of a row in a table of millions.

    Without an index of its own and never the first column of one: of an enterprise that its statistics do not know
    yet PostgreSQL expects no row at all, would take any index that starts with it, and read all that a bulk job has
    written so far for every item. Without a check for each row, since enterprises can't be deleted (the app has no
    right to).
    """
    return models.ForeignKey(
        Enterprise, models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
