"""Tries of Get Token that gave no token, from our own payload log: what may still be saved, and what is lost.

Marketing Cloud tries five times, after about 5, 30, 60 and 120 s (Salesforce's example, a setting), then puts the
message into the No Token Queue. A chain is the tries for one value. Bodies are opened here to know the value again;
what leaves is masks and digests.
"""

import datetime
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from django.utils import timezone

from audit.models import Api, Outcome, PayloadEntry
from audit.partitions import first_id_at
from tokens.crypto.keyring import keyring
from tokens.formats.kinds import Kind
from tokens.formats.mask import DOTS, mask
from tokens.formats.normalise import InvalidValue, normalise
from tokens.formats.reasons import Reason
from tokens.log.rebuild import rebuild
from tokens.log.recording import Anomaly
from tokens.models import Enterprise, Mapping, TokenChain
from tokens.no_token_queue import digests

End = TokenChain.End
# Answers of Get Token that leave a value without a token, by the log's own words.
_WITHOUT_TOKEN: Final = frozenset(
    {*Reason, Anomaly.UNKNOWN_TOKEN_TYPE, Anomaly.TOKEN_AS_CLEAR_VALUE, Anomaly.NO_FREE_TOKEN,
     Anomaly.REPEATED_ID_DIFFERS}
)  # fmt: skip
UNREADABLE: Final = "unreadable"
# The next try may be late by so much: Marketing Cloud waits up to 60 s for each answer.
GRACE: Final = datetime.timedelta(seconds=75)


@dataclass(frozen=True, slots=True)
class Try:
    """One call that gave a value no token; `reason` is the log's code of why."""

    entry_id: uuid.UUID
    at: datetime.datetime
    digest: bytes = field(repr=False)
    kind: Kind | None
    masked: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ladder:
    """Waits between the tries."""

    waits: tuple[int, ...]

    @property
    def tries(self) -> int:
        """How many there are in all."""
        return len(self.waits) + 1

    def next_at(self, made: int, last: datetime.datetime) -> datetime.datetime | None:
        """When the next try is expected after `made` of them."""
        return last + datetime.timedelta(seconds=self.waits[made - 1]) if made < self.tries else None

    def ends_at(self, made: int, last: datetime.datetime) -> datetime.datetime:
        """When the last try is expected: until then the message can be saved."""
        return last + datetime.timedelta(seconds=sum(self.waits[made - 1 :]))

    @property
    def length(self) -> datetime.timedelta:
        """From the first try to the end of the last, answers that take their time included."""
        return datetime.timedelta(seconds=sum(self.waits)) + GRACE * self.tries


@dataclass(frozen=True, slots=True)
class Chain:
    """The tries for one value, in their order."""

    tries: tuple[Try, ...]
    ladder: Ladder
    answered: bool = False

    @property
    def last(self) -> Try:
        return self.tries[-1]

    @property
    def next_at(self) -> datetime.datetime | None:
        """When Marketing Cloud is expected to try again; None after the last try."""
        return self.ladder.next_at(len(self.tries), self.last.at)

    @property
    def ends_at(self) -> datetime.datetime:
        """Until when the message can be saved."""
        return self.ladder.ends_at(len(self.tries), self.last.at)

    @property
    def id(self) -> uuid.UUID:
        """The same for the same chain, however often it is found."""
        return uuid.uuid5(self.tries[0].entry_id, self.last.digest.hex())

    def end(self, now: datetime.datetime) -> End:
        """How it ended, if it did."""
        if self.answered:
            return End.ANSWERED
        if self.next_at is None:
            return End.EXHAUSTED
        return End.SILENT if now > self.next_at + GRACE else End.OPEN


def chains_since(
    enterprise: Enterprise, since: datetime.datetime, ladder: Ladder, *, at_most: int | None = None
) -> list[Chain]:
    """Every chain that has a try since that moment, the oldest first; of `at_most` calls, if that is given."""
    tries = [one for entry in _entries(enterprise, since, at_most) for one in tries_of(enterprise, entry)]
    grouped = group(tries, ladder)
    answered = _answered(enterprise, grouped)
    return [Chain(chain.tries, ladder, chain.id in answered) for chain in grouped]


def group(tries: Iterable[Try], ladder: Ladder) -> list[Chain]:
    """Tries of one value belong together until the ladder is climbed, or a try comes later than it can."""
    chains: list[list[Try]] = []
    latest: dict[bytes, list[Try]] = {}
    for one in sorted(tries, key=lambda one: (one.at, one.entry_id)):
        chain = latest.get(one.digest)
        if chain is not None and chain[-1].entry_id == one.entry_id:
            continue
        expected = ladder.next_at(len(chain), chain[-1].at) if chain else None
        if chain is None or expected is None or one.at > expected + GRACE:
            chain = latest[one.digest] = []
            chains.append(chain)
        chain.append(one)
    return [Chain(tuple(chain), ladder) for chain in chains]


def tries_of(enterprise: Enterprise, entry: PayloadEntry) -> list[Try]:
    """The values of a logged call that got no token. What was refused unread has none."""
    body = rebuild(entry).request.exact
    if body is None:
        return []
    items = _items(body)
    if items is None:
        digest = digests.mark(keyring(enterprise.pk), "body", body).digest
        return [Try(entry.pk, entry.at, digest, None, DOTS, "", entry.error or UNREADABLE)]
    if entry.status == 200:
        reasons = {index: code for index, code in entry.anomalies if code in _WITHOUT_TOKEN}
    else:
        reasons = dict.fromkeys(range(len(items)), entry.error or "internal")
    return [
        _try(enterprise, entry, items[index], code) for index, code in reasons.items() if index < len(items)
    ]


def digest_of(enterprise: Enterprise, kind: Kind, value: str) -> bytes:
    """How chains know a value: its blind index, or a keyed digest of what is no valid value."""
    ring = keyring(enterprise.pk)
    try:
        return ring.blind_index(kind, normalise(kind, value))
    except InvalidValue:
        return digests.mark(ring, "value", value).digest


def _entries(enterprise: Enterprise, since: datetime.datetime, at_most: int | None) -> Iterable[PayloadEntry]:
    rows = PayloadEntry.objects.filter(
        enterprise_id=enterprise.pk, pk__gte=first_id_at(since), api=Api.GET_TOKEN
    )
    rows = rows.exclude(outcome=Outcome.COMPLETE).order_by("pk")
    return rows[:at_most] if at_most else rows.iterator(chunk_size=200)


def _items(body: bytes) -> list[dict[str, Any]] | None:
    """The items of a request, however odd they are; None for what is no request."""
    try:
        decoded = msgspec.json.decode(body)
        items = decoded["tokenValues"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return None
    return [one if isinstance(one, dict) else {} for one in items] if isinstance(items, list) else None


def _try(enterprise: Enterprise, entry: PayloadEntry, item: dict[str, Any], reason: str) -> Try:
    value, code = str(item.get("tokenValue", "")), str(item.get("privateCode", "") or "")
    # Of another tokenType it is still somebody's number or address.
    kind = Kind.from_wire(str(item.get("tokenType", ""))) or (Kind.EMAIL if "@" in value else Kind.MOBILE)
    return Try(
        entry.pk, entry.at, digest_of(enterprise, kind, value), kind, mask(kind, value),
        code if code.isdigit() and len(code) <= 6 else "", str(reason),
    )  # fmt: skip


def _answered(enterprise: Enterprise, chains: Sequence[Chain]) -> set[uuid.UUID]:
    """The chains whose value got its token after the last try that failed: by a later entry that touched its links."""
    found = set()
    for chain in chains:
        digest = chain.last.digest
        held = Mapping.objects.filter(enterprise=enterprise, blind_index_0=digest) | Mapping.objects.filter(
            enterprise=enterprise, blind_index_1=digest
        )
        links = list(held.values_list("links__pk", flat=True))
        if any(links) and _touched(enterprise, [link for link in links if link], chain):
            found.add(chain.id)
    return found


def _touched(enterprise: Enterprise, links: list[int], chain: Chain) -> bool:
    end = chain.ends_at + GRACE
    rows = PayloadEntry.objects.filter(
        enterprise_id=enterprise.pk, api=Api.GET_TOKEN, links__overlap=links,
        pk__gt=chain.last.entry_id, pk__lt=first_id_at(end),
    )  # fmt: skip
    return rows.exists()


def since_when(ladder: Ladder) -> datetime.datetime:
    """From when on a chain may still be open."""
    return timezone.now() - ladder.length
