"""Evidence: payload log, event trail, seals and their queue, counters of anonymous refusals.

No foreign keys: enterprise, client, actor and subject are opaque ids plus text, so that evidence outlives what
it speaks of (decision 16). `PayloadEntry` and `AuditEvent` are partitioned by month on their UUIDv7; the tables
are made by SQL in migration 0001, which these models must match.
"""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now

from audit.append_only import APPEND_ONLY
from audit.approval_models import ApprovalRequest, Installation
from audit.hold_models import LegalHold
from audit.retention_models import HeldCopy, RecordKind, RetentionPolicy
from audit.vocabulary import Action

__all__ = [
    "Api", "ApprovalRequest", "AuditEvent", "Direction", "HeldCopy", "Installation", "LegalHold", "Outcome",
    "PayloadEntry", "RecordKind", "RefusalCount", "RetentionPolicy", "SealQueueEntry",
]  # fmt: skip


class Direction(models.IntegerChoices):
    """Who called whom."""

    INBOUND = 1, "Marketing Cloud called us"
    OUTBOUND = 2, "we called Marketing Cloud"


class Api(models.TextChoices):
    """Which interface was spoken."""

    RESOLVE = "resolve", "Resolve"
    GET_TOKEN = "get-token", "Get Token"
    OAUTH = "oauth", "OAuth token"
    EVENTS = "events", "Event notifications"
    OPT_OUTS = "opt-outs", "Opt-outs"
    # Ours to Marketing Cloud, by its hosts.
    CLOUD_AUTH = "cloud-auth", "Marketing Cloud: auth"
    CLOUD_REST = "cloud-rest", "Marketing Cloud: REST"
    CLOUD_SOAP = "cloud-soap", "Marketing Cloud: SOAP"


class Outcome(models.TextChoices):
    """What came of an exchange."""

    COMPLETE = "complete", "every item answered"
    PARTIAL = "partial", "some items unanswered"
    NONE = "none", "no item answered"
    REFUSED = "refused", "refused"
    FAILED = "failed", "failed"


class PayloadEntry(models.Model):
    """One exchange with Marketing Cloud. Clear values are cut out of the bodies (`tokens.payload`)."""

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7; it is also the X-Request-ID
    at = models.DateTimeField()
    enterprise_id = models.BigIntegerField(null=True)
    direction = models.PositiveSmallIntegerField(choices=Direction)
    api = models.CharField(max_length=16, choices=Api)
    client_id = models.CharField(max_length=255, blank=True)
    client_name = models.CharField(max_length=255, blank=True)
    remote_address = models.GenericIPAddressField(null=True)
    status = models.PositiveSmallIntegerField()
    outcome = models.CharField(max_length=8, choices=Outcome)
    error = models.CharField(max_length=64, blank=True, help_text="Code of the refusal, from a closed list.")
    items_asked = models.PositiveIntegerField(default=0)
    items_answered = models.PositiveIntegerField(default=0)
    duration_us = models.PositiveIntegerField(
        default=0, help_text="Until the entry was written, in microseconds."
    )
    request_bytes = models.PositiveIntegerField(default=0)
    response_bytes = models.PositiveIntegerField(default=0)
    user_agent = models.CharField(max_length=200, blank=True)
    # [[item index, code], …]: what was odd, without values.
    anomalies = models.JSONField(default=list)
    # Compressed skeletons: the bodies with holes where clear values stood. NULL when no body was kept.
    request_skeleton = models.BinaryField(null=True)
    response_skeleton = models.BinaryField(null=True)
    # What was clear and not ours to refer to, sealed by the caller under a day key.
    residue = models.BinaryField(null=True)
    digest_key = models.IntegerField(null=True)
    request_digest = models.BinaryField(null=True)  # HMAC-SHA256 of the exact decoded body
    response_digest = models.BinaryField(null=True)
    links = ArrayField(models.BigIntegerField(), default=list)  # contact-mapping links that were touched
    blind_indexes = ArrayField(models.BinaryField(), default=list)  # of valid values that got no token
    # Canonical header that names every stored body by SHA-256, and its RFC 6962 leaf hash.
    header = models.BinaryField()
    leaf_hash = models.BinaryField()

    class Meta:
        verbose_name_plural = "payload log"
        indexes = [
            models.Index(fields=["enterprise_id", "-id"], name="payload_by_enterprise"),
            # An entry has up to 500 links. They wait in a list (this limit is in kB) until audit.log_index sorts many
            # in at once; who finds the list full does it himself, and with PostgreSQL's 4 MB would do it often.
            GinIndex(fields=["links"], name="payload_by_link", gin_pending_list_limit=16384),
            GinIndex(fields=["blind_indexes"], name="payload_by_blind_index"),
        ]
        triggers = APPEND_ONLY

    def __str__(self) -> str:
        return f"{self.api} {self.id}"


ALARMS = models.Q(action__startswith="alarm.")
REVEALS = models.Q(action=Action.REVEALED.value)
RETENTION = models.Q(
    action__in=[
        Action.RETENTION_CHANGED.value, Action.PARTITION_DROPPED.value, Action.DROP_REFUSED.value,
    ]
)  # fmt: skip


class AuditEvent(models.Model):
    """Somebody or something did an act from the closed vocabulary of `audit.vocabulary.Action`."""

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7
    at = models.DateTimeField()
    enterprise_id = models.BigIntegerField(null=True)
    action = models.CharField(max_length=64)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_name = models.CharField(max_length=200)
    target_type = models.CharField(max_length=64, blank=True)
    target_id = models.CharField(max_length=255, blank=True)
    target_name = models.CharField(max_length=255, blank=True)
    request_id = models.UUIDField(null=True)
    remote_address = models.GenericIPAddressField(null=True)
    # Before, after, reason, counts: never a clear value.
    details = models.JSONField(default=dict)
    header = models.BinaryField()
    leaf_hash = models.BinaryField()

    class Meta:
        indexes = [
            models.Index(fields=["enterprise_id", "-id"], name="event_by_enterprise"),
            # What was done to one thing, newest first: the timeline of a person.
            models.Index(fields=["target_id", "target_type", "-id"], name="event_by_target"),
            # Who saw whom: all of it newest first, and what one person revealed lately.
            models.Index(fields=["-id"], condition=REVEALS, name="reveal_by_id"),
            models.Index(fields=["actor_id", "-id"], condition=REVEALS, name="reveal_by_actor"),
            models.Index(fields=["id"], condition=ALARMS, name="alarm_by_id"),
            # What was dropped: a few rows among millions, asked for by pages, keys and verifiers.
            models.Index(fields=["-id"], condition=RETENTION, name="retention_by_id"),
        ]
        triggers = APPEND_ONLY

    def __str__(self) -> str:
        return f"{self.action} {self.id}"


class SealQueueEntry(models.Model):
    """A leaf that waits for the sequencer, written in the transaction of its entry. The app may only INSERT."""

    class Kind(models.IntegerChoices):
        PAYLOAD = 1, "payload log"
        EVENT = 2, "event"

    kind = models.PositiveSmallIntegerField(choices=Kind)
    entry_id = models.UUIDField()
    leaf_hash = models.BinaryField()
    queued_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"leaf {self.id}"


class SealedLeaf(models.Model):
    """A leaf of the tree. It outlives its entry: leaf hashes stay for ever. Written by the sequencer alone."""

    index = models.BigIntegerField(primary_key=True)  # dense, from 0
    kind = models.PositiveSmallIntegerField(choices=SealQueueEntry.Kind)
    entry_id = models.UUIDField()
    leaf_hash = models.BinaryField()
    # The roots of the complete subtrees that end with this leaf, level 1 upwards, 32 bytes each: so a proof, or the
    # start of the sequencer, reads a few rows and never a whole log.
    nodes = models.BinaryField()

    class Meta:
        verbose_name_plural = "sealed leaves"
        constraints = [
            models.UniqueConstraint(fields=["entry_id", "kind"], name="one_leaf_of_an_entry"),
            models.CheckConstraint(condition=models.Q(index__gte=0), name="leaf_index_from_0"),
        ]
        triggers = APPEND_ONLY

    def __str__(self) -> str:
        return f"leaf #{self.index}"


class Checkpoint(models.Model):
    """The signed state of the tree at a moment. Periods without a leaf have checkpoints too."""

    number = models.BigIntegerField(primary_key=True)  # dense, from 0
    size = models.BigIntegerField(help_text="How many leaves it covers.")
    root = models.BinaryField()
    at = models.DateTimeField()
    note = models.TextField(help_text="The signed note, as docs/evidence.md describes it.")

    class Meta:
        indexes = [models.Index(fields=["size", "number"], name="checkpoint_by_size")]
        triggers = APPEND_ONLY

    def __str__(self) -> str:
        return f"checkpoint {self.number}"


class RefusalCount(models.Model):
    """How often callers that could not be named were refused: by hour, interface, reason and network."""

    hour = models.DateTimeField()
    api = models.CharField(max_length=16)
    reason = models.CharField(max_length=64)
    network = models.CharField(
        max_length=43, help_text="/24 or /48 of the caller; 'other' once the hour is full."
    )
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hour", "api", "reason", "network"], name="one_refusal_counter")
        ]

    def __str__(self) -> str:
        return f"{self.count} × {self.reason}"
