"""SFTP servers that extracts of the No Token Queue are fetched from, and which of their files were taken."""

from typing import Any

from django.db import models
from django.db.models.functions import Now

from tokens.crypto.fields import SealedTextField
from tokens.crypto.keyset import Purpose


class FileTransfer(models.Model):
    """The SFTP server of an enterprise. Nothing but a test goes to it until it was put to use, which takes two."""

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = models.OneToOneField("tokens.Enterprise", models.PROTECT, related_name="+")
    host = models.CharField(max_length=255)
    port = models.PositiveIntegerField(default=22)
    username = models.CharField(max_length=100)
    host_key = models.TextField(blank=True, help_text="Pinned: the line of OpenSSH. None is ever learned.")
    password: Any = SealedTextField(purpose=Purpose.CONNECTION, null=True)
    # A pair that the portal made: its public half is added to the server.
    private_key: Any = SealedTextField(purpose=Purpose.CONNECTION, null=True)
    public_key = models.TextField(blank=True)
    extracts_folder = models.CharField(max_length=500, blank=True)
    recipe = models.ForeignKey(
        "tokens.ExtractRecipe", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    made_at = models.DateTimeField(db_default=Now())
    in_use_since = models.DateTimeField(null=True)
    # The last test: [{"step", "state", "said"}, …].
    tested_at = models.DateTimeField(null=True)
    test = models.JSONField(default=list)
    # One worker looks at a time.
    lease_until = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"{self.username}@{self.host}"


class RemoteFile(models.Model):
    """A file of the folder as it was seen last. One that is replaced there is taken again."""

    class State(models.TextChoices):
        SEEN = "seen", "waits until it is steady"
        COLUMNS = "columns", "its columns are unknown"
        TAKEN = "taken", "taken over"
        REFUSED = "refused", "refused"

    transfer = models.ForeignKey(FileTransfer, models.PROTECT, related_name="files")
    name = models.CharField(max_length=200)
    size = models.BigIntegerField()
    mtime = models.BigIntegerField(help_text="Seconds since 1970, as the server says.")
    seen_at = models.DateTimeField(help_text="Since when it is as it is.")
    state = models.CharField(max_length=8, choices=State, default=State.SEEN)
    trouble = models.CharField(max_length=500, blank=True)
    extract = models.ForeignKey("tokens.QueueExtract", models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["transfer", "name"], name="one_row_for_each_remote_file")
        ]

    def __str__(self) -> str:
        return self.name
