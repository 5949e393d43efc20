"""Chains of tries as rows: the payload log is followed, so that what was lost is known when the extract comes."""

import datetime
from typing import Final

from django.utils import timezone

from tokens.models import Enterprise, QueueSettings, TokenChain
from tokens.no_token_queue import chains, rules
from tokens.no_token_queue.chains import Chain, Ladder

# Before the first look: bodies that gave no token can be opened for about so long.
_LOOK_BACK: Final = datetime.timedelta(days=30)
# A page that asks every few seconds looks at no more calls.
_MOST_CALLS: Final = 1_000


def ladder_of(enterprise: Enterprise) -> Ladder:
    """The waits between tries that this enterprise was told of."""
    return Ladder(tuple(rules.rules_of(enterprise).retry_seconds))


def open_chains(enterprise: Enterprise) -> list[Chain]:
    """What may still be saved, the most urgent first. Reads only."""
    ladder, now = ladder_of(enterprise), timezone.now()
    found = chains.chains_since(enterprise, now - ladder.length, ladder, at_most=_MOST_CALLS)
    return sorted((one for one in found if one.end(now) is chains.End.OPEN), key=lambda one: one.ends_at)


def follow(enterprise: Enterprise) -> int:
    """Bring the rows up to what the log says now; how many chains were looked at. Idempotent."""
    settings = rules.rules_of(enterprise)
    ladder, now = Ladder(tuple(settings.retry_seconds)), timezone.now()
    known_until = settings.followed_until or now - _LOOK_BACK
    # A chain that began earlier had ended when we looked last; those before are read to know where one begins.
    begins = known_until - ladder.length
    found = [
        one
        for one in chains.chains_since(enterprise, begins - ladder.length, ladder)
        if one.tries[0].at >= begins
    ]
    TokenChain.objects.bulk_create(
        [_row(enterprise, one, now) for one in found],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["reason", "entries", "last_at", "end"],
    )
    QueueSettings.objects.update_or_create(enterprise=enterprise, defaults={"followed_until": now})
    return len(found)


def follow_all() -> None:
    """Every enterprise: a job of the beat."""
    for enterprise in Enterprise.objects.all():
        follow(enterprise)


def _row(enterprise: Enterprise, chain: Chain, now: datetime.datetime) -> TokenChain:
    return TokenChain(
        id=chain.id,
        enterprise=enterprise,
        value_digest=chain.last.digest,
        masked=chain.last.masked[:300],
        reason=chain.last.reason,
        code=chain.last.code,
        entries=[one.entry_id for one in chain.tries],
        first_at=chain.tries[0].at,
        last_at=chain.last.at,
        end=chain.end(now),
    )
