"""The No Token Queue: extracts of it, their messages, lines that could not be read, chains of tries, reconciliations.

Numbers and texts are sealed. Rows are known by a keyed digest of what they say, so that loading twice is once.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tokens.crypto.fields import SealedTextField
from tokens.crypto.keyset import Purpose
from tokens.models.enterprises import tenant


def first_language() -> list[str]:
    """English, until somebody says what people write in."""
    return ["en"]


def retry_ladder() -> list[int]:
    """Seconds until the second, third, fourth and fifth try: Salesforce's example."""
    return [5, 30, 60, 120]


class QueueSettings(models.Model):
    """What an enterprise says of its queue. The keywords that law names stand in code and always hold."""

    enterprise = models.OneToOneField("tokens.Enterprise", models.PROTECT, related_name="+")
    languages = ArrayField(models.CharField(max_length=5), default=first_language)
    keywords = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    stale_after_hours = models.PositiveSmallIntegerField(default=26)
    retry_seconds = ArrayField(models.PositiveIntegerField(), default=retry_ladder)
    # How far the tries in the payload log were followed.
    followed_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"queue of enterprise {self.enterprise_id}"


class ExtractRecipe(models.Model):
    """How a file is read: which column holds what. Columns of extracts are not public, so people say it once."""

    class What(models.TextChoices):
        QUEUE = "queue", "extract of the No Token Queue"
        OPT_OUTS = "file", "file of opt-outs"
        BOUNCES = "bounce", "file of bounces and complaints"

    what = models.CharField(max_length=8, choices=What, default=What.QUEUE, db_default="queue")
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    reading = models.JSONField(help_text="The Reading of what is read, as it is stored.")
    saved_by_name = models.CharField(max_length=200)
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["enterprise", "what", "name"], name="one_recipe_of_a_name")
        ]

    def __str__(self) -> str:
        return self.name


class QueueExtract(models.Model):
    """A file that Marketing Cloud extracted from the queue. Its bytes go when its lines are taken over."""

    class State(models.TextChoices):
        LOADED = "loaded", "loaded"  # its columns are not mapped yet
        IMPORTED = "imported", "imported"

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=State, default=State.LOADED)
    digest = models.BinaryField(max_length=32, help_text="Keyed, for a file can be small.")
    extracted_at = models.DateTimeField(help_text="When Marketing Cloud wrote it: how fresh our picture is.")
    content = models.BinaryField(null=True, help_text="The file, compressed and sealed; NULL once imported.")
    reading = models.JSONField(default=dict, help_text="How it was read.")
    lines = models.PositiveIntegerField(default=0)
    new = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0)
    bad = models.PositiveIntegerField(default=0)
    blocked = models.PositiveIntegerField(default=0)
    loaded_by_id = models.CharField(max_length=64)
    loaded_by_name = models.CharField(max_length=200)
    loaded_at = models.DateTimeField(db_default=Now())
    imported_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["enterprise", "digest", "extracted_at"], name="each_extract_once")
        ]
        indexes = [models.Index(fields=["enterprise", "-extracted_at"], name="extract_by_age")]

    def __str__(self) -> str:
        return self.name


class QueueMessage(models.Model):
    """A message that fell into the queue: somebody wrote, and Marketing Cloud had no token for them."""

    class Intent(models.TextChoices):
        KEYWORD = "keyword", "keyword"
        LIKELY = "likely", "likely an opt-out"
        UNCLEAR = "unclear", "unclear"

    class State(models.TextChoices):
        BLOCKED = "blocked", "blocked by keyword"
        WAITING = "waiting", "waits for a decision"
        OPT_OUT = "opt-out", "decided: opt-out"
        NOT_OPT_OUT = "not-opt-out", "decided: no opt-out"

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = tenant()
    row_digest = models.BinaryField(max_length=32, help_text="Keyed, of what the row says.")
    # The person, as consent and the payload log know them.
    index_version = models.PositiveSmallIntegerField()
    blind_index = models.BinaryField(max_length=32)
    number = SealedTextField(purpose=Purpose.CONSENT, bind=("id",), null=True)
    text = SealedTextField(purpose=Purpose.CONSENT, bind=("id",), null=True)
    code = models.CharField(max_length=20, blank=True, help_text="Short or long code that was written to.")
    received_at = models.DateTimeField(
        null=True, help_text="NULL: the extract gave no date that can be read."
    )
    intent = models.CharField(max_length=8, choices=Intent)
    score = models.PositiveSmallIntegerField(default=0)
    reasons = models.JSONField(default=list, help_text="Why the score: phrases of a list, never the message.")
    state = models.CharField(max_length=12, choices=State)
    extract = models.ForeignKey(QueueExtract, models.PROTECT, related_name="messages", db_index=False)
    line = models.PositiveIntegerField()
    found_at = models.DateTimeField(db_default=Now())
    consent_event = models.UUIDField(null=True)
    decided_by_id = models.CharField(max_length=64, blank=True)
    decided_by_name = models.CharField(max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True)
    decision_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["row_digest", "enterprise"], name="each_queue_message_once"),
            models.CheckConstraint(
                condition=~Q(state__in=["blocked", "opt-out"]) | Q(consent_event__isnull=False),
                name="closed_by_a_consent_event",
            ),
        ]
        indexes = [
            models.Index(fields=["enterprise", "-id"], name="queue_message_by_enterprise"),
            models.Index(fields=["enterprise", "-id"], condition=Q(state="waiting"), name="queue_waiting"),
            models.Index(fields=["blind_index", "enterprise"], name="queue_message_by_person"),
        ]

    def __str__(self) -> str:
        return f"message {self.id}"


class QueueBadLine(models.Model):
    """A line that could not be read whole. It is kept sealed, with the reason, until somebody has settled it."""

    class State(models.TextChoices):
        WAITING = "waiting", "waits for somebody"
        SETTLED = "settled", "settled"

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = tenant()
    line_digest = models.BinaryField(max_length=32, help_text="Keyed, of the line as it was written.")
    content = SealedTextField(purpose=Purpose.CONSENT, bind=("id",), null=True)
    extract = models.ForeignKey(QueueExtract, models.PROTECT, related_name="bad_lines", db_index=False)
    line = models.PositiveIntegerField()
    column = models.CharField(max_length=200, blank=True)
    fault = models.CharField(max_length=40, help_text="Code: tokens.no_token_queue.faults.")
    # A keyword with a date that can't be read still blocks: this is its message.
    message = models.ForeignKey(QueueMessage, models.PROTECT, null=True, related_name="+", db_index=False)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    settled_by_id = models.CharField(max_length=64, blank=True)
    settled_by_name = models.CharField(max_length=200, blank=True)
    settled_at = models.DateTimeField(null=True)
    settled_how = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line_digest", "enterprise"], name="each_bad_line_once")
        ]
        indexes = [models.Index(fields=["enterprise", "-id"], name="bad_line_by_enterprise")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.fault}"


class TokenChain(models.Model):
    """Tries of Get Token for one value that got no token, as the payload log has them; a projection of it."""

    class End(models.TextChoices):
        OPEN = "open", "still being tried"
        EXHAUSTED = "exhausted", "no try is left"
        SILENT = "silent", "the next try did not come"
        ANSWERED = "answered", "got its token"

    id = models.UUIDField(primary_key=True, editable=False)  # of the first try's entry and the value
    enterprise = tenant()
    # The blind index of a valid value, else a keyed digest of what was sent.
    value_digest = models.BinaryField(max_length=32)
    masked = models.CharField(max_length=300)
    reason = models.CharField(max_length=64, help_text="Code of the last try, from the payload log.")
    code = models.CharField(max_length=20, blank=True)
    entries = ArrayField(models.UUIDField(), help_text="The tries, in their order.")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    end = models.CharField(max_length=10, choices=End)

    class Meta:
        indexes = [
            models.Index(fields=["enterprise", "-last_at"], name="chain_by_time"),
            models.Index(fields=["value_digest", "enterprise"], name="chain_by_value"),
        ]

    def __str__(self) -> str:
        return f"chain {self.id}"


class QueueReconciliation(models.Model):
    """What was in the extracts against what we saw ourselves, at a moment. Nobody changes it."""

    id = models.UUIDField(primary_key=True, editable=False)  # UUIDv7, made by the app
    enterprise = models.ForeignKey("tokens.Enterprise", models.PROTECT, related_name="+")
    since = models.DateTimeField()
    until = models.DateTimeField(help_text="When the newest extract was written.", null=True)
    counts = models.JSONField()
    unexplained = models.JSONField(help_text="[{what, id, masked, at, why}], the first of them.")
    unexplained_count = models.PositiveIntegerField()
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["enterprise", "-id"], name="queue_reconciled")]

    def __str__(self) -> str:
        return f"reconciliation {self.id}"


class QueueExplanation(models.Model):
    """Somebody said why a message was never seen by us, or a chain is in no extract. Never changed."""

    class What(models.TextChoices):
        MESSAGE = "message", "message"
        CHAIN = "chain", "chain of tries"

    enterprise = tenant()
    what = models.CharField(max_length=8, choices=What)
    subject = models.UUIDField()
    reason = models.CharField(max_length=500)
    by_id = models.CharField(max_length=64)
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["subject", "what"], name="explanation_by_subject")]

    def __str__(self) -> str:
        return f"explanation of {self.what} {self.subject}"
