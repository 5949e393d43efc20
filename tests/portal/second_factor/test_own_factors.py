"""A person's own factors: changing them takes a factor that was shown just now, and forms that wait are not lost."""

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.http import HttpResponse
from django.test import Client

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.desk.page import Page
from portal.desk.pages import PAGES
from portal.models import User
from portal.roles import Role
from tests.portal.desk import cast
from tests.portal.factor import app_of, code_of, show_factor

INDEX, APP, CONFIRM = "/admin/second-factor/", "/admin/second-factor/app/", "/admin/second-factor/confirm/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    """An officer with an app."""
    user = cast.somebody(Role.COMPLIANCE_OFFICER)
    app_of(user)
    return user


@pytest.fixture
def people_page() -> Iterator[Page]:
    """The search for people, as if it asked for a fresh factor."""
    [page] = [page for page in PAGES if page.name == "people"]
    object.__setattr__(page, "fresh_factor", True)
    yield page
    object.__setattr__(page, "fresh_factor", False)


def browser_that_showed(user: User, ago: float) -> Client:
    browser = cast.browser_of(user, shown=False)
    show_factor(browser, user, ago=ago)
    return browser


def test_a_page_that_asks_for_a_fresh_factor_leads_to_it_and_back(user: User, people_page: Page) -> None:
    browser = browser_that_showed(user, ago=301)
    assert browser.get("/admin/people/?a=b")["Location"] == f"{CONFIRM}?next=/admin/people/%3Fa%3Db"
    answer = browser.post(CONFIRM, {"code": code_of(user), "next": "/admin/people/?a=b"})
    assert answer["Location"] == "/admin/people/?a=b"
    assert browser.get("/admin/people/?a=b").status_code == 200
    [event] = AuditEvent.objects.filter(action=Action.FACTOR_CONFIRMED)
    assert event.details == {"by": "totp"}


def test_one_that_was_shown_within_five_minutes_is_not_asked_for_again(user: User, people_page: Page) -> None:
    assert browser_that_showed(user, ago=200).get("/admin/people/").status_code == 200


def test_without_the_flag_an_old_factor_is_enough(user: User) -> None:
    """The known-bad twin: the page itself does not ask."""
    assert browser_that_showed(user, ago=301).get("/admin/people/").status_code == 200


def test_a_form_that_was_sent_waits_and_goes_on(user: User, people_page: Page) -> None:
    browser = browser_that_showed(user, ago=301)
    sent = browser.post("/admin/people/", {"what": "nobody@mail.example"})
    assert sent["Location"].startswith(CONFIRM)
    assert not AuditEvent.objects.filter(action=Action.PERSON_SEARCHED).exists()
    answer = browser.post(CONFIRM, {"code": code_of(user), "next": "/admin/people/"})
    assert "Nothing is on record of" in answer.content.decode()
    again = browser.get("/admin/people/")
    assert "Nothing is on record of" not in again.content.decode()


def test_a_form_that_waits_stands_sealed_in_the_session(user: User, people_page: Page) -> None:
    browser = browser_that_showed(user, ago=301)
    browser.post("/admin/people/", {"what": "nobody@mail.example"})
    assert browser.session["suspended_form"]["path"] == "/admin/people/"
    assert "nobody" not in str(dict(browser.session))


def test_a_form_that_waited_under_another_key_is_lost_and_the_page_is_not(
    user: User, people_page: Page
) -> None:
    browser = browser_that_showed(user, ago=301)
    session = browser.session
    session["suspended_form"] = {"path": "/admin/people/", "post": "what=nobody%40mail.example"}
    session.save()
    answer = browser.post(CONFIRM, {"code": code_of(user), "next": "/admin/people/"})
    assert answer["Location"] == "/admin/people/"


def test_a_form_that_waits_goes_nowhere_else(user: User, people_page: Page) -> None:
    browser = browser_that_showed(user, ago=301)
    browser.post("/admin/people/", {"what": "nobody@mail.example"})
    answer = browser.post(CONFIRM, {"code": code_of(user), "next": "/admin/log/"})
    assert answer["Location"] == "/admin/log/"
    browser = browser_that_showed(user, ago=301)
    answer = browser.post(CONFIRM, {"code": code_of(user), "next": "https://elsewhere.example/"})
    assert answer["Location"] == "/admin/"


def test_a_fragment_of_a_page_sends_the_whole_page(user: User, people_page: Page) -> None:
    browser = browser_that_showed(user, ago=301)
    answer: Any = browser.get("/admin/people/", headers={"HX-Request": "true"})
    assert isinstance(answer, HttpResponse)
    assert (answer.status_code, answer["HX-Redirect"].startswith(CONFIRM)) == (204, True)


def test_changing_factors_takes_one_that_was_shown_just_now(user: User) -> None:
    browser = browser_that_showed(user, ago=301)
    factor = app_of(user)
    assert browser.get(APP)["Location"].startswith(CONFIRM)
    for address in (f"{INDEX}codes/", f"{INDEX}{factor.pk}/remove/"):
        assert browser.post(address)["Location"].startswith(CONFIRM), address
    assert Authenticator.objects.filter(user=user).count() == 1


def test_without_a_factor_an_old_session_signs_in_again_before_it_adds_one() -> None:
    user = cast.somebody(Role.AUDITOR)
    browser = cast.browser_of(user)
    session = browser.session
    session["began_at"] -= 901
    session.save()
    assert browser.get(APP)["Location"].startswith("/admin/login/")
    assert browser.get("/admin/events/")["Location"].startswith("/admin/login/")


def test_the_last_factor_stays_where_roles_need_one(user: User) -> None:
    browser = browser_that_showed(user, ago=0)
    factor = app_of(user)
    answer = browser.post(f"{INDEX}{factor.pk}/remove/", follow=True)
    assert "add another before you remove this one" in answer.content.decode()
    assert Authenticator.objects.filter(pk=factor.pk).exists()


def test_who_needs_none_removes_it_with_the_recovery_codes() -> None:
    user = cast.somebody(Role.AUDITOR)
    factor = app_of(user)
    browser = browser_that_showed(user, ago=0)
    assert "Store these recovery codes" in browser.post(f"{INDEX}codes/").content.decode()
    browser.post(f"{INDEX}{factor.pk}/remove/")
    assert not Authenticator.objects.filter(user=user).exists()
    [event] = AuditEvent.objects.filter(action=Action.FACTOR_REMOVED)
    assert event.details == {"kind": "totp"}


def test_nobody_removes_the_factor_of_somebody_else(user: User) -> None:
    other = cast.somebody(Role.AUDITOR)
    app_of(other)
    browser = browser_that_showed(user, ago=0)
    browser.post(f"{INDEX}{app_of(other).pk}/remove/")
    assert Authenticator.objects.filter(user=other).count() == 1
    assert not AuditEvent.objects.filter(action=Action.FACTOR_REMOVED).exists()


@pytest.mark.parametrize("nonsense", ["", "{", "[]", "17", '{"id": "x"}', '{"response": null}'])
def test_what_is_no_passkey_is_refused_in_words(user: User, nonsense: str) -> None:
    browser = browser_that_showed(user, ago=0)
    made = browser.post(f"{INDEX}passkey/", {"name": "Key", "credential": nonsense})
    assert made.status_code == 200
    shown = browser.post(CONFIRM, {"credential": nonsense, "next": "/admin/"})
    assert shown.status_code == 200
    assert Authenticator.objects.filter(user=user).count() == 1
