"""Import files with which text-message opt-outs are handed over to Marketing Cloud."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from tokens.models.enterprises import tenant


class SmsFile(models.Model):
    """A file of open text-message opt-outs, as of a moment. It holds tokens, and leaves by an officer only."""

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = tenant()
    content = models.BinaryField(null=True, help_text="Compressed, then sealed; NULL once it expired.")
    opt_outs = ArrayField(models.UUIDField(), help_text="Those whose people stand in it.")
    rows = models.PositiveIntegerField()
    left_out = models.PositiveIntegerField(
        help_text="Opt-outs of people without a token or a subscriber key."
    )
    made_by_id = models.CharField(max_length=64)
    made_by_name = models.CharField(max_length=200)
    made_at = models.DateTimeField(db_default=Now())
    taken = models.PositiveIntegerField(default=0)
    taken_by_name = models.CharField(max_length=200, blank=True)
    taken_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["enterprise", "-id"], name="sms_file_by_enterprise")]

    def __str__(self) -> str:
        return f"SMS file {self.pk}"
