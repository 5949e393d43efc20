"""Opt-outs from every source, as each of them brings them in; and what must stand after all of it (P10)."""

import datetime
import random
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from django.utils import timezone

from portal.simulator.notifications import unsubscribe_event
from tests.tokens.api.cast import OPT_OUTS, MarketingCloud, a_caller
from tests.tokens.cast import IVAN, OLGA, an_enterprise
from tokens.connections import hearing, intake
from tokens.connections.verbs import create_connection
from tokens.consent import blind, opt_ins
from tokens.consent.opt_outs import record_opt_out
from tokens.crypto import key_making
from tokens.crypto.keyset import Purpose
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, EventCallback, OptOutFile, Suppression
from tokens.models.clients import Scope
from tokens.no_token_queue import extracts
from tokens.no_token_queue.recipes import Reading as QueueReading
from tokens.opt_out_files import files
from tokens.opt_out_files.columns import Reading

Source = ConsentEvent.Source
# Of a hundred events. Those that come one by one in life come one by one here.
SHARES: Final = {
    Source.FILE: 70, Source.BOUNCE: 15, Source.API: 12, Source.NO_TOKEN_QUEUE: 2, Source.MARKETING_CLOUD: 0.5,
    Source.OFFICER: 0.5,
}  # fmt: skip
FIRST_DAY: Final = datetime.datetime(2024, 11, 1, 9, tzinfo=datetime.UTC)
# Nobody asks within a day of it, so the doubt about the zones of the queue decides nothing.
CONSENTED: Final = FIRST_DAY + datetime.timedelta(days=14, hours=3)
FILED: Final = {"evidence": "double opt-in, file DOI-2024-7", "reason": "They signed up again."}
LINES_A_FILE: Final = 20_000


class Said(NamedTuple):
    """One opt-out: who asked whom, when, and under which number."""

    source: ConsentEvent.Source
    number: int
    person: str
    at: datetime.datetime


@dataclass
class World:
    """An enterprise, its sources, and the journal of what was acknowledged to them."""

    people: int
    enterprise: Enterprise = field(default_factory=lambda: an_enterprise(sandbox=True))
    acknowledged: set[Said] = field(default_factory=set)
    lifted: set[Said] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.crm: MarketingCloud = a_caller(self.enterprise, name="CRM", scopes=[Scope.OPT_OUT])
        connection = create_connection(
            self.enterprise,
            name="Acme",
            subdomain="mc" + "x" * 26,
            client_id="c",
            client_secret="s",
            actor=IVAN,
        )
        key_making.ensure_key(self.enterprise.pk, Purpose.CONSENT)
        self.callback = EventCallback.objects.create(
            id=uuid.uuid4(), enterprise=self.enterprise, connection=connection, callback_id="c",
            verified_at=timezone.now(),
        )  # fmt: skip

    # -- what comes in ----------------------------------------------------------------------------------------
    def bring(self, said: Sequence[Said]) -> Iterator[OptOutFile]:
        """Bring events in by their sources. Files that are begun are handed out: workers take them over."""
        by_source: dict[Source, list[Said]] = {source: [] for source in Source}
        for one in said:
            by_source[one.source].append(one)
        for one in by_source[Source.OFFICER]:
            self._officer(one)
        self._events(by_source[Source.MARKETING_CLOUD])
        self._queue(by_source[Source.NO_TOKEN_QUEUE])
        for some in _parts(by_source[Source.API], 500):
            self._api(some)
        for source in (Source.FILE, Source.BOUNCE):
            for some in _parts(by_source[source], LINES_A_FILE):
                yield self._file(source, some)

    def _officer(self, one: Said) -> None:
        record_opt_out(
            self.enterprise, kind=kind_of(one.person), raw_value=one.person, source=one.source,
            source_id=f"letter {one.number}", occurred_at=one.at, actor=OLGA,
        )  # fmt: skip
        self.acknowledged.add(one)

    def _events(self, said: Sequence[Said]) -> None:
        told = [
            unsubscribe_event(one.person, eid=self.enterprise.eid)
            | {"compositeId": str(one.number), "timestampUTC": int(one.at.timestamp() * 1000)}
            for one in said
        ]
        for some in _parts(told, 100):
            intake.store(self.callback, some, entry_id=uuid.uuid4())
        self.acknowledged.update(said)
        while hearing.work_events():
            pass

    def _queue(self, said: Sequence[Said]) -> None:
        rows = [f"{one.number},{one.person},STOP,{one.at.isoformat()}" for one in said]
        content = "\r\n".join(["MessageID,MobileNumber,MessageText,ReceivedDate", *rows]).encode()
        extract = extracts.load(
            self.enterprise, [content], name="q.csv", extracted_at=timezone.now(), actor=OLGA
        )
        named = {
            "id": "MessageID",
            "number": "MobileNumber",
            "text": "MessageText",
            "received": "ReceivedDate",
        }
        extracts.take_over(extract, QueueReading(columns=named), actor=OLGA)
        self.acknowledged.update(said)

    def _api(self, said: Sequence[Said]) -> None:
        items = [
            {
                "optOutId": str(one.number), "value": one.person, "occurredAt": one.at.isoformat(),
                "valueType": "Email" if "@" in one.person else "MobileNumber",
            }
            for one in said
        ]  # fmt: skip
        answer = self.crm.post(OPT_OUTS, {"optOuts": items})
        assert answer.status_code == 200
        states = [one["state"] for one in answer.json()["optOuts"]]
        self.acknowledged.update(one for one, state in zip(said, states, strict=True) if state != "refused")

    def _file(self, source: ConsentEvent.Source, said: Sequence[Said]) -> OptOutFile:
        rows = [f"{one.number},{one.person},{one.at.isoformat()}" for one in said]
        content = "\r\n".join(["Id,Recipient,Asked", *rows]).encode()
        file = files.load(
            self.enterprise, [content], what=OptOutFile.What(source.value), name=f"{source}.csv",
            written_at=timezone.now(), actor=OLGA,
        )  # fmt: skip
        how = Reading(columns={"id": "Id", "person": "Recipient", "asked": "Asked"})
        begun = files.begin(file, how, actor=OLGA)
        self.acknowledged.update(said)
        return begun

    # -- who comes back ---------------------------------------------------------------------------------------
    def consent_anew(self, people: Sequence[str]) -> None:
        """They consent at CONSENTED: what they asked for before it is lifted, nothing else."""
        for person in people:
            mine = {one for one in self.acknowledged if one.person == person and one.at < CONSENTED}
            event = ConsentEvent.objects.filter(
                enterprise=self.enterprise, blind_index=self.index_of(person), occurred_at__lt=CONSENTED
            ).first()
            if event is not None:
                opt_ins.ask(event, consented_at=CONSENTED, actor=OLGA, **FILED)
                self.lifted |= mine

    # -- what must stand --------------------------------------------------------------------------------------
    def index_of(self, person: str) -> bytes:
        versions = blind.versions_of(self.enterprise)
        return blind.of_value(self.enterprise, kind_of(person), person, versions=versions).current

    def verdict(self) -> dict[str, int]:
        """How many events are acknowledged but absent, or there unasked; how many people are flipped either way."""
        versions = blind.versions_of(self.enterprise)

        def index(person: str) -> bytes:
            return blind.of_value(self.enterprise, kind_of(person), person, versions=versions).current

        indexes = {person: index(person) for person in {one.person for one in self.acknowledged}}
        expected = Counter((one.source.value, indexes[one.person], one.at) for one in self.acknowledged)
        rows = ConsentEvent.objects.filter(enterprise=self.enterprise, action="opt-out")
        found = Counter(
            (source, bytes(person), at)
            for source, person, at in rows.values_list("source", "blind_index", "occurred_at").iterator()
        )
        blocked = {
            bytes(one)
            for one in Suppression.objects.filter(enterprise=self.enterprise).values_list(
                "blind_index", flat=True
            )
        }
        must_be = {indexes[one.person] for one in self.acknowledged - self.lifted}
        return {
            "absent": (expected - found).total(),
            "unexpected": (found - expected).total(),
            "flipped back": len(must_be - blocked),
            "blocked unasked": len(blocked - must_be),
        }


def drawn(events: int, people: int, dice: random.Random) -> list[Said]:
    """Different events of a few people, of every source. Texts and numbers are of phones, mail of addresses."""
    sources, weights = zip(*SHARES.items(), strict=True)
    chosen = [*sources, *dice.choices(sources, weights, k=events - len(sources))]
    return [
        Said(source, number, _person(source, people, dice), _moment(dice))
        for number, source in enumerate(chosen)
    ]


def kind_of(person: str) -> Kind:
    return Kind.EMAIL if "@" in person else Kind.MOBILE


def _person(source: ConsentEvent.Source, people: int, dice: random.Random) -> str:
    number = dice.randrange(people)
    by_phone = source == Source.NO_TOKEN_QUEUE or (source != Source.MARKETING_CLOUD and dice.random() < 0.5)
    return f"4479{number:08}" if by_phone else f"p{number}@mail.example"


def _moment(dice: random.Random) -> datetime.datetime:
    day = dice.choice([day for day in range(28) if day not in (13, 14, 15)])
    return FIRST_DAY + datetime.timedelta(days=day, seconds=dice.randrange(3600))


def _parts(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (rows[at : at + size] for at in range(0, len(rows), size))
