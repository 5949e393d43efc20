"""The dates of an extract. Marketing Cloud's own writing is American, other exports are ISO; a recipe says which."""

import datetime
import zoneinfo
from collections.abc import Iterable
from typing import Final

# (code, words). ISO 8601 is read in each of them.
ORDERS: Final = (
    ("mdy", "month first: 11/22/2026 2:05:00 PM"),
    ("dmy", "day first: 22.11.2026 14:05:00"),
    ("iso", "year first: 2026-11-22 14:05:00"),
)
# Marketing Cloud's servers live six hours behind UTC all year; many accounts show and export their own zone instead.
ZONES: Final = (
    ("UTC", "UTC"),
    ("Etc/GMT+6", "Marketing Cloud's server time (UTC-6 all year)"),
    ("America/New_York", "New York"),
    ("America/Chicago", "Chicago"),
    ("America/Los_Angeles", "Los Angeles"),
    ("Europe/London", "London"),
    ("Europe/Berlin", "Berlin, Paris, Madrid, Rome"),
    ("Australia/Sydney", "Sydney"),
)
# Clocks differ by minutes, and a message can't come from tomorrow.
AHEAD: Final = datetime.timedelta(minutes=5)
# Older than text messages to Marketing Cloud are: what systems write for "no date" (1/1/0001, 1/1/1900, 12/31/1969).
EARLIEST: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_TIMES: Final = ("%I:%M:%S %p", "%I:%M %p", "%H:%M:%S", "%H:%M", "")
_DAYS: Final = {
    "mdy": ("%m/%d/%Y", "%m-%d-%Y"),
    "dmy": ("%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y"),
    "iso": ("%Y/%m/%d",),
}


def read_date(text: str, *, order: str, zone: str) -> datetime.datetime | None:
    """The moment that `text` names, or None, also before EARLIEST.

    Without an offset it is of `zone`; a date alone is its first moment.
    """
    found = _parsed(" ".join(text.split()), order)
    if found is None:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    try:
        moment = found.astimezone(datetime.UTC)
    except (OverflowError, ValueError):
        return None
    return moment if moment >= EARLIEST else None


def names_a_time(text: str, *, order: str) -> bool:
    """Whether `text` is more than a day. Midnight is a day: a workbook writes days so."""
    found = _parsed(" ".join(text.split()), order)
    return found is not None and found.time() != datetime.time.min


def is_zone(name: str) -> bool:
    """Whether `name` is a time zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def likely_order(cells: Iterable[str]) -> tuple[str, float]:
    """(the order in which most of `cells` are dates, the share that are); of equal ones the American."""
    filled = [cell for cell in cells if cell.strip()]
    shares = {
        order: sum(read_date(cell, order=order, zone="UTC") is not None for cell in filled) / len(filled)
        if filled
        else 0.0
        for order, _ in ORDERS
    }
    best = max(shares, key=lambda order: shares[order])
    return best, shares[best]


def _parsed(text: str, order: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        pass
    for day in _DAYS[order]:
        for clock in _TIMES:
            try:
                return datetime.datetime.strptime(text, f"{day} {clock}".strip())  # noqa: DTZ007 - its zone is the recipe's
            except ValueError:
                continue
    return None
