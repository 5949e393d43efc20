"""Until when: terms of laws, by calendar and time zone, counted from when the person asked (promise P21)."""

import datetime
from functools import cache
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens.consent import clocks


@cache
def is_business_day(code: str, day: datetime.date) -> bool:
    """Told day by day: no weekend there, and no holiday."""
    calendar = clocks.law_of(code).calendar
    made = holidays.financial_holidays(calendar) if calendar == "ECB" else holidays.country_holidays(calendar)
    return day.weekday() < 5 and day not in made


CODES = [law.code for law in clocks.LAWS]
FIRST, LAST = (datetime.datetime.fromisoformat(f"{year}-01-01") for year in (2024, 2032))
moments = st.datetimes(FIRST, LAST, timezones=st.just(datetime.UTC))


def utc(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("law", "asked", "due"),
    [
        # Thanksgiving is no business day; New York's midnight is 05:00 UTC in winter.
        ("tcpa", "2026-11-20T15:00", "2026-12-08T05:00"),
        # It is still Thursday the 19th in New York.
        ("tcpa", "2026-11-20T04:59", "2026-12-05T05:00"),
        # The clocks of New York go back on November 1: asked in summer time, due in winter time.
        ("can-spam", "2026-10-30T12:00", "2026-11-17T05:00"),  # and Veterans Day
        ("casl", "2026-06-26T12:00", "2026-07-14T04:00"),  # Canada Day
        ("au-spam-act", "2026-11-20T12:00", "2026-11-27T13:00"),  # already late on Friday in Sydney
        ("au-spam-act", "2026-11-20T13:30", "2026-11-27T13:00"),  # Saturday there, and no later for it
        ("ccpa", "2026-11-20T18:00", "2026-12-15T08:00"),
        # "Without undue delay" is our own target, one business day. Christmas and its second day are none.
        ("gdpr", "2026-12-24T09:00", "2026-12-28T23:00"),
        ("uk-pecr", "2026-12-24T09:00", "2026-12-30T00:00"),  # Boxing Day is observed on the Monday
        ("", "2026-11-20T09:00", "2026-11-24T00:00"),
        ("a law of tomorrow", "2026-11-20T09:00", "2026-11-24T00:00"),
    ],
)
def test_a_term_ends_with_its_last_business_day_where_the_law_is(law: str, asked: str, due: str) -> None:
    assert clocks.due(law, utc(asked)).at == utc(due)


@given(st.sampled_from(CODES), moments)
def test_every_term_ends_at_a_local_midnight_after_that_many_business_days(
    code: str, asked: datetime.datetime
) -> None:
    law, due = clocks.law_of(code), clocks.due(code, asked)
    zone = ZoneInfo(law.zone)
    ends, began = due.at.astimezone(zone), asked.astimezone(zone)
    assert ends.time() == datetime.time()
    passed = [
        began.date() + datetime.timedelta(days=n)
        for n in range(1, (ends.date() - began.date()).days)
    ]  # fmt: skip
    assert sum(is_business_day(code, day) for day in passed) == law.business_days
    assert is_business_day(code, passed[-1])
    assert asked < due.target_at <= due.at


@given(st.sampled_from(CODES), moments, moments)
def test_who_asked_later_is_never_due_earlier(
    code: str, one: datetime.datetime, other: datetime.datetime
) -> None:
    first, second = sorted((one, other))
    assert clocks.due(code, first).at <= clocks.due(code, second).at


def test_the_calendar_that_gave_it_is_named() -> None:
    assert clocks.due("tcpa", utc("2026-11-20T15:00")).calendar.startswith("US holidays 0.")


@given(st.sampled_from(CODES), moments, st.integers(1, 20))
def test_an_extension_counts_from_the_term_that_it_extends(
    code: str, asked: datetime.datetime, more: int
) -> None:
    zone, due = ZoneInfo(clocks.law_of(code).zone), clocks.due(code, asked).at
    # Both end at a midnight, which is the first moment that no longer counts.
    first, last = (at.astimezone(zone).date() for at in (due, clocks.later(code, due, more)))
    days = [first + datetime.timedelta(days=n) for n in range((last - first).days)]
    assert sum(is_business_day(code, day) for day in days) == more
