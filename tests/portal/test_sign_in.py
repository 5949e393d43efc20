"""Signing in and out: recorded, counted, and closed for a while after too many failures."""

from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from redis.exceptions import ConnectionError as RedisConnectionError

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.roles import Role
from portal.sign_in import FAILURES_OF_A_NAME, FAILURES_OF_AN_ADDRESS
from tests.portal.desk import cast

LOGIN = "/admin/login/"
pytestmark = pytest.mark.django_db


def sign_in(name: str, password: str, browser: Client | None = None, **extra: str) -> object:
    return (browser or Client()).post(LOGIN, {"username": name, "password": password}, **extra)


def is_in(response: object) -> bool:
    return getattr(response, "status_code", 0) == 302


def text_of(response: object) -> str:
    return getattr(response, "content", b"").decode()


def test_who_has_a_role_signs_in_and_lands_on_the_start_page() -> None:
    cast.somebody(Role.AUDITOR)
    response = Client().post(LOGIN, {"username": "aaron", "password": cast.PASSWORD})
    assert response["Location"] == "/admin/"


def test_sign_in_leads_on_to_the_page_that_was_asked_for_but_to_no_other_host() -> None:
    cast.somebody(Role.AUDITOR)
    wanted = {"username": "aaron", "password": cast.PASSWORD, "next": "/admin/log/?status=500"}
    assert Client().post(LOGIN, wanted)["Location"] == "/admin/log/?status=500"
    assert Client().post(LOGIN, wanted | {"next": "https://elsewhere.example/"})["Location"] == "/admin/"


def test_staff_and_superuser_flags_open_nothing() -> None:
    cast.a_user("root", is_staff=True, is_superuser=True)
    response = sign_in("root", cast.PASSWORD)
    assert not is_in(response)
    assert "You have no role in the portal yet" in text_of(response)


def test_an_account_that_is_switched_off_is_refused() -> None:
    user = cast.somebody(Role.AUDITOR)
    user.is_active = False
    user.save()
    assert not is_in(sign_in("aaron", cast.PASSWORD))


def test_sign_in_and_out_are_recorded_with_the_address() -> None:
    cast.somebody(Role.AUDITOR)
    browser = Client(REMOTE_ADDR="198.51.100.7")
    sign_in("aaron", cast.PASSWORD, browser)
    browser.post("/admin/logout/")
    acts = [
        (event.action, event.actor_name, event.remote_address) for event in AuditEvent.objects.order_by("pk")
    ]
    assert acts == [
        (Action.SIGNED_IN, "aaron", "198.51.100.7"),
        (Action.SIGNED_OUT, "aaron", "198.51.100.7"),
    ]


def test_a_failure_is_recorded_and_a_name_that_nobody_has_is_not_written_down() -> None:
    cast.somebody(Role.AUDITOR)
    sign_in("aaron", "wrong")
    sign_in("my secret passphrase", "wrong")
    known, unknown = AuditEvent.objects.filter(action=Action.SIGN_IN_FAILED).order_by("pk")
    assert (known.target_name, unknown.target_name) == ("aaron", "unknown name")
    assert "passphrase" not in str(unknown.details) + unknown.target_id + unknown.actor_name


def test_after_five_failures_the_right_password_is_refused_for_five_minutes() -> None:
    cast.somebody(Role.AUDITOR)
    for _ in range(FAILURES_OF_A_NAME):
        assert not is_in(sign_in("aaron", "wrong"))
    response = sign_in("aaron", cast.PASSWORD)
    assert not is_in(response)
    assert "Too many failed attempts" in text_of(response)
    cache.clear()  # what five minutes do
    assert is_in(sign_in("aaron", cast.PASSWORD))


def test_the_limit_counts_a_name_at_an_address_so_that_nobody_locks_out_somebody_elsewhere() -> None:
    cast.somebody(Role.AUDITOR)
    for _ in range(FAILURES_OF_A_NAME):
        sign_in("aaron", "wrong", REMOTE_ADDR="203.0.113.9")
    assert not is_in(sign_in("aaron", cast.PASSWORD, REMOTE_ADDR="203.0.113.9"))
    assert is_in(sign_in("aaron", cast.PASSWORD, REMOTE_ADDR="198.51.100.7"))


def test_behind_a_trusted_proxy_the_browser_s_own_address_counts(settings: Any) -> None:
    cast.somebody(Role.AUDITOR)
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    for _ in range(FAILURES_OF_A_NAME):
        sign_in("aaron", "wrong", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="203.0.113.9")
    response = sign_in("aaron", cast.PASSWORD, REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="198.51.100.7")
    assert is_in(response)
    addresses = set(AuditEvent.objects.values_list("remote_address", flat=True))
    assert addresses == {"203.0.113.9", "198.51.100.7"}


def test_an_address_that_tries_many_names_is_refused() -> None:
    cast.somebody(Role.AUDITOR)
    for number in range(FAILURES_OF_AN_ADDRESS):
        sign_in(f"name-{number}", "wrong")
    assert "Too many failed attempts" in text_of(sign_in("aaron", cast.PASSWORD))


def test_guesses_that_arrive_together_are_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is still being checked when the next one comes: counted after the check, all would be."""
    cast.somebody(Role.AUDITOR)
    checked: list[str] = []

    def slow_check(
        self: object, request: object, username: str = "", password: str = "", **_: object
    ) -> None:
        checked.append(password)
        if len(checked) < 40:
            sign_in("aaron", f"guess {len(checked)}")

    monkeypatch.setattr("django.contrib.auth.backends.ModelBackend.authenticate", slow_check)
    sign_in("aaron", "guess 0")
    assert len(checked) == FAILURES_OF_A_NAME


def test_success_forgets_the_failures_of_the_name() -> None:
    cast.somebody(Role.AUDITOR)
    for _ in range(FAILURES_OF_A_NAME - 1):
        sign_in("aaron", "wrong")
    assert is_in(sign_in("aaron", cast.PASSWORD))
    for _ in range(FAILURES_OF_A_NAME - 1):
        sign_in("aaron", "wrong")
    assert is_in(sign_in("aaron", cast.PASSWORD))


def test_while_failures_cannot_be_counted_nobody_signs_in_and_the_page_says_so(monkeypatch: object) -> None:
    cast.somebody(Role.AUDITOR)

    def away(*args: object, **kwargs: object) -> None:
        raise RedisConnectionError

    monkeypatch.setattr(cache, "incr", away)  # type: ignore[attr-defined]
    response = sign_in("aaron", cast.PASSWORD)
    assert not is_in(response)
    assert "Nobody can sign in at the moment" in text_of(response)


def test_a_session_ends_when_it_is_left_alone() -> None:
    cast.somebody(Role.AUDITOR)
    browser = Client()
    with time_machine.travel("2026-03-02T09:00:00Z", tick=False) as clock:
        sign_in("aaron", cast.PASSWORD, browser)
        clock.shift(14 * 60)
        assert browser.get("/admin/enterprises/").status_code == 200
        clock.shift(14 * 60)
        assert browser.get("/admin/enterprises/").status_code == 200
        clock.shift(16 * 60)
        response = browser.get("/admin/enterprises/", follow=True)
    assert "You were signed out because the session had ended" in text_of(response)
    assert 'name="next" value="/admin/enterprises/"' in text_of(response)


def test_a_page_that_polls_is_no_sign_of_life() -> None:
    cast.somebody(Role.AUDITOR)
    browser = Client()
    with time_machine.travel("2026-03-02T09:00:00Z", tick=False) as clock:
        sign_in("aaron", cast.PASSWORD, browser)
        for _ in range(3):
            clock.shift(6 * 60)
            response = browser.get("/admin/enterprises/", headers={"HX-Request": "true"})
    assert response.status_code == 204
    assert response["HX-Redirect"] == LOGIN


def test_a_session_ends_after_eight_hours_however_busy_it_was() -> None:
    cast.somebody(Role.AUDITOR)
    browser = Client()
    with time_machine.travel("2026-03-02T09:00:00Z", tick=False) as clock:
        sign_in("aaron", cast.PASSWORD, browser)
        for _ in range(48):
            clock.shift(10 * 60)
            assert browser.get("/admin/enterprises/").status_code == 200
        clock.shift(10 * 60)
        assert browser.get("/admin/enterprises/").status_code == 302


def test_a_changed_password_ends_the_other_sessions() -> None:
    user = cast.somebody(Role.AUDITOR)
    here, there = cast.browser_of(user), cast.browser_of(user)
    new = "another sentence of mine"
    changed = here.post(
        "/admin/password_change/",
        {"old_password": cast.PASSWORD, "new_password1": new, "new_password2": new},
    )
    assert changed["Location"] == "/admin/password_change/done/"
    assert here.get("/admin/enterprises/").status_code == 200
    assert there.get("/admin/enterprises/").status_code == 302
