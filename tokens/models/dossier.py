"""Access requests: the packs that answer them. What a pack says is put together when it is taken."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class AccessPack(models.Model):
    """The right to take the pack of one person for one case, for some days. Written once."""

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="+")
    mapping = models.ForeignKey("tokens.Mapping", models.PROTECT, related_name="+")
    case = models.CharField(max_length=64)
    clear = models.BooleanField(help_text="With clear values: only by approval, and only for who asked.")
    made_by_id = models.CharField(max_length=64)
    made_by_name = models.CharField(max_length=200)
    made_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(expires_at__gt=F("made_at")), name="a_pack_lives_a_while")
        ]

    def __str__(self) -> str:
        return f"access pack {self.case}"
