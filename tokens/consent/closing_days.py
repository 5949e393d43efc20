"""Closing days: what an enterprise adds to the holidays of a calendar, such as those of a state or province.

They hold for unsubscribes that are opened, and extended, from then on. A due instant that was computed stays: a term
that moved by itself could hide what is overdue.
"""

import datetime
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import trail
from audit.free_text import names_a_person
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.consent import clocks
from tokens.consent.clocks import Closed
from tokens.errors import BadStep
from tokens.models import ClosingDay, Enterprise

MOST_AHEAD: Final = datetime.timedelta(days=3 * 366)
# More would be another calendar, and a way to put off every term.
MOST_IN_A_YEAR: Final = 20


def of_enterprise(enterprise_id: int) -> Closed:
    """The days of each calendar, in one statement."""
    closed: dict[str, set[datetime.date]] = {}
    rows = ClosingDay.objects.filter(enterprise_id=enterprise_id).order_by()
    for calendar, day in rows.values_list("calendar", "day"):
        closed.setdefault(calendar, set()).add(day)
    return {calendar: frozenset(days) for calendar, days in closed.items()}


@transaction.atomic
def add(
    enterprise: Enterprise, *, calendar: str, day: datetime.date, reason: str, actor: Actor
) -> ClosingDay:
    """Make `day` no business day of `calendar`. Raises BadStep."""
    _check(enterprise, calendar, day, reason)
    made = ClosingDay(
        enterprise=enterprise,
        calendar=calendar,
        day=day,
        reason=reason.strip(),
        added_by_id=actor.id,
        added_by_name=actor.name,
    )
    try:
        with transaction.atomic():
            made.save()
    except IntegrityError:
        raise BadStep("that day is a closing day already") from None
    _record(Action.CLOSING_DAY_ADDED, made, actor)
    return made


@transaction.atomic
def remove(closing_day: ClosingDay, *, actor: Actor) -> None:
    """Make it a business day again. Raises BadStep: what has begun is part of terms that were computed."""
    if closing_day.day <= _today():
        raise BadStep("that day is past or today: terms were counted with it")
    if ClosingDay.objects.filter(pk=closing_day.pk).delete()[0]:
        _record(Action.CLOSING_DAY_REMOVED, closing_day, actor)


def _check(enterprise: Enterprise, calendar: str, day: datetime.date, reason: str) -> None:
    wrong = None
    if calendar not in clocks.CALENDARS:
        wrong = "there is no such calendar"
    elif not _today() < day <= _today() + MOST_AHEAD:
        wrong = "a closing day lies ahead, by three years at most: what is past was counted without it"
    elif not clocks.is_business_day(calendar, day):
        wrong = "that day is a weekend or a holiday of the calendar already"
    elif not reason.strip():
        wrong = "give a reason: which office is closed, and by what rule"
    elif names_a_person(reason):
        wrong = "the reason holds an address or a number of a person: leave it out"
    elif _count_of_year(enterprise, calendar, day) >= MOST_IN_A_YEAR:
        wrong = f"a calendar has {MOST_IN_A_YEAR} closing days a year at most"
    if wrong:
        raise BadStep(wrong)


def _count_of_year(enterprise: Enterprise, calendar: str, day: datetime.date) -> int:
    return ClosingDay.objects.filter(enterprise=enterprise, calendar=calendar, day__year=day.year).count()


def _today() -> datetime.date:
    return timezone.now().date()


def _record(action: Action, closing_day: ClosingDay, actor: Actor) -> None:
    trail.record(
        action,
        actor=actor,
        enterprise_id=closing_day.enterprise_id,
        target=Target("calendar", closing_day.calendar),
        details={"day": closing_day.day.isoformat(), "reason": closing_day.reason},
    )
