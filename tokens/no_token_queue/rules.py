"""What an enterprise says of its queue: languages, own keywords, when an extract is stale, the ladder of retries."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from audit import trail
from audit.free_text import names_a_person
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.models import Enterprise, QueueExtract, QueueSettings
from tokens.no_token_queue.errors import BadSettings
from tokens.no_token_queue.keywords import LANGUAGES
from tokens.no_token_queue.wording import LONGEST_KEYWORD, keywords_of, squeezed


def rules_of(enterprise: Enterprise) -> QueueSettings:
    """The settings of an enterprise, or the defaults, unsaved."""
    found = QueueSettings.objects.filter(enterprise=enterprise).first()
    return found or QueueSettings(enterprise=enterprise)


def all_keywords(rules: QueueSettings) -> frozenset[str]:
    """Every word that blocks at once."""
    return keywords_of(rules.languages, rules.keywords)


@transaction.atomic
def change(
    enterprise: Enterprise,
    *,
    languages: Sequence[str],
    keywords: Sequence[str],
    stale_after_hours: int,
    retry_seconds: Sequence[int],
    actor: Actor,
) -> QueueSettings:
    """Change the settings. The keywords that law names can't be taken away. Raises BadSettings."""
    if set(languages) - LANGUAGES.keys():
        raise BadSettings(f"languages are {', '.join(LANGUAGES)}")
    if not 1 <= stale_after_hours <= 24 * 31:
        raise BadSettings("an extract grows stale after 1 hour at least and 31 days at most")
    if not 1 <= len(retry_seconds) <= 20 or not all(1 <= wait <= 86_400 for wait in retry_seconds):
        raise BadSettings("the ladder has 1 to 20 waits of 1 second to 1 day")
    words = list(dict.fromkeys(squeezed(word) for word in keywords))
    if any(not 2 <= len(word) <= LONGEST_KEYWORD or names_a_person(word) for word in words):
        raise BadSettings("a keyword is a word or two of at most 40 letters, and no number of a person")
    rules, _ = QueueSettings.objects.update_or_create(
        enterprise=enterprise,
        defaults={
            "languages": list(languages),
            "keywords": words,
            "stale_after_hours": stale_after_hours,
            "retry_seconds": list(retry_seconds),
        },
    )
    trail.record(
        Action.QUEUE_CHANGED,
        actor=actor,
        enterprise_id=enterprise.pk,
        target=Target("enterprise", str(enterprise.pk), enterprise.name),
        details={
            "languages": rules.languages,
            "keywords": rules.keywords,
            "stale_after_hours": rules.stale_after_hours,
            "retry_seconds": rules.retry_seconds,
        },
    )
    return rules


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old our picture of the queue is. Without any extract nothing is known, and so nothing is clear."""

    extracted_at: datetime.datetime | None
    stale_after: datetime.timedelta

    @property
    def is_stale(self) -> bool:
        """Whether nobody may say that the queue is clear."""
        return self.extracted_at is None or timezone.now() - self.extracted_at > self.stale_after


def freshness(enterprise: Enterprise) -> Freshness:
    """How old the newest extract is that was taken over."""
    newest = (
        QueueExtract.objects.filter(enterprise=enterprise, state=QueueExtract.State.IMPORTED)
        .order_by("-extracted_at")
        .values_list("extracted_at", flat=True)
        .first()
    )
    return Freshness(newest, datetime.timedelta(hours=rules_of(enterprise).stale_after_hours))
