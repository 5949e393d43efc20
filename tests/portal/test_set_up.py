"""Set-up links: the person alone chooses password and second factor; once, in time, and not who made the link."""

import datetime
import html
import re
import time
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from audit.models import AuditEvent
from audit.trail import SYSTEM
from audit.vocabulary import Action
from portal import people, set_up
from portal.models import SetUpLink, User
from portal.roles import Role
from portal.second_factor import codes
from portal.set_up import HasBeenSetUp
from tests.portal.desk import cast
from tests.portal.factor import app_of, code_of

pytestmark = pytest.mark.django_db

BEGIN, FINISH = "/admin/set-up/", "/admin/set-up/finish/"
OWN = "a sentence of nina's"


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


@pytest.fixture
def ursula() -> User:
    return cast.somebody(Role.ADMINISTRATOR)


def link_of(page: str) -> str:
    [link] = re.findall(r'id="set-up-link"[^>]*>([^<]+)<', page)
    return str(link)


def nina_made_by(browser: Client) -> tuple[User, str]:
    """The new user, and the code of her link."""
    link = link_of(text(browser.post("/admin/users/new/", {"username": "nina"})))
    assert link.startswith("http://testserver/admin/set-up/#")
    return User.objects.get(username="nina"), link.partition("#")[2]


def go_through(code: str, *, password: str = OWN, app_code: str = "") -> str:
    """Somebody with a fresh browser and the code; the last page."""
    browser = Client()
    answer = browser.post(BEGIN, {"code": code})
    if answer.status_code != 302:
        return text(answer)
    page = text(browser.get(answer["Location"]))
    [secret] = re.findall(r'id="key"[^>]*>([^<]+)<', page)
    shown = app_code or codes.code_at(secret.replace(" ", ""), int(time.time()) // codes.PERIOD_SECONDS)
    return text(browser.post(FINISH, {"new_password1": password, "new_password2": password, "code": shown}))


def acts(action: Action) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action).order_by("pk"))


def test_a_new_person_chooses_password_and_factor_and_nobody_else_knew_one(ursula: User) -> None:
    nina, code = nina_made_by(cast.browser_of(ursula))
    people.grant(nina, Role.COMPLIANCE_OFFICER, enterprise=None, actor=SYSTEM)
    assert not nina.has_usable_password()
    done = go_through(code)
    assert "Store these recovery codes" in done
    nina.refresh_from_db()
    assert nina.check_password(OWN)
    assert set(Authenticator.objects.filter(user=nina).values_list("type", flat=True)) == {
        "totp",
        "recovery_codes",
    }
    answer = Client().post("/admin/login/", {"username": "nina", "password": OWN})
    assert answer["Location"].startswith("/admin/login/code/"), "the factor that she set up is asked for"
    [made], [used] = acts(Action.SET_UP_LINK_MADE), acts(Action.SET_UP)
    assert (made.actor_name, made.target_name) == ("ursula", "nina")
    assert (used.actor_name, used.details, used.remote_address) == (
        "nina",
        {"link_by": "ursula"},
        "127.0.0.1",
    )
    assert "Set up their sign-in" in text(cast.browser_of(ursula).get(f"/admin/users/{nina.pk}/"))


def test_only_a_hash_of_the_code_is_kept(ursula: User) -> None:
    _, code = nina_made_by(cast.browser_of(ursula))
    [link] = SetUpLink.objects.values()
    assert code not in str(link) + str(list(AuditEvent.objects.values()))
    assert bytes(link["digest"]) == set_up._digest(code)


def test_a_link_works_once(ursula: User) -> None:
    nina, code = nina_made_by(cast.browser_of(ursula))
    go_through(code)
    assert "is not valid" in go_through(code, password="another sentence of somebody")
    [tried] = acts(Action.SET_UP_REFUSED)
    assert (tried.actor_name, tried.target_name, tried.remote_address) == (
        "not signed in",
        "nina",
        "127.0.0.1",
    )
    nina.refresh_from_db()
    assert nina.check_password(OWN)


def test_a_link_that_were_not_spent_would_work_again(ursula: User) -> None:
    """The known-bad twin of the test above."""
    _, code = nina_made_by(cast.browser_of(ursula))
    go_through(code)
    SetUpLink.objects.update(used_at=None)
    assert "is not valid" not in text(Client().post(BEGIN, {"code": code}, follow=True))


def test_of_two_people_who_hold_a_link_the_second_sets_nothing(ursula: User) -> None:
    _, code = nina_made_by(cast.browser_of(ursula))
    late = Client()
    late.post(BEGIN, {"code": code})
    go_through(code)
    assert "is not valid" in text(late.get(FINISH))
    assert len(acts(Action.SET_UP)) == 1


@pytest.mark.parametrize("end", ["expired", "replaced", "switched off", "never made"])
def test_a_link_that_ended_sets_nothing_up(ursula: User, end: str) -> None:
    browser = cast.browser_of(ursula)
    nina, code = nina_made_by(browser)
    later = timezone.now() + (set_up.LIFE if end == "expired" else datetime.timedelta())
    if end == "replaced":
        assert link_of(text(browser.post(f"/admin/users/{nina.pk}/link/")))
    elif end == "switched off":
        people.switch_off(nina, actor=SYSTEM)
    elif end == "never made":
        code = "x" * 43
    with time_machine.travel(later):
        assert "is not valid" in go_through(code)
    nina.refresh_from_db()
    assert not nina.has_usable_password()


def test_who_made_the_link_is_refused_and_that_is_on_record(ursula: User) -> None:
    browser = cast.browser_of(ursula)
    nina, code = nina_made_by(browser)
    assert "You made this link yourself" in text(browser.post(BEGIN, {"code": code}))
    [event] = acts(Action.SET_UP_REFUSED)
    assert (event.actor_name, event.target_name) == ("ursula", "nina")
    assert not User.objects.get(pk=nina.pk).has_usable_password()
    assert "Store these recovery codes" in go_through(code), "and it still works for nina"


def test_who_made_the_link_does_not_get_round_it_by_signing_in_half_way(ursula: User) -> None:
    _, code = nina_made_by(cast.browser_of(ursula))
    browser = Client()
    browser.post(BEGIN, {"code": code})
    browser.force_login(ursula)
    assert "You made this link yourself" in text(browser.get(FINISH))
    assert len(acts(Action.SET_UP_REFUSED)) == 1


def test_nobody_sets_up_another_account_from_their_own_session(ursula: User) -> None:
    _, code = nina_made_by(cast.browser_of(ursula))
    browser = cast.browser_of(cast.somebody(Role.AUDITOR))
    assert "Sign out first" in text(browser.post(BEGIN, {"code": code}))


@pytest.mark.parametrize(
    ("password", "app_code", "said"),
    [
        ("s3cret", "", "at least 12"),
        (OWN, "000000", "code is not right"),
    ],
)
def test_a_weak_password_or_a_wrong_code_changes_nothing(
    ursula: User, password: str, app_code: str, said: str
) -> None:
    nina, code = nina_made_by(cast.browser_of(ursula))
    page = go_through(code, password=password, app_code=app_code)
    assert said in page
    assert password not in page
    nina.refresh_from_db()
    assert not nina.has_usable_password()
    assert not Authenticator.objects.filter(user=nina).exists()
    assert "Store these recovery codes" in go_through(code)


def test_in_a_trial_the_command_line_may_be_the_app(ursula: User) -> None:
    nina, code = nina_made_by(cast.browser_of(ursula))
    shown = code_of(nina)
    assert "code is not right" in go_through(code), "the one on the page is not set up"
    assert "Store these recovery codes" in go_through(code, app_code=shown)
    assert Authenticator.objects.filter(user=nina, type="totp").count() == 1


def test_a_second_link_is_for_who_never_set_anything_up(ursula: User) -> None:
    browser = cast.browser_of(ursula)
    aaron = cast.somebody(Role.AUDITOR)
    page = text(browser.post(f"/admin/users/{aaron.pk}/link/", follow=True))
    assert "They have set up their sign-in already" in page
    with pytest.raises(HasBeenSetUp):
        set_up.make_link(aaron, actor=SYSTEM)
    assert not SetUpLink.objects.exists()


def test_after_a_reset_neither_password_nor_device_opens_and_the_link_does(capsys: Any) -> None:
    olivia = cast.somebody(Role.COMPLIANCE_OFFICER)
    app_of(olivia)
    browser = cast.browser_of(olivia)
    call_command("reset_second_factor", "olivia")
    code = capsys.readouterr().out.strip().partition("#")[2]
    assert browser.get("/admin/").status_code == 302, "sessions end"
    refused = Client().post("/admin/login/", {"username": "olivia", "password": cast.PASSWORD})
    assert "do not belong together" in text(refused)
    assert "Store these recovery codes" in go_through(code)
    assert User.objects.get(pk=olivia.pk).check_password(OWN)
