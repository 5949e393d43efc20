"""Signing in by OpenID Connect, against a real provider in a process of its own."""

import dataclasses
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.contrib.sessions.models import Session
from django.test import Client
from redis.exceptions import ConnectionError as RedisConnectionError

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal import providers
from portal.embedded.state import CHECKOUT
from portal.models import User
from portal.provider_settings import Provider, RoleLine
from portal.roles import Role
from tests.portal.desk import cast
from tests.portal.factor import app_of, code_of
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tokens.models import Enterprise, Mapping

pytestmark = pytest.mark.django_db
START = "/admin/login/with/oidc/"
OLIVIA = {"sub": "u-1", "claims": {"preferred_username": "olivia", "groups": ["officers", "staff"]}}
AARON = {"sub": "u-2", "claims": {"preferred_username": "aaron", "groups": ["auditors"]}}


@dataclass
class RunningProvider:
    """The process, and the person who would be signed in by it."""

    server: str

    def becomes(self, person: dict[str, Any]) -> None:
        request = urllib.request.Request(f"{self.server}/person", json.dumps(person).encode())  # noqa: S310
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - our own process

    def send_back(self, address: str) -> str:
        """Where the provider sends a browser that comes to `address`."""
        assert address.startswith(self.server)
        try:
            urllib.request.build_opener(NoRedirect).open(address, timeout=30).close()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.headers["Location"]
        raise AssertionError("it did not redirect")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@pytest.fixture(scope="module")
def process() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.oidc_provider", "portal", "provider-secret"]
    provider = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert provider.stdout is not None
    yield json.loads(provider.stdout.readline())["server"]
    provider.terminate()
    provider.wait(60)
    provider.stdout.close()


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise("Acme")


@pytest.fixture
def oidc(process: str, settings: Any, acme: Enterprise) -> RunningProvider:
    """The provider, as the settings would name it."""
    lines = (
        RoleLine("officers", Role.COMPLIANCE_OFFICER.value, acme.eid),
        RoleLine("auditors", Role.AUDITOR.value, "*"),
        RoleLine("ghosts", Role.AUDITOR.value, "no such enterprise"),
    )
    provider = Provider("oidc", "Single sign-on", process, "portal", "provider-secret", "groups", lines)
    settings.PROVIDERS = {"oidc": provider}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [provider.as_app()]}}
    return RunningProvider(process)


def arrive(
    oidc: RunningProvider, person: dict[str, Any], browser: Client | None = None
) -> tuple[Client, Any]:
    """All the way: the button, the provider, and back."""
    browser = browser or Client()
    oidc.becomes(person)
    there = browser.post(START, {"next": "/admin/events/"})["Location"]
    return browser, browser.get(oidc.send_back(there))


def failed() -> list[Any]:
    return [event.details.get("why") for event in AuditEvent.objects.filter(action=Action.SIGN_IN_FAILED)]


def roles_of(name: str) -> set[tuple[str, Any]]:
    return set(User.objects.get(username=name).memberships.values_list("role", "enterprise__eid"))


def test_the_sign_in_page_offers_it(oidc: RunningProvider) -> None:
    assert "Sign in with Single sign-on" in Client().get("/admin/login/").content.decode()


def test_without_a_provider_there_is_none() -> None:
    assert "Sign in with" not in Client().get("/admin/login/").content.decode()
    assert Client().post(START).status_code == 404
    assert Client().get(f"{START}callback/").status_code == 404


def test_a_person_arrives_with_the_roles_of_their_claims_and_no_other(
    oidc: RunningProvider, acme: Enterprise
) -> None:
    browser, response = arrive(oidc, AARON)
    assert response["Location"] == "/admin/events/"
    assert browser.get("/admin/events/").status_code == 200
    assert browser.get("/admin/bulk/new/").status_code == 403
    assert roles_of("aaron") == {("auditor", None)}
    assert not User.objects.get(username="aaron").has_usable_password()
    created, granted, signed_in = AuditEvent.objects.filter(
        action__in=[Action.USER_CREATED, Action.ROLE_GRANTED, Action.SIGNED_IN]
    ).order_by("pk")
    assert (created.actor_name, granted.actor_id) == ("Single sign-on", "provider:oidc")
    assert signed_in.details == {"by": ["oidc"]}


def test_a_claim_that_is_not_mapped_gives_nothing(oidc: RunningProvider) -> None:
    for groups in (
        ["staff"],
        ["compliance-officer"],
        ["ghosts"],
        [],
        None,
        "administrator",
        {"officers": True},
    ):
        person = {"sub": "u-9", "claims": {"preferred_username": "nina", "groups": groups}}
        browser, response = arrive(oidc, person)
        assert response["Location"] == "/admin/login/", groups
        assert "gives a role in this portal" in browser.get("/admin/login/").content.decode()
    assert not User.objects.filter(username="nina").exists()
    assert set(failed()) == {"NoRole"}


def test_roles_follow_the_claims_at_each_sign_in(oidc: RunningProvider, acme: Enterprise) -> None:
    first, _ = arrive(oidc, AARON)
    both = {"sub": "u-2", "claims": {"preferred_username": "aaron", "groups": ["auditors", "officers"]}}
    arrive(oidc, both)
    assert roles_of("aaron") == {("auditor", None), ("compliance-officer", acme.eid)}
    assert first.get("/admin/events/").status_code == 302, "sessions with other roles end"
    none = {"sub": "u-2", "claims": {"preferred_username": "aaron", "groups": []}}
    second, response = arrive(oidc, none)
    assert response["Location"] == "/admin/login/"
    assert roles_of("aaron") == set()
    assert second.get("/admin/events/").status_code == 302


def test_a_clear_value_takes_a_factor_of_the_portal_however_one_came_in(
    oidc: RunningProvider, acme: Enterprise
) -> None:
    ana = Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.ANA))
    reveal, why = f"/admin/people/{ana.pk}/reveal/", {"reason": "complaint", "case": "CS-1"}
    browser, response = arrive(oidc, OLIVIA)
    assert response["Location"] == "/admin/events/"
    assert browser.post(reveal, why)["Location"].startswith("/admin/second-factor/app/")
    assert browser.get("/admin/second-factor/app/").status_code == 200, "it can be set up without a password"
    user = User.objects.get(username="olivia")
    app_of(user)
    browser, response = arrive(oidc, OLIVIA)
    assert response["Location"] == "/admin/login/code/"
    assert browser.get("/admin/events/").status_code == 302
    assert browser.post("/admin/login/code/", {"code": code_of(user)})["Location"] == "/admin/events/"
    assert "ana@mail.example" in browser.post(reveal, why).content.decode()


def test_nobody_takes_over_a_user_of_the_same_name(oidc: RunningProvider) -> None:
    there = cast.somebody(Role.COMPLIANCE_OFFICER)  # olivia, by password
    browser, response = arrive(
        oidc, {"sub": "evil", "claims": {"preferred_username": "Olivia", "groups": ["auditors"]}}
    )
    assert response["Location"] == "/admin/login/"
    assert "There is a user of your name already" in browser.get("/admin/login/").content.decode()
    assert User.objects.get(username__iexact="olivia") == there
    assert not SocialAccount.objects.exists()


def test_who_was_switched_off_here_stays_out(oidc: RunningProvider) -> None:
    arrive(oidc, AARON)
    User.objects.filter(username="aaron").update(is_active=False)
    browser, response = arrive(oidc, AARON)
    assert response["Location"] == "/admin/login/"
    assert "switched off" in browser.get("/admin/login/").content.decode()


LIES: dict[str, dict[str, Any]] = {
    "signed by another key": {"forged": True},
    "not signed": {"alg": "none"},
    "signed with the client's secret": {"alg": "HS256"},
    "for another client": {"token": {"aud": "somebody-else"}},
    "by another issuer": {"token": {"iss": "https://elsewhere.example"}},
    "for another sign-in": {"token": {"nonce": "0" * 64}},
    "for no sign-in": {"token": {"nonce": ""}},
    "expired": {"token": {"exp": 1_000_000_000}},
    "of nobody": {"token": {"sub": ""}},
    "with the user info of another person": {"userinfo": {"sub": "u-1"}},
    "from a discovery document of another issuer": {"issuer": "https://elsewhere.example"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_proves_nothing_opens_nothing(oidc: RunningProvider, lie: str) -> None:
    oidc.becomes(AARON)
    browser = Client()
    there = browser.post(START)["Location"]
    oidc.becomes(AARON | LIES[lie])
    response = browser.get(oidc.send_back(there))
    assert response["Location"] == "/admin/login/", lie
    assert "did not work" in browser.get("/admin/login/").content.decode()
    assert not User.objects.exists()
    assert len(failed()) == 1


def test_the_same_without_a_lie_opens(oidc: RunningProvider) -> None:
    """The known-bad twin of the test above."""
    _, response = arrive(oidc, AARON)
    assert response["Location"] == "/admin/events/"


def test_a_provider_that_is_away_is_no_error_of_ours(oidc: RunningProvider, settings: Any) -> None:
    known = settings.PROVIDERS["oidc"]
    away = dataclasses.replace(known, server="http://127.0.0.1:9")
    settings.PROVIDERS = {"oidc": away}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [away.as_app()]}}
    assert Client().post(START)["Location"] == "/admin/login/"
    assert failed() == ["ConnectionError"]


def test_while_the_cache_is_away_nobody_comes_in_and_nothing_breaks(
    oidc: RunningProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows which tokens were used: without it one could be used twice."""

    def away(*_: Any, **__: Any) -> bool:
        raise RedisConnectionError("away")

    monkeypatch.setattr("allauth.socialaccount.internal.jwtkit.cache.add", away)
    _, response = arrive(oidc, AARON)
    assert response["Location"] == "/admin/login/"
    assert not User.objects.exists()


def test_who_refuses_at_the_provider_is_back_at_the_sign_in_page(oidc: RunningProvider) -> None:
    _, response = arrive(oidc, AARON | {"refuses": True})
    assert response["Location"] == "/admin/login/"


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(oidc: RunningProvider) -> None:
    oidc.becomes(AARON)
    theirs = Client()
    back = oidc.send_back(theirs.post(START)["Location"])
    victim = Client()
    assert victim.get(back)["Location"] == "/admin/login/"
    assert not User.objects.exists()


def test_strangers_at_the_callback_do_not_fill_the_trail(
    oidc: RunningProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "FAILURES_OF_AN_ADDRESS", 3)
    for _ in range(5):
        answer = Client().get(f"{START}callback/", {"error": "nothing"})
        assert answer["Location"] == "/admin/login/"
    assert len(failed()) == 3
    Client().get(f"{START}callback/", {"error": "nothing"}, REMOTE_ADDR="192.0.2.9")
    assert len(failed()) == 4


def test_nothing_is_connected_to_a_person_who_is_signed_in(oidc: RunningProvider) -> None:
    user = cast.somebody(Role.AUDITOR, name="by-password")
    browser = cast.browser_of(user)
    oidc.becomes(AARON)
    assert browser.post(START, {"process": "connect"}).status_code == 404
    assert browser.post(f"{START}?process=connect").status_code == 404
    browser.get(oidc.send_back(browser.post(START)["Location"]))
    assert not SocialAccount.objects.filter(user=user).exists()


def test_it_begins_by_a_form_and_goes_to_the_provider_only(oidc: RunningProvider) -> None:
    assert Client().get(START).status_code == 405
    assert Client(enforce_csrf_checks=True).post(START).status_code == 403
    there = Client().post(START, {"next": "https://elsewhere.example/"})["Location"]
    assert there.startswith(f"{oidc.server}/authorize?")
    assert "code_challenge=" in there
    assert "provider-secret" not in there


def test_what_the_provider_says_is_not_stored(oidc: RunningProvider) -> None:
    person = {
        "sub": "u-2",
        "claims": AARON["claims"] | {"email": "aaron@staff.example", "phone": "13175550100"},
    }
    user = arrive(oidc, person) and User.objects.get(username="aaron")
    app_of(user)
    arrive(oidc, person)  # waits for the code, with what waits in the session
    assert SocialAccount.objects.get().extra_data == {}
    assert not SocialToken.objects.exists()
    sessions = str([session.get_decoded() for session in Session.objects.all()])
    assert "13175550100" not in sessions
    assert "access_token" not in sessions


def test_claims_of_salesforce_are_found_behind_dots(oidc: RunningProvider, settings: Any) -> None:
    known = settings.PROVIDERS["oidc"]
    settings.PROVIDERS = {"oidc": dataclasses.replace(known, roles_claim="custom_attributes.portal_roles")}
    claims = {"preferred_username": "aaron@acme.example", "custom_attributes": {"portal_roles": "x;auditors"}}
    _, response = arrive(oidc, {"sub": "https://login.salesforce.com/id/00D/005", "claims": claims})
    assert response["Location"] == "/admin/events/"
