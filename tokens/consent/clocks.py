"""Until when an opt-out must have been carried out everywhere: law, calendar and time zone give an instant, once.

Defaults, not legal advice: `docs/unsubscribes.md` names the source of each. The clock starts when the person asked,
not when somebody loaded a file. A term of N business days ends with the Nth business day after the one on which they
asked, by the calendar and at the midnight of the place whose law it is. An enterprise may close further days
(tokens.consent.closing_days). The instant is stored with the unsubscribe, together with the version of the calendar
that gave it, and is never computed again.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Final
from zoneinfo import ZoneInfo

import holidays


@dataclass(frozen=True, slots=True)
class Law:
    """What a law allows: so many business days of a country (ISO 3166, or ECB for the euro area), ending there."""

    code: str
    label: str
    business_days: int
    calendar: str
    zone: str


# Where a law names no number ("without undue delay"), and where no law is stated, the term is our own target.
TARGET_DAYS: Final = 1
SATURDAY: Final = 5
LAWS: Final[Sequence[Law]] = (
    Law("", "not stated", TARGET_DAYS, "ECB", "UTC"),
    Law("gdpr", "EU: GDPR, ePrivacy", TARGET_DAYS, "ECB", "Europe/Brussels"),
    Law("uk-pecr", "UK: PECR, UK GDPR", TARGET_DAYS, "GB", "Europe/London"),
    Law("tcpa", "US: TCPA (texts)", 10, "US", "America/New_York"),
    Law("can-spam", "US: CAN-SPAM (e-mail)", 10, "US", "America/New_York"),
    Law("ccpa", "US: CCPA", 15, "US", "America/Los_Angeles"),
    Law("casl", "Canada: CASL", 10, "CA", "America/Toronto"),
    Law("au-spam-act", "Australia: Spam Act", 5, "AU", "Australia/Sydney"),
    Law("other", "another law", TARGET_DAYS, "ECB", "UTC"),
)
CALENDARS: Final = {
    "ECB": "euro area (ECB)",
    "GB": "United Kingdom",
    "US": "US, federal",
    "CA": "Canada",
    "AU": "Australia",
}
# Closing days of an enterprise, by calendar.
Closed = Mapping[str, frozenset[datetime.date]]
NONE_CLOSED: Final[Closed] = {}
EARLIEST: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_BY_CODE: Final = {law.code: law for law in LAWS}


@dataclass(frozen=True, slots=True)
class Due:
    """When an opt-out must be carried out (`at`), when we want that (`target_at`), and what said so (`calendar`)."""

    at: datetime.datetime
    target_at: datetime.datetime
    calendar: str


def law_of(code: str) -> Law:
    """The law of that code; one that nobody knows counts as another law, with the strictest term."""
    return _BY_CODE.get(code, _BY_CODE["other"])


def due(code: str, asked_at: datetime.datetime, closed: Closed = NONE_CLOSED) -> Due:
    """The terms of an opt-out under the law `code` which a person asked for at `asked_at` (aware)."""
    law = law_of(code)
    days = closed.get(law.calendar, frozenset())
    # Sources that know no time say the year 1: whatever is so old is long overdue.
    asked_at = max(asked_at, EARLIEST)
    return Due(
        at=_end_of_business_day(law, asked_at, law.business_days, days),
        target_at=_end_of_business_day(law, asked_at, min(TARGET_DAYS, law.business_days), days),
        calendar=f"{law.calendar} holidays {_edition()}{f' and {len(days)} closing days' if days else ''}",
    )


def later(
    code: str, instant: datetime.datetime, business_days: int, closed: Closed = NONE_CLOSED
) -> datetime.datetime:
    """The end of the `business_days`th business day after that on which `instant` falls: an extension."""
    # A term ends at midnight, which belongs to the day before.
    law, since = law_of(code), instant - datetime.timedelta(microseconds=1)
    return _end_of_business_day(law, since, business_days, closed.get(law.calendar, frozenset()))


def is_business_day(calendar: str, day: datetime.date) -> bool:
    """Whether the calendar itself, without closing days, has it as a business day."""
    return bool(_calendar(calendar).is_working_day(day))


def next_holidays(calendar: str, since: datetime.date, count: int) -> list[tuple[datetime.date, str]]:
    """The next `count` days after `since` which would be business days and are holidays, with their names."""
    found: list[tuple[datetime.date, str]] = []
    day = since
    while len(found) < count:
        day += datetime.timedelta(days=1)
        name = _calendar(calendar).get(day)
        if name and day.weekday() < SATURDAY:
            found.append((day, str(name)))
    return found


class Urgency(StrEnum):
    """How much of the time is left: half of it, a fifth of it, none."""

    CALM = "in time"
    AMBER = "half the time is over"
    RED = "hardly any time left"
    OVERDUE = "overdue"


def urgency(asked_at: datetime.datetime, due_at: datetime.datetime, now: datetime.datetime) -> Urgency:
    """How urgent an open unsubscribe is at `now`."""
    if now >= due_at:
        return Urgency.OVERDUE
    left = (due_at - now) / (due_at - asked_at)
    return Urgency.RED if left <= 0.2 else Urgency.AMBER if left <= 0.5 else Urgency.CALM


def _end_of_business_day(
    law: Law, since: datetime.datetime, number: int, closed: frozenset[datetime.date]
) -> datetime.datetime:
    return _end_of_day(law.calendar, law.zone, since.astimezone(ZoneInfo(law.zone)).date(), number, closed)


@lru_cache(maxsize=10_000)
def _end_of_day(
    calendar: str, zone: str, since: datetime.date, number: int, closed: frozenset[datetime.date]
) -> datetime.datetime:
    """The end of the `number`th business day after `since`. A file of opt-outs asks for few days, again and again."""
    day = since
    for _ in range(number):
        day = _calendar(calendar).get_nth_working_day(day, 1)
        while day in closed:
            day = _calendar(calendar).get_nth_working_day(day, 1)
    midnight = datetime.datetime.combine(day + datetime.timedelta(days=1), datetime.time(), ZoneInfo(zone))
    return midnight.astimezone(datetime.UTC)


@cache
def _calendar(code: str) -> holidays.HolidayBase:
    return holidays.financial_holidays(code) if code == "ECB" else holidays.country_holidays(code)


@cache
def _edition() -> str:
    return version("holidays")
