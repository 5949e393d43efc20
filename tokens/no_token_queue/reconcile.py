"""The extracts against what we saw ourselves: it ends with "0 unexplained", or names what is.

Messages: each was seen as tries in our log, was refused unread at that time, was explained by somebody, or is a *gap*:
the call never reached us. Chains: each that ended without a token is in an extract, waits for the next one, was
explained, or is *missing*. And behind each message that is called an opt-out stands its consent event.
"""

import datetime
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
import uuid_utils.compat
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from audit import trail
from audit.free_text import refuse_clear_values
from audit.trail import SYSTEM, Actor, Target
from audit.vocabulary import Action
from tokens.crypto.errors import CannotOpen
from tokens.crypto.fields import Sealed
from tokens.formats.mask import DOTS, mask_mobile
from tokens.formats.reasons import Reason
from tokens.models import (
    ConsentEvent,
    Enterprise,
    QueueBadLine,
    QueueExplanation,
    QueueExtract,
    QueueMessage,
    QueueReconciliation,
    TokenChain,
)
from tokens.no_token_queue import mending, rules
from tokens.no_token_queue.dates import EARLIEST
from tokens.no_token_queue.errors import ReasonMissing, WrongState
from tokens.no_token_queue.following import follow, ladder_of

_log = structlog.get_logger(__name__)
What = QueueExplanation.What
LOOK_BACK: Final = datetime.timedelta(days=30)
# What the date of an extract means, and in which zone, is not public [assumed]: half a day either way is the same.
MATCH_WITHIN: Final = datetime.timedelta(hours=12)
# A message needs a while from its last try to an extract.
_SETTLES_AFTER: Final = datetime.timedelta(hours=1)
_NAMED: Final = 200


@dataclass(slots=True)
class Books:
    """What was found, and what nothing explains."""

    counts: Counter[str] = field(default_factory=Counter)
    unexplained: list[dict[str, Any]] = field(default_factory=list)

    def name(
        self, what: str, subject: uuid.UUID, masked: str, at: datetime.datetime | None, why: str
    ) -> None:
        """Something that nothing explains."""
        self.counts[why] += 1
        self.unexplained.append(
            {
                "what": what,
                "id": str(subject),
                "masked": masked,
                "at": at.isoformat() if at else "",
                "why": why,
            }
        )


def reconcile(enterprise: Enterprise, *, actor: Actor = SYSTEM) -> QueueReconciliation:
    """Compare, and keep what was found, with its event."""
    follow(enterprise)
    since, until = timezone.now() - LOOK_BACK, rules.freshness(enterprise).extracted_at
    books = Books()
    messages = list(
        QueueMessage.objects.filter(enterprise=enterprise, extract__extracted_at__gte=since)
        .select_related("extract")
        .order_by("pk")
    )
    chains = list(TokenChain.objects.filter(enterprise=enterprise, last_at__gte=since).order_by("last_at"))
    explained = _explained(enterprise)
    _judge_messages(books, enterprise, messages, chains, explained)
    _judge_chains(books, messages, chains, explained, until)
    _check_events(books, messages)
    books.counts["undecided"] = sum(one.state == QueueMessage.State.WAITING for one in messages)
    books.counts["unread_lines"] = QueueBadLine.objects.filter(
        enterprise=enterprise, state=QueueBadLine.State.WAITING
    ).count()
    return _keep(enterprise, since, until, books, actor)


def reconcile_all() -> None:
    """Every enterprise that has a queue: a job of the beat. One that fails is logged and keeps no other waiting."""
    for enterprise in Enterprise.objects.all():
        try:
            if _has_queue(enterprise):
                reconcile(enterprise)
        except (OperationalError, InterfaceError):
            raise  # the database is away, for all of them
        except Exception as error:  # noqa: BLE001 - the others have their books done; no traceback, it could hold clear values
            _log.error("queue.not-reconciled", enterprise=str(enterprise.pk), code=type(error).__name__)


@transaction.atomic
def explain(what: str, subject: uuid.UUID, *, reason: str, actor: Actor) -> QueueExplanation:
    """Somebody knows why: it counts from the next reconciliation on.

    Raises ReasonMissing, ClearValueInText, WrongState.
    """
    refuse_clear_values(reason)
    if not reason.strip():
        raise ReasonMissing
    row: QueueMessage | TokenChain | None
    if what == What.MESSAGE:
        row = QueueMessage.objects.filter(pk=subject).first()
    else:
        row = TokenChain.objects.filter(pk=subject).first()
    if row is None:
        raise WrongState
    made = QueueExplanation.objects.create(
        enterprise_id=row.enterprise_id,
        what=What(what),
        subject=subject,
        reason=reason,
        by_id=actor.id,
        by_name=actor.name,
    )
    trail.record(
        Action.QUEUE_EXPLAINED,
        actor=actor,
        enterprise_id=row.enterprise_id,
        target=Target(f"queue-{what}", str(subject)),
        details={"reason": reason},
    )
    return made


def is_match(message: QueueMessage, chain: TokenChain) -> bool:
    """Whether a message of an extract and a chain of tries are the same."""
    if bytes(message.blind_index) != bytes(chain.value_digest):
        return False
    at = _moment_of(message)
    return chain.first_at - MATCH_WITHIN <= at <= chain.last_at + MATCH_WITHIN


def _judge_messages(
    books: Books,
    enterprise: Enterprise,
    messages: Sequence[QueueMessage],
    chains: Iterable[TokenChain],
    explained: frozenset[uuid.UUID],
) -> None:
    of_value = _by_value(chains)
    length = ladder_of(enterprise).length
    for message in messages:
        books.counts["messages"] += 1
        at = _moment_of(message)
        if any(is_match(message, chain) for chain in of_value[bytes(message.blind_index)]):
            books.counts["seen"] += 1
        elif message.pk in explained:
            books.counts["explained"] += 1
        elif mending.refused_unread([enterprise.pk], at - length, at + length):
            books.counts["refused_unread"] += 1
        else:
            books.name("message", message.pk, _masked(message), message.received_at, "gap")


def _judge_chains(
    books: Books,
    messages: Iterable[QueueMessage],
    chains: Iterable[TokenChain],
    explained: frozenset[uuid.UUID],
    until: datetime.datetime | None,
) -> None:
    of_value = defaultdict(list)
    for message in messages:
        of_value[bytes(message.blind_index)].append(message)
    for chain in chains:
        if chain.end not in (TokenChain.End.EXHAUSTED, TokenChain.End.SILENT):
            books.counts["rescued" if chain.end == TokenChain.End.ANSWERED else "open"] += 1
        elif any(is_match(message, chain) for message in of_value[bytes(chain.value_digest)]):
            books.counts["in_extract"] += 1
        elif "@" in chain.masked:
            books.counts["addresses"] += 1  # the queue holds text messages only
        elif chain.pk in explained:
            books.counts["explained_chains"] += 1
        elif until is None or chain.last_at > until - _SETTLES_AFTER:
            books.counts["pending"] += 1
        elif chain.reason in set(Reason):
            books.counts["no_number"] += 1  # its line is among those that could not be read
        else:
            books.name("chain", chain.pk, chain.masked, chain.last_at, "missing")


def _check_events(books: Books, messages: Sequence[QueueMessage]) -> None:
    """Behind each message that is called an opt-out stands the event of its person."""
    said = {one.consent_event: one for one in messages if one.consent_event is not None}
    held = ConsentEvent.objects.filter(pk__in=said, action=ConsentEvent.Action.OPT_OUT)
    people = {pk: bytes(index) for pk, index in held.values_list("pk", "blind_index")}
    for event_id, message in said.items():
        if event_id not in people:
            books.name("message", message.pk, _masked(message), message.received_at, "no_event")
        else:
            books.counts["opt_outs"] += 1


def _keep(
    enterprise: Enterprise,
    since: datetime.datetime,
    until: datetime.datetime | None,
    books: Books,
    actor: Actor,
) -> QueueReconciliation:
    with transaction.atomic():
        kept = QueueReconciliation.objects.create(
            id=uuid_utils.compat.uuid7(),
            enterprise=enterprise,
            since=since,
            until=until,
            counts=dict(books.counts),
            unexplained=books.unexplained[:_NAMED],
            unexplained_count=len(books.unexplained),
            by_id=actor.id,
            by_name=actor.name,
        )
        trail.record(
            Action.QUEUE_RECONCILED,
            actor=actor,
            enterprise_id=enterprise.pk,
            target=Target("queue-reconciliation", str(kept.pk)),
            details={"unexplained": len(books.unexplained), **books.counts},
        )
    return kept


def _by_value(chains: Iterable[TokenChain]) -> defaultdict[bytes, list[TokenChain]]:
    found = defaultdict(list)
    for chain in chains:
        found[bytes(chain.value_digest)].append(chain)
    return found


def _explained(enterprise: Enterprise) -> frozenset[uuid.UUID]:
    rows = QueueExplanation.objects.filter(enterprise=enterprise)
    return frozenset(rows.values_list("subject", flat=True))


def _moment_of(message: QueueMessage) -> datetime.datetime:
    """When it was written, as far as is known. Rows of before hold dates of the year 1, too early to reckon with."""
    at = message.received_at
    return at if at and at >= EARLIEST else message.extract.extracted_at


def _has_queue(enterprise: Enterprise) -> bool:
    return (
        QueueExtract.objects.filter(enterprise=enterprise).exists()
        or TokenChain.objects.filter(enterprise=enterprise).exists()
    )


def _masked(message: QueueMessage) -> str:
    try:
        return _mask(message.number)
    except CannotOpen:
        return DOTS


def _mask(number: Sealed | None) -> str:
    return "erased" if number is None else mask_mobile(number.open())
