"""Bulk jobs: the queue of record is these rows (decision 10). Slices of files are sealed (decision 14)."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tokens.models.enterprises import tenant


class BulkJob(models.Model):
    """A file that is converted into tokens. Its rows go when it is reconciled; what stands here stays."""

    class State(models.TextChoices):
        LOADED = "loaded", "loaded"  # the file is in, its columns are not mapped yet
        PLANNED = "planned", "planned"
        RUNNING = "running", "running"
        PAUSED = "paused", "paused"
        FINISHED = "finished", "finished"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="bulk_jobs")
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=16, choices=State, default=State.LOADED)
    failure = models.CharField(max_length=64, blank=True, help_text="Why it failed: a code.")
    # -- the file
    header = ArrayField(models.TextField())
    header_text = models.TextField(help_text="The first record as it was written.")
    dialect = models.JSONField()
    source_bytes = models.PositiveBigIntegerField(default=0)
    source_digest = models.BinaryField(max_length=32, null=True, help_text="Keyed, for a file can be small.")
    rows = models.PositiveBigIntegerField(default=0)
    chunks = models.PositiveIntegerField(default=0)
    # -- the plan
    columns = models.JSONField(default=dict)
    region = models.CharField(
        max_length=2, blank=True, help_text="Country of numbers without one, such as DE."
    )
    derive_keys = models.BooleanField(
        default=False, help_text="Make a key where the file's is an identifier."
    )
    keys_are_identifiers = models.BooleanField(
        default=False, help_text="Most keys of the file are addresses or numbers."
    )
    # Earlier jobs with the same bytes: what one of them wrote in the same way, this one need not write again.
    same_source = ArrayField(models.UUIDField(), default=list, blank=True)
    # -- the run
    workers = models.PositiveSmallIntegerField(
        default=2, help_text="Chunks that are worked at the same time."
    )
    # Mappings with a smaller id were there when the job began, so their cells count as reused.
    mapping_mark = models.BigIntegerField(null=True)
    requested_by_id = models.CharField(max_length=64)
    requested_by_name = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    planned_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    output_taken_at = models.DateTimeField(null=True)
    reconciled_at = models.DateTimeField(null=True)
    reconciliation = models.JSONField(null=True, help_text="What reconciling found.")
    emptied_at = models.DateTimeField(null=True, help_text="When its slices were deleted.")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["enterprise", "-id"], name="bulk_by_enterprise"),
            models.Index(fields=["id"], condition=Q(state="running"), name="bulk_running"),
        ]

    def __str__(self) -> str:
        return self.name


class BulkChunk(models.Model):
    """A slice of a job's file: the unit of work, of a lease and of a commit.

    A chunk is free while it is pending and its lease has run out. Every claim raises the epoch, and only the holder
    of the latest epoch can finish it: a worker that was stopped for long, and goes on, writes nothing.
    """

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    enterprise = tenant()
    job = models.ForeignKey(BulkJob, models.PROTECT, related_name="chunk_set", db_index=False)
    number = models.PositiveIntegerField()
    first_line = models.PositiveBigIntegerField()
    lines = models.PositiveIntegerField()
    rows = models.PositiveIntegerField()
    # Compressed, then sealed; bound to job and number (tokens.bulk.slices).
    source = models.BinaryField(null=True)
    output = models.BinaryField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.PENDING, db_default=State.PENDING)
    epoch = models.PositiveIntegerField(default=0, db_default=0)
    lease_until = models.DateTimeField(null=True)
    holder = models.IntegerField(null=True, help_text="Process id of the database session that claimed it.")
    claims = models.PositiveSmallIntegerField(default=0, db_default=0)
    failures = models.PositiveSmallIntegerField(default=0, db_default=0)
    error = models.CharField(max_length=64, blank=True, db_default="", help_text="Code of the last failure.")
    counts = models.JSONField(default=dict, help_text="Cells and contacts by what came of them.")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="one_chunk_for_each_number")]
        indexes = [
            models.Index(fields=["job", "number"], condition=Q(state="pending"), name="bulk_pending"),
        ]

    def __str__(self) -> str:
        return f"chunk {self.number}"


class BulkReject(models.Model):
    """A cell that could not be converted. It was emptied; the row was kept. The value stands here masked."""

    enterprise = tenant()
    job = models.ForeignKey(BulkJob, models.PROTECT, related_name="rejects", db_index=False)
    line = models.PositiveBigIntegerField()
    column = models.TextField()
    code = models.CharField(max_length=64)
    masked = models.CharField(max_length=300)

    class Meta:
        indexes = [models.Index(fields=["job", "line"], name="bulk_rejects_by_line")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.code}"
