"""Erasures of people, the contact deletes that belong to them, and what waits to be copied to the erasure ledger."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tokens.models.enterprises import tenant


class Erasure(models.Model):
    """One person is erased, step by step. Whose and what is fixed when it begins, which is when it was approved.

    As with write-backs, every claim raises the epoch, and only the holder of the latest one moves it on.
    """

    class State(models.TextChoices):
        BLOCKED = "blocked", "blocked at Resolve"
        DELETED = "deleted", "deleted in Marketing Cloud"
        DESTROYED = "destroyed", "destroyed here"
        DONE = "done", "verified"

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = tenant()
    # Where it was asked for: the address or number whose page it was.
    mapping = models.ForeignKey("tokens.Mapping", models.PROTECT, related_name="+")
    case = models.CharField(max_length=64)
    requested_by_id = models.CharField(max_length=64)
    requested_by_name = models.CharField(max_length=200)
    approval = models.UUIDField(null=True, help_text="The approved request; none in a sandbox.")
    # -- whom and what, by id: contacts, their mappings that nobody else holds, and those that others hold too
    contacts = ArrayField(models.BigIntegerField(), default=list)
    mappings = ArrayField(models.BigIntegerField(), default=list)
    shared = ArrayField(models.BigIntegerField(), default=list)
    # -- how far it is
    state = models.CharField(max_length=10, choices=State, default=State.BLOCKED)
    blocked_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)
    recorded_at = models.DateTimeField(null=True, help_text="When the erasure ledger had it on disk.")
    destroyed_at = models.DateTimeField(null=True)
    verify_from = models.DateTimeField(
        null=True, help_text="By the database's clock: who began before may still write what they read."
    )
    done_at = models.DateTimeField(null=True)
    # Data extensions that Marketing Cloud does not clean: [[key, name], …]; NULL while nobody could be asked.
    left_to_customer = models.JSONField(null=True)
    destroyed = models.JSONField(default=dict, help_text="How much of what was destroyed.")
    verified = models.JSONField(default=dict, help_text="What was looked for again, and how much was found.")
    lives_until = models.JSONField(default=dict, help_text="What lives on, and until when.")
    swept_to = models.BigIntegerField(default=0, help_text="The chunk of bulk files that was looked at last.")
    replayed_at = models.DateTimeField(null=True, help_text="When the ledger told a restored database of it.")
    # -- the work
    tries = models.PositiveIntegerField(default=0, db_default=0)
    next_try_at = models.DateTimeField(db_default=Now())
    epoch = models.PositiveIntegerField(default=0, db_default=0)
    lease_until = models.DateTimeField(null=True)
    trouble = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="What it waits for: a code."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(destroyed_at=None) | Q(recorded_at__isnull=False),
                name="nothing_is_destroyed_before_the_ledger_has_it",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["destroyed", "done"]) | Q(destroyed_at__isnull=False),
                name="destroyed_at_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(done_at__isnull=False), name="verified_at_a_time"
            ),
        ]
        indexes = [
            models.Index(fields=["enterprise", "-id"], name="erasure_by_enterprise"),
            models.Index(fields=["next_try_at"], condition=~Q(state="done"), name="erasure_open"),
            GinIndex(fields=["mappings"], name="erasure_by_mapping"),
        ]

    def __str__(self) -> str:
        return f"erasure {self.case}"


class ContactDelete(models.Model):
    """The contacts of an erasure, deleted in one business unit of Marketing Cloud (the account itself is one)."""

    class State(models.TextChoices):
        PENDING = "pending", "waits"
        RUNNING = "running", "begun"
        DELETED = "deleted", "deleted"

    class Proof(models.TextChoices):
        NONE = "", "none yet"
        READ_BACK = "read-back", "Marketing Cloud says that it is over, and lists no such subscriber"
        SECOND_PERSON = "second-person", "a person deleted them by hand, and a second one confirmed it"

    enterprise = tenant()
    erasure = models.ForeignKey(Erasure, models.PROTECT, related_name="deletes")
    mid = models.CharField("MID", max_length=32)
    state = models.CharField(max_length=8, choices=State, default=State.PENDING)
    operation = models.CharField(
        max_length=64, blank=True, help_text="Marketing Cloud's id of the operation."
    )
    proof = models.CharField(max_length=16, choices=Proof, blank=True, default=Proof.NONE)
    begun_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    evidence = models.CharField(max_length=500, blank=True)
    said_by_id = models.CharField(max_length=64, blank=True)
    said_by_name = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["erasure", "mid"], name="one_delete_for_each_unit"),
            models.CheckConstraint(
                condition=~Q(state="deleted") | (~Q(proof="") & Q(deleted_at__isnull=False)),
                name="nothing_is_deleted_without_proof",
            ),
        ]
        indexes = [
            models.Index(fields=["enterprise"], condition=Q(state="running"), name="contact_delete_running"),
        ]

    def __str__(self) -> str:
        return f"contact delete in {self.mid}"


class LedgerLine(models.Model):
    """Something that the erasure ledger must learn: written with it, deleted when it is on disk there."""

    class Kind(models.TextChoices):
        OPT_OUT = "opt-out", "opt-out"
        OPT_IN = "opt-in", "opt-in"
        ERASURE = "erasure", "erasure"

    kind = models.CharField(max_length=8, choices=Kind)
    subject = models.UUIDField()
    made_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
