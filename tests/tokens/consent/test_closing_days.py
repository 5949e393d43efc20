"""Closing days of an enterprise hold for what is opened from then on, and never for what was computed."""

import datetime

import pytest
from django.utils import timezone

from audit.models import AuditEvent
from audit.vocabulary import Action
from tests.tokens.cast import OLGA, an_enterprise
from tokens.consent import clocks, closing_days, unsubscribes
from tokens.consent.opt_outs import record_opt_out
from tokens.errors import BadStep
from tokens.formats.kinds import Kind
from tokens.models import ClosingDay, ConsentEvent, Enterprise, Unsubscribe

pytestmark = pytest.mark.django_db
# A Thursday in New York; without closing days CAN-SPAM's ten business days end with Thursday, March 22.
ASKED = datetime.datetime(2029, 3, 8, 17, tzinfo=datetime.UTC)
TUESDAY, WEDNESDAY = datetime.date(2029, 3, 20), datetime.date(2029, 3, 21)
NOW = datetime.datetime(2029, 3, 7, 12, tzinfo=datetime.UTC)


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Enterprise:
    made = an_enterprise()
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    return made


def opted_out(enterprise: Enterprise, number: int) -> Unsubscribe:
    event = record_opt_out(
        enterprise,
        kind=Kind.EMAIL,
        raw_value=f"p{number}@mail.example",
        source=ConsentEvent.Source.OFFICER,
        source_id=str(number),
        occurred_at=ASKED,
        law="can-spam",
        actor=OLGA,
    )
    return Unsubscribe.objects.get(pk=event.pk)


def close(enterprise: Enterprise, day: datetime.date = TUESDAY, calendar: str = "US") -> ClosingDay:
    return closing_days.add(
        enterprise, calendar=calendar, day=day, reason="Office closed: state holiday", actor=OLGA
    )


def test_a_closing_day_moves_what_is_recorded_from_then_on_and_nothing_else(acme: Enterprise) -> None:
    before = opted_out(acme, 1)
    close(acme)
    after, elsewhere = opted_out(acme, 2), opted_out(an_enterprise("Other"), 3)
    day = datetime.timedelta(days=1)
    assert (after.due_at - before.due_at, elsewhere.due_at) == (day, before.due_at)
    assert Unsubscribe.objects.get(pk=before.pk).due_at == before.due_at
    assert after.calendar.endswith(" and 1 closing days")
    assert before.calendar == elsewhere.calendar


def test_an_extension_counts_closing_days_too(acme: Enterprise) -> None:
    row = opted_out(acme, 1)
    close(acme, datetime.date(2029, 3, 23))
    extended = unsubscribes.extend(row.pk, business_days=1, reason="asked back", actor=OLGA)
    # From the end of Thursday over the closed Friday and the weekend to the end of Monday.
    assert extended.due_at - row.due_at == datetime.timedelta(days=4)


def test_days_of_another_calendar_move_nothing(acme: Enterprise) -> None:
    before = opted_out(acme, 1)
    close(acme, calendar="CA")
    assert opted_out(acme, 2).due_at == before.due_at


def test_it_is_an_event_with_its_reason_and_so_is_taking_it_away(acme: Enterprise) -> None:
    made = close(acme)
    closing_days.remove(made, actor=OLGA)
    assert closing_days.of_enterprise(acme.pk) == {}
    events = AuditEvent.objects.filter(target_type="calendar").order_by("id")
    assert [(one.action, one.target_id, one.actor_name, one.details["day"]) for one in events] == [
        (Action.CLOSING_DAY_ADDED, "US", OLGA.name, "2029-03-20"),
        (Action.CLOSING_DAY_REMOVED, "US", OLGA.name, "2029-03-20"),
    ]
    assert events[0].details["reason"] == "Office closed: state holiday"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"day": NOW.date()}, "lies ahead"),
        ({"day": NOW.date() - datetime.timedelta(days=1)}, "lies ahead"),
        ({"day": datetime.date(2040, 3, 20)}, "lies ahead"),
        ({"day": datetime.date(2029, 3, 17)}, "weekend"),
        ({"day": datetime.date(2029, 7, 4)}, "holiday"),
        ({"calendar": "XX"}, "no such calendar"),
        ({"reason": " "}, "give a reason"),
        ({"reason": "Ana, ana@mail.example"}, "leave it out"),
    ],
)
def test_what_would_change_the_past_or_nothing_is_refused(
    change: dict[str, object], says: str, acme: Enterprise
) -> None:
    said = {"calendar": "US", "day": TUESDAY, "reason": "Closed"} | change
    with pytest.raises(BadStep, match=says):
        closing_days.add(acme, actor=OLGA, **said)  # type: ignore[arg-type]
    assert not ClosingDay.objects.exists()


def test_a_day_closes_once_and_a_year_has_few(acme: Enterprise) -> None:
    close(acme)
    with pytest.raises(BadStep, match="already"):
        close(acme)
    days = (datetime.date(2029, 4, 2) + datetime.timedelta(days=n) for n in range(60))
    business = [day for day in days if clocks.is_business_day("US", day)]
    for day in business[: closing_days.MOST_IN_A_YEAR - 1]:
        close(acme, day)
    with pytest.raises(BadStep, match="20 closing days a year"):
        close(acme, business[30])


def test_what_has_begun_stays(acme: Enterprise, monkeypatch: pytest.MonkeyPatch) -> None:
    made = close(acme)
    monkeypatch.setattr(timezone, "now", lambda: NOW + datetime.timedelta(days=13))
    with pytest.raises(BadStep, match="past or today"):
        closing_days.remove(made, actor=OLGA)
    assert ClosingDay.objects.exists()
