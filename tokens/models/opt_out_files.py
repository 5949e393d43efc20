"""Files of opt-outs, and of bounces and complaints: cut into sealed chunks that any worker can take over."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tokens.models.enterprises import tenant


class OptOutFile(models.Model):
    """A file whose lines say who opted out. Its bytes go chunk by chunk; what stands here stays."""

    class What(models.TextChoices):
        """As the sources of consent events are called."""

        OPT_OUTS = "file", "opt-outs"
        BOUNCES = "bounce", "bounces and complaints"

    class State(models.TextChoices):
        LOADED = "loaded", "loaded"  # its columns are not said yet
        RUNNING = "running", "running"
        FINISHED = "finished", "finished"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="+")
    what = models.CharField(max_length=8, choices=What)
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=State, default=State.LOADED)
    failure = models.CharField(max_length=64, blank=True, help_text="Why it failed: a code.")
    digest = models.BinaryField(max_length=32, help_text="Keyed, for a file can be small.")
    written_at = models.DateTimeField(help_text="When the file was written: nobody in it asked later.")
    header = ArrayField(models.TextField())
    written_as = models.CharField(max_length=60)
    reading = models.JSONField(
        default=dict, help_text="tokens.opt_out_files.columns.Reading, as it is stored."
    )
    lines = models.PositiveIntegerField(default=0)
    # lines = new + known + skipped + refused, once it is finished.
    new = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0, help_text="Reports that are no reason to stop.")
    refused = models.PositiveIntegerField(default=0)
    loaded_by_id = models.CharField(max_length=64)
    loaded_by_name = models.CharField(max_length=200)
    loaded_at = models.DateTimeField(db_default=Now())
    begun_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["enterprise", "-id"], name="opt_out_file_by_enterprise"),
            models.Index(fields=["id"], condition=Q(state="running"), name="opt_out_file_running"),
        ]

    def __str__(self) -> str:
        return self.name


class OptOutChunk(models.Model):
    """Some lines of a file: the unit of work, of a lease and of a commit, as a bulk job's chunk is."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        DONE = "done", "done"

    enterprise = tenant()
    file = models.ForeignKey(OptOutFile, models.PROTECT, related_name="chunks", db_index=False)
    number = models.PositiveIntegerField()
    lines = models.PositiveIntegerField()
    source = models.BinaryField(null=True, help_text="Compressed, then sealed; NULL once it is taken over.")
    state = models.CharField(max_length=8, choices=State, default=State.PENDING, db_default="pending")
    epoch = models.PositiveIntegerField(default=0, db_default=0)
    lease_until = models.DateTimeField(null=True)
    failures = models.PositiveSmallIntegerField(default=0, db_default=0)
    counts = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["file", "number"], name="one_opt_out_chunk_for_each_number")
        ]
        indexes = [
            models.Index(
                fields=["file", "number"], condition=Q(state="pending"), name="opt_out_chunk_pending"
            )
        ]

    def __str__(self) -> str:
        return f"chunk {self.number}"


class OptOutReject(models.Model):
    """A line that gave no opt-out, and why. What it says of a person stands here masked."""

    enterprise = tenant()
    file = models.ForeignKey(OptOutFile, models.PROTECT, related_name="rejects", db_index=False)
    line = models.PositiveIntegerField()
    column = models.CharField(max_length=200, blank=True)
    code = models.CharField(max_length=64)
    masked = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["file", "line"], name="opt_out_reject_by_line")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.code}"
