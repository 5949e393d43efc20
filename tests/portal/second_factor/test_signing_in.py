"""The second step of signing in: who must take it, what opens it, and what is recorded."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.test import Client
from redis.exceptions import ConnectionError as RedisConnectionError

from audit.models import AuditEvent
from audit.trail import SYSTEM
from audit.vocabulary import Action
from portal.models import User
from portal.roles import Role
from portal.second_factor import checking, codes, enrolment, sealing
from portal.second_factor.errors import UsedCode, WrongCode
from tests.portal.desk import cast
from tests.portal.factor import app_of, code_of, recovery_codes_of
from tokens.crypto.errors import CryptoError

LOGIN, CODE, APP = "/admin/login/", "/admin/login/code/", "/admin/second-factor/app/"
NOON = "2026-03-02T12:00:00Z"
pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.fixture
def olivia() -> User:
    """An officer with an app."""
    user = cast.somebody(Role.COMPLIANCE_OFFICER)
    app_of(user)
    return user


def password_given(user: User, **extra: Any) -> tuple[Client, Any]:
    browser = Client(**extra)
    fields = {"username": user.username, "password": cast.PASSWORD, "next": "/admin/events/"}
    return browser, browser.post(LOGIN, fields)


def is_in(browser: Client) -> bool:
    return browser.get("/admin/people/").status_code == 200


def acts(*actions: Action) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action__in=actions).order_by("pk"))


def test_password_then_code_then_the_page_that_was_asked_for(olivia: User) -> None:
    browser, response = password_given(olivia)
    assert response["Location"] == CODE
    assert not is_in(browser)
    assert 'autocomplete="one-time-code"' in browser.get(CODE).content.decode()
    response = browser.post(CODE, {"code": code_of(olivia)})
    assert response["Location"] == "/admin/events/"
    assert is_in(browser)
    [event] = acts(Action.SIGNED_IN)
    assert event.details == {"by": ["password", "totp"]}


def test_the_password_alone_opens_nothing(olivia: User) -> None:
    browser, _ = password_given(olivia)
    for address in ("/admin/", "/admin/events/", "/admin/second-factor/", APP, "/admin/password_change/"):
        assert browser.get(address)["Location"].startswith(LOGIN), address
    assert not acts(Action.SIGNED_IN)


def test_without_a_password_there_is_no_second_step() -> None:
    assert Client().get(CODE)["Location"] == LOGIN
    assert Client().post(CODE, {"code": "123456"})["Location"] == LOGIN


def test_a_code_that_was_seen_over_a_shoulder_opens_nothing_again(olivia: User, clock: Any) -> None:
    code = code_of(olivia)
    first, _ = password_given(olivia)
    assert first.post(CODE, {"code": code}).status_code == 302
    second, _ = password_given(olivia)
    response = second.post(CODE, {"code": code})
    assert "This code was used already" in response.content.decode()
    cache.clear()  # what a restarted cache forgets, the database does not
    assert second.post(CODE, {"code": code}).status_code == 200
    clock.shift(30)
    assert second.post(CODE, {"code": code_of(olivia)}).status_code == 302


def test_if_used_steps_were_not_kept_it_would_open_again(olivia: User, clock: Any) -> None:
    """The known-bad twin of the test above."""
    code = code_of(olivia)
    assert checking.check_code(olivia, code, actor=SYSTEM, purpose="confirm")
    with pytest.raises(UsedCode):
        checking.check_code(olivia, code, actor=SYSTEM, purpose="confirm")
    app = app_of(olivia)
    del app.data[codes.LAST_STEP]
    app.save()
    assert checking.check_code(olivia, code, actor=SYSTEM, purpose="confirm")


@pytest.mark.parametrize(
    ("seconds", "right"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)]
)
def test_a_clock_may_be_off_by_half_a_minute(olivia: User, clock: Any, seconds: int, right: bool) -> None:
    step = (int(time.time()) + seconds) // codes.PERIOD_SECONDS
    browser, _ = password_given(olivia)
    response = browser.post(CODE, {"code": codes.code_at(sealing.secret_of(app_of(olivia)), step)})
    assert (response.status_code == 302) is right


def test_after_five_wrong_codes_the_right_one_is_refused_wherever_it_comes_from(olivia: User) -> None:
    for number in range(checking.FAILURES):
        browser, _ = password_given(olivia, REMOTE_ADDR=f"203.0.113.{number}")
        assert browser.post(CODE, {"code": "abc"}).status_code == 200
    browser, _ = password_given(olivia, REMOTE_ADDR="198.51.100.7")
    response = browser.post(CODE, {"code": code_of(olivia)})
    assert "Too many failed codes" in response.content.decode()
    failed = acts(Action.FACTOR_FAILED)
    assert len(failed) == checking.FAILURES
    assert {event.details["why"] for event in failed} == {"WrongCode"}


def test_guesses_that_arrive_together_are_no_more_than_the_limit(
    olivia: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each guess is still being looked at when the next one comes: counted after the look, all would pass."""
    looked: list[str] = []

    def slow_look(factor: Authenticator, code: str) -> None:
        looked.append(code)
        if len(looked) < 40:
            with pytest.raises(Exception, match=r"not right|Too many"):
                checking.check_code(olivia, f"{len(looked):06}", actor=SYSTEM, purpose="sign-in")
        raise WrongCode

    monkeypatch.setattr(codes, "use_app", slow_look)
    with pytest.raises(WrongCode):
        checking.check_code(olivia, "000000", actor=SYSTEM, purpose="sign-in")
    assert len(looked) == checking.FAILURES


def test_a_day_has_thirty_failures_however_they_are_spread(olivia: User) -> None:
    for _ in range(checking.FAILURES_OF_A_DAY):
        with pytest.raises(WrongCode):
            checking.check_code(olivia, "wrong", actor=SYSTEM, purpose="sign-in")
        from portal import attempts

        attempts.forget(f"second-factor:{olivia.pk}")  # what five minutes do
    browser, _ = password_given(olivia)
    assert "Too many failed codes today" in browser.post(CODE, {"code": code_of(olivia)}).content.decode()


def test_while_failures_cannot_be_counted_no_code_is_looked_at(
    olivia: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, _ = password_given(olivia)

    def away(*args: object, **kwargs: object) -> None:
        raise RedisConnectionError

    monkeypatch.setattr(cache, "incr", away)
    response = browser.post(CODE, {"code": code_of(olivia)})
    assert "No code can be checked at the moment" in response.content.decode()


def test_a_recovery_code_works_once_and_is_recorded(olivia: User) -> None:
    spare = recovery_codes_of(olivia)
    browser, _ = password_given(olivia)
    written = f"{spare[3][:5]} - {spare[3][5:].upper()}"
    assert browser.post(CODE, {"code": written}).status_code == 302
    [event] = acts(Action.RECOVERY_CODE_USED)
    assert event.details == {"for": "sign-in", "left": 9}
    assert not any(code in str(AuditEvent.objects.values_list("details")) for code in spare)
    again, _ = password_given(olivia)
    assert again.post(CODE, {"code": spare[3]}).status_code == 200
    assert again.post(CODE, {"code": spare[4]}).status_code == 302


def test_who_must_have_a_factor_and_has_none_reaches_nothing_but_its_set_up() -> None:
    user = cast.somebody(Role.COMPLIANCE_OFFICER)
    browser, response = password_given(user)
    assert response["Location"] == "/admin/events/"
    assert browser.get("/admin/events/")["Location"] == f"{APP}?next=/admin/events/"
    for address in ("/admin/", "/admin/people/", "/admin/password_change/", "/admin/second-factor/"):
        assert browser.get(address)["Location"].startswith(APP), address
    assert browser.post("/admin/people/", {"what": "x"})["Location"].startswith(APP)
    assert browser.get(APP).status_code == 200


def test_setting_an_app_up_lets_its_person_in_and_shows_recovery_codes_once() -> None:
    user = cast.somebody(Role.COMPLIANCE_OFFICER)
    browser, _ = password_given(user)
    page = browser.get(f"{APP}?next=/admin/events/")
    secret = page.context["secret"].replace(" ", "")
    assert page.context["qr"]["size"] > 20
    now = int(time.time()) // codes.PERIOD_SECONDS
    response = browser.post(APP, {"code": codes.code_at(secret, now), "next": "/admin/events/"})
    shown = response.context["codes"]
    assert len(shown) == 10
    assert 'href="/admin/events/"' in response.content.decode()
    assert is_in(browser)
    assert [event.action for event in acts(Action.FACTOR_ADDED, Action.RECOVERY_CODES_MADE)] == [
        Action.FACTOR_ADDED,
        Action.RECOVERY_CODES_MADE,
    ]
    assert shown[0] not in browser.get("/admin/second-factor/").content.decode()


def test_a_wrong_first_code_sets_nothing_up() -> None:
    user = cast.somebody(Role.COMPLIANCE_OFFICER)
    browser, _ = password_given(user)
    browser.get(APP)
    response = browser.post(APP, {"code": "000 000"})
    assert "This code is not right" in response.content.decode()
    assert not Authenticator.objects.exists()
    assert not is_in(browser)


def test_who_needs_none_signs_in_by_password_and_may_set_one_up() -> None:
    user = cast.somebody(Role.AUDITOR)
    browser, _ = password_given(user)
    assert browser.get("/admin/events/").status_code == 200
    page = browser.get(APP)
    now = int(time.time()) // codes.PERIOD_SECONDS
    browser.post(APP, {"code": codes.code_at(page.context["secret"].replace(" ", ""), now)})
    _, response = password_given(user)
    assert response["Location"] == CODE


def test_a_session_from_before_the_factor_has_to_show_it() -> None:
    user = cast.somebody(Role.AUDITOR)
    browser = cast.browser_of(user)
    assert browser.get("/admin/events/").status_code == 200
    app_of(user)
    assert browser.get("/admin/events/")["Location"] == "/admin/second-factor/confirm/?next=/admin/events/"
    answer = browser.post("/admin/second-factor/confirm/", {"code": code_of(user), "next": "/admin/events/"})
    assert answer["Location"] == "/admin/events/"
    assert browser.get("/admin/events/").status_code == 200


def test_no_secret_lies_in_clear_in_the_database() -> None:
    user = cast.somebody(Role.COMPLIANCE_OFFICER)
    browser, _ = password_given(user)
    secret = browser.get(APP).context["secret"].replace(" ", "")
    decoded = [session.get_decoded() for session in Session.objects.all()]
    assert decoded
    assert secret not in str(decoded)
    now = int(time.time()) // codes.PERIOD_SECONDS
    response = browser.post(APP, {"code": codes.code_at(secret, now)})
    spare = [code.replace("-", "") for code in response.context["codes"]]
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(data::text, ' ') FROM mfa_authenticator")
        [stored] = cursor.fetchone() or [""]
    assert "sealed" in stored
    assert secret not in stored
    assert not any(code in stored for code in spare)


def test_a_secret_that_is_moved_to_another_person_does_not_open(olivia: User) -> None:
    """Whoever may write to the database can't make their own app somebody else's."""
    mallory = cast.somebody(Role.AUDITOR, name="mallory")
    code = code_of(mallory)
    own, hers = app_of(mallory), app_of(olivia)
    Authenticator.objects.filter(pk=hers.pk).update(data=own.data)
    with pytest.raises(CryptoError):
        sealing.secret_of(app_of(olivia))
    browser, _ = password_given(olivia)
    assert "can&#x27;t be read" in browser.post(CODE, {"code": code}).content.decode()


def test_after_a_rotation_of_the_root_keys_secrets_are_sealed_again(olivia: User, settings: Any) -> None:
    from tokens.crypto import root_keys

    secret, old = sealing.secret_of(app_of(olivia)), settings.ROOT_KEYS
    new = ["bmV3IHJvb3Qga2V5IGZvciB0ZXN0aW5nIG9ubHkhISE="]
    settings.ROOT_KEYS = [*new, *old]
    root_keys.provider.cache_clear()
    try:
        assert sealing.reseal() == 1
        settings.ROOT_KEYS = new
        root_keys.provider.cache_clear()
        assert sealing.secret_of(app_of(olivia)) == secret
    finally:
        settings.ROOT_KEYS = old
        root_keys.provider.cache_clear()


def test_allauth_may_store_no_secret_of_its_own(olivia: User) -> None:
    from allauth.mfa.totp.internal.auth import TOTP

    with pytest.raises(NotImplementedError):
        TOTP.activate(cast.somebody(Role.AUDITOR), "JBSWY3DPEHPK3PXP")


def test_a_reset_for_a_lost_device_is_recorded(olivia: User) -> None:
    from django.core.management import call_command

    recovery_codes_of(olivia)
    call_command("reset_second_factor", "olivia")
    assert not Authenticator.objects.filter(user=olivia).exists()
    [event] = acts(Action.FACTOR_RESET)
    assert (event.target_name, event.details) == ("olivia", {"removed": 1})


def test_only_the_first_app_counts(olivia: User) -> None:
    from portal.second_factor.errors import AlreadyThere

    secret = enrolment.new_app_secret()
    now = int(time.time()) // codes.PERIOD_SECONDS
    with pytest.raises(AlreadyThere):
        enrolment.add_app(olivia, secret, codes.code_at(secret, now), actor=SYSTEM)


@pytest.mark.parametrize("role", list(Role))
def test_whoever_sees_clear_values_or_decides_for_others_needs_one(role: Role) -> None:
    browser = cast.browser_of(cast.somebody(role), shown=False)
    answer = browser.get("/admin/approvals/")
    assert (answer.status_code == 200) == (role == Role.AUDITOR)
    assert role == Role.AUDITOR or answer["Location"].startswith(APP)
