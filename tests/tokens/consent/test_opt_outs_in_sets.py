"""A set of opt-outs has the effect that its opt-outs have one by one, in a handful of statements."""

import datetime
import random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import AuditEvent
from tests.tokens.cast import ANA, ANAS_PHONE, BORIS, OLGA, an_enterprise
from tokens.consent.opt_outs import OptOut, Recorded, record_opt_out, record_opt_outs
from tokens.errors import BadOptOut, SourceIdReused, UnknownToken
from tokens.formats.kinds import Kind
from tokens.formats.reasons import InvalidValue
from tokens.models import ConsentEvent, Enterprise, Suppression, Unsubscribe

AT = datetime.datetime(2026, 11, 18, 9, 30, tzinfo=datetime.UTC)
pytestmark = pytest.mark.django_db


def said(source_id: str, raw: str = ANA, **changes: Any) -> OptOut:
    kind = Kind.EMAIL if "@" in raw else Kind.MOBILE
    facts: dict[str, Any] = {"source": "file", "occurred_at": AT, "law": "tcpa"}
    return OptOut(kind=kind, raw_value=raw, source_id=source_id, **(facts | changes))


def of_every_sort(enterprise: Enterprise) -> list[OptOut]:
    """New ones, repetitions, every source and scope, and each thing that can be wrong."""
    return [
        said("1", evidence="She wrote to us."),
        said("2", ANAS_PHONE),
        said("1", ANA.upper()),
        said("1", BORIS),
        said("1", source="bounce"),
        said("3", BORIS, source="marketing-cloud"),
        said("4", BORIS, scope="business-unit", scope_id="500000002"),
        said("5", BORIS, scope="short-code", scope_id="46356", law=""),
        said("6", "nobody at all"),
        said("7", f"{'q' * 26}@{enterprise.token_domain}"),
        said("8", BORIS, scope="business-unit"),
        said(""),
        said("9" * 201),
    ]


def one_by_one(enterprise: Enterprise, rows: list[OptOut]) -> list[type[Exception] | None]:
    found: list[type[Exception] | None] = []
    for row in rows:
        try:
            record_opt_out(
                enterprise, actor=OLGA, **{name: getattr(row, name) for name in OptOut.__dataclass_fields__}
            )
            found.append(None)
        except (BadOptOut, InvalidValue) as refusal:
            found.append(type(refusal))
    return found


def refusals(recorded: list[Recorded]) -> list[type[Exception] | None]:
    return [None if one.refusal is None else type(one.refusal) for one in recorded]


def effect(enterprise: Enterprise) -> dict[str, Any]:
    """All that stands, but for ids, moments of writing and what differs between enterprises."""
    events = {event.pk: event for event in ConsentEvent.objects.filter(enterprise=enterprise)}
    people = {}
    for event in sorted(events.values(), key=lambda one: (one.source, one.source_id)):
        people.setdefault(bytes(event.blind_index), len(people))
    duties = Unsubscribe.objects.filter(enterprise=enterprise)
    trail = AuditEvent.objects.filter(enterprise_id=enterprise.pk, action="consent.opted-out")
    return {
        "events": sorted(
            (one.source, one.source_id, one.kind, one.scope, one.scope_id, one.law, people[bytes(one.blind_index)],
             one.evidence.open() if one.evidence else "", one.occurred_at)
            for one in events.values()
        ),
        "blocked": sorted(
            people[bytes(one.blind_index)] for one in Suppression.objects.filter(enterprise=enterprise)
        ),
        "duties": sorted(
            (events[one.pk].source, events[one.pk].source_id, one.state, one.proof, one.to_tell, one.due_at,
             one.target_at, one.calendar, one.closed_at is None)
            for one in duties
        ),
        "trail": sorted((one.details["source"], one.details["source_id"], one.details["scope"]) for one in trail),
    }  # fmt: skip


def test_a_set_does_what_its_opt_outs_do_one_by_one() -> None:
    together, apart = an_enterprise(), an_enterprise()
    refused = refusals(record_opt_outs(together, of_every_sort(together), actor=OLGA))
    assert refused == one_by_one(apart, of_every_sort(apart))
    assert refused == [
        None, None, None, SourceIdReused, None, None, None, None, InvalidValue, UnknownToken, BadOptOut, BadOptOut,
        BadOptOut,
    ]  # fmt: skip
    assert effect(together) == effect(apart)
    assert len(effect(together)["events"]) == len(effect(together)["trail"]) == 6


def test_it_does_the_same_in_any_order_in_sets_of_any_size_and_again() -> None:
    plain, shuffled, dice = an_enterprise(), an_enterprise(), random.Random(4)
    rows = [
        said(str(number), f"p{number % 9}@mail.example", law=dice.choice(["", "tcpa"]))
        for number in range(40)
    ]
    record_opt_outs(plain, rows, actor=OLGA)
    sent = rows * 2
    dice.shuffle(sent)
    new = 0
    while sent:
        size = dice.randint(1, 17)
        new += sum(one.is_new for one in record_opt_outs(shuffled, sent[:size], actor=OLGA))
        sent = sent[size:]
    assert new == 40
    assert effect(shuffled) == effect(plain)


def test_a_set_takes_as_many_statements_as_one() -> None:
    acme = an_enterprise()

    def statements(rows: list[OptOut]) -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            record_opt_outs(acme, rows, actor=OLGA)
        return len(caught)

    statements([said("warms the keyring")])
    one = statements([said("first")])
    assert statements([said(f"line {number}", f"p{number}@mail.example") for number in range(200)]) == one
    assert one <= 9


def test_a_number_of_a_file_is_read_as_the_files_country_writes_it() -> None:
    acme = an_enterprise()
    written = record_opt_outs(
        acme, [said("1", "0151 23456789", region="DE"), said("2", "0151 23456789")], actor=OLGA
    )
    assert refusals(written) == [None, InvalidValue]
    [again] = record_opt_outs(acme, [said("1", "+4915123456789")], actor=OLGA)
    assert (again.event_id, again.is_new) == (written[0].event_id, False)


def test_nothing_of_a_set_stays_that_could_not_be_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    acme = an_enterprise()
    monkeypatch.setattr("tokens.consent.opening.open_for", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        record_opt_outs(acme, [said("1")], actor=OLGA)
    assert not ConsentEvent.objects.exists()
    assert not Suppression.objects.exists()
