"""Mappings: one clear value, one token (decisions 3 and 4)."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tokens.crypto.fields import SealedTextField
from tokens.crypto.keyset import Purpose
from tokens.formats.kinds import Kind
from tokens.models.enterprises import tenant


class State(models.IntegerChoices):
    """Where a mapping is in its life. A token never comes back into use."""

    ACTIVE = 1, "active"
    ERASED = 2, "erased"  # a tombstone: no value, but index and token stay, so that a late STOP still matches
    SUPERSEDED = 3, "superseded"  # another mapping holds the value now
    BLOCKED = 4, "being erased"  # still has its value, and neither resolves nor takes new contacts


class Mapping(models.Model):
    """A token and the clear value that it stands for.

    `value` is the first spelling of the clear value, and is what gets sent. `blind_index_0` and `blind_index_1`
    hold even and odd versions of the blind index, each unique among mappings that are not superseded.
    """

    enterprise = tenant()
    kind = models.PositiveSmallIntegerField(choices=[(kind.value, kind.label) for kind in Kind])
    state = models.PositiveSmallIntegerField(choices=State, default=State.ACTIVE, db_default=State.ACTIVE)
    index_version_0 = models.PositiveSmallIntegerField(null=True)
    index_version_1 = models.PositiveSmallIntegerField(null=True)
    token = models.CharField(max_length=254, db_collation="C")
    value = SealedTextField(purpose=Purpose.VALUE, bind=("kind", "token"), null=True)
    blind_index_0 = models.BinaryField(max_length=32, null=True)
    blind_index_1 = models.BinaryField(max_length=32, null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        # The value is sealed for these: change one, and it can never be opened again.
        triggers = [pgtrigger.ReadOnly(name="fixed_at_birth", fields=["enterprise", "kind", "token"])]
        constraints = [
            models.UniqueConstraint(fields=["token", "enterprise"], name="one_mapping_for_each_token"),
            *(
                models.UniqueConstraint(
                    fields=[f"blind_index_{parity}", "kind", "enterprise"],
                    condition=~Q(state=State.SUPERSEDED.value)
                    & Q(**{f"blind_index_{parity}__isnull": False}),
                    name=f"one_token_for_each_value_{parity}",
                )
                for parity in (0, 1)
            ),
            models.CheckConstraint(
                condition=(Q(state__in=[State.ACTIVE.value, State.BLOCKED.value]) & Q(value__isnull=False))
                | Q(state=State.ERASED.value, value__isnull=True)
                | Q(state=State.SUPERSEDED.value),
                name="active_has_a_value_and_a_tombstone_none",
            ),
        ]

    def __str__(self) -> str:
        return self.token
