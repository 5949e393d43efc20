"""The page of terms: every law and calendar is there, and an officer adds and takes closing days."""

import datetime

import pytest
from django.test import Client
from django.utils import timezone

from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.cast import an_enterprise
from tokens.consent import clocks
from tokens.models import ClosingDay, Enterprise

pytestmark = pytest.mark.django_db
PAGE = "/admin/unsubscribes/terms/"


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise("Acme")


@pytest.fixture
def officer(acme: Enterprise) -> Client:
    return cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme))


def a_business_day() -> datetime.date:
    days = (timezone.now().date() + datetime.timedelta(days=n) for n in range(30, 60))
    return next(day for day in days if clocks.is_business_day("US", day))


def test_laws_calendars_and_next_holidays_are_shown(officer: Client) -> None:
    page = officer.get(PAGE).content.decode()
    for law in clocks.LAWS:
        assert law.zone in page
    for label in clocks.CALENDARS.values():
        assert label in page
    assert any(name in page for _, name in clocks.next_holidays("US", timezone.now().date(), 1))


def test_an_officer_adds_a_closing_day_and_takes_it_away(officer: Client, acme: Enterprise) -> None:
    day = a_business_day()
    said = {"enterprise": acme.pk, "calendar": "US", "day": day.isoformat(), "reason": "State holiday"}
    page = officer.post(f"{PAGE}add/", said, follow=True).content.decode()
    assert f"{day} is no business day of US, federal from now on." in page
    made = ClosingDay.objects.get()
    assert "State holiday" in page
    page = officer.post(f"{PAGE}{made.pk}/remove/", follow=True).content.decode()
    assert f"{day} is a business day again." in page
    assert not ClosingDay.objects.exists()


def test_what_is_refused_is_said_beside_the_field(officer: Client, acme: Enterprise) -> None:
    said = {"enterprise": acme.pk, "calendar": "US", "day": "2020-01-02", "reason": "x"}
    assert "lies ahead" in officer.post(f"{PAGE}add/", said).content.decode()


def test_the_days_of_another_enterprise_are_neither_seen_nor_changed(officer: Client) -> None:
    other = an_enterprise("Other")
    made = ClosingDay.objects.create(
        enterprise=other, calendar="US", day=a_business_day(), reason="theirs alone"
    )
    assert "theirs alone" not in officer.get(PAGE).content.decode()
    assert officer.post(f"{PAGE}{made.pk}/remove/").status_code == 404
    said = {"enterprise": other.pk, "calendar": "GB", "day": a_business_day(), "reason": "x"}
    officer.post(f"{PAGE}add/", said)
    assert ClosingDay.objects.count() == 1
