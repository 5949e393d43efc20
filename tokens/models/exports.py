"""Exports: the queue of record is these rows (decision 10). Files are kept sealed, in slices, for some days."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tokens.models.enterprises import tenant


class Export(models.Model):
    """Rows of one kind that leave the portal as a file. It is worked slice by slice, by one worker at a time.

    As with chunks of bulk jobs, every claim raises the epoch, and only the holder of the latest one can write.
    """

    class What(models.TextChoices):
        LOG = "log", "payload log"
        EVENTS = "events", "event trail"
        UNSUBSCRIBES = "unsubscribes", "unsubscribes"
        PEOPLE = "people", "people"

    class Form(models.TextChoices):
        XLSX = "xlsx", "Excel (XLSX)"
        CSV = "csv", "CSV for people"
        JSONL = "jsonl", "JSON lines for machines"

    class State(models.TextChoices):
        RUNNING = "running", "being made"
        READY = "ready", "ready"
        FAILED = "failed", "failed"
        EXPIRED = "expired", "expired"

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="+")
    what = models.CharField(max_length=16, choices=What)
    form = models.CharField(max_length=8, choices=Form)
    only = models.JSONField(default=dict, help_text="The filter; never a clear value.")
    clear = models.BooleanField(default=False, help_text="With clear values: only by approval.")
    case = models.CharField(max_length=64)
    requested_by_id = models.CharField(max_length=64)
    requested_by_name = models.CharField(max_length=200)
    requested_at = models.DateTimeField(db_default=Now())
    # -- the run: rows with a key beyond `mark` came later and are not in it; those up to `after` are in slices
    mark = models.CharField(max_length=36)
    after = models.CharField(max_length=36, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    failure = models.CharField(max_length=64, blank=True, help_text="Why it failed: a code.")
    failures = models.PositiveSmallIntegerField(default=0)
    epoch = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    slices = models.PositiveIntegerField(default=0)
    rows = models.PositiveBigIntegerField(default=0)
    # -- the file
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    taken = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["enterprise", "-id"], name="export_by_enterprise"),
            models.Index(fields=["id"], condition=Q(state="running"), name="export_running"),
        ]

    def __str__(self) -> str:
        return f"{self.what} {self.id}"


class ExportSlice(models.Model):
    """Some rows of an export, compressed and sealed. `sealed` is NULL once the export has expired."""

    enterprise = tenant()
    export = models.ForeignKey(Export, models.PROTECT, related_name="slice_set", db_index=False)
    number = models.PositiveIntegerField()
    sealed = models.BinaryField(null=True)
    # Whose clear values are in it, by mapping: who saw a person is known when the file is long gone.
    subjects = ArrayField(models.BigIntegerField(), default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["export", "number"], name="one_slice_for_each_number")]
        indexes = [GinIndex(fields=["subjects"], name="export_slice_by_subject")]

    def __str__(self) -> str:
        return f"slice {self.number}"
