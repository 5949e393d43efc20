"""A user of Marketing Cloud signs in for a connection: state and verifier in the session, the refresh token sealed."""

import html
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from django.test import Client

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.desk import connection_sign_in
from portal.simulator import Simulator, World, running
from tests.tokens.cast import IVAN
from tokens.connections import approval
from tokens.connections.client import client_of
from tokens.connections.verbs import change_connection, create_connection
from tokens.connections.verbs import test_connection as walk_through
from tokens.connections.walk import IMPATIENT
from tokens.models import Connection, Enterprise

BACK = "/admin/connections/signed-in/"
REDIRECT_URI = f"http://testserver{BACK}"


@pytest.fixture
def simulator(acme: Enterprise, settings: Any) -> Iterator[Simulator]:
    with running(world=World(units={acme.eid: "Acme"})) as simulator:
        settings.MARKETING_CLOUD_HOSTS = simulator.hosts
        yield simulator


def a_connection(acme: Enterprise, simulator: Simulator, **package: Any) -> Connection:
    made = simulator.world.add_package(**{"kind": "web", "redirect_uris": (REDIRECT_URI,)} | package)
    return create_connection(
        acme,
        name="Web app",
        subdomain=simulator.world.subdomain,
        client_id=made.client_id,
        client_secret="" if made.kind == "public" else made.client_secret,
        grant_kind="authorization-code",
        actor=IVAN,
    )


@pytest.fixture
def connection(acme: Enterprise, simulator: Simulator) -> Connection:
    return a_connection(acme, simulator)


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def where_to(browser: Client, connection: Connection) -> str:
    """The address of Marketing Cloud that the page leads to."""
    page = text(browser.post(f"/admin/connections/{connection.pk}/sign-in/"))
    return page.split('href="http', 2)[1].join(["http", ""]).partition('"')[0]


def sent_back(browser: Client, connection: Connection) -> str:
    """The path and query with which Marketing Cloud sends the browser back."""
    with httpx2.Client(trust_env=False, timeout=30) as http:
        answer = http.get(where_to(browser, connection))
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"].removeprefix("http://testserver")


def signed_in(connection: Connection) -> bool:
    return Connection.objects.get(pk=connection.pk).signed_in_at is not None


@pytest.mark.parametrize("kind", ["web", "public"])
def test_a_user_signs_in_and_the_connection_passes_its_test(
    ines: Client, acme: Enterprise, simulator: Simulator, kind: str
) -> None:
    connection = a_connection(acme, simulator, kind=kind)
    page = f"/admin/connections/{connection.pk}/"
    assert "Nobody has signed in yet" in text(ines.get(page))
    assert "Nobody has signed in" in text(ines.post(f"{page}test/", follow=True))
    asked = parse_qs(urlsplit(where_to(ines, connection)).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert "offline" in asked["scope"][0].split()

    said = text(ines.get(sent_back(ines, connection), follow=True))
    assert "Signed in; the refresh token is sealed." in said
    assert "The test passed, from DNS to a read." in text(ines.post(f"{page}test/", follow=True))
    assert AuditEvent.objects.get(action=Action.CONNECTION_SIGNED_IN).target_id == str(connection.pk)


def test_each_fetch_renews_the_refresh_token_which_stands_nowhere_in_clear(
    ines: Client, connection: Connection, simulator: Simulator
) -> None:
    ines.get(sent_back(ines, connection))
    seen = set()
    for _ in range(3):
        (kept,) = simulator.world.refresh_tokens
        seen.add(kept)
        row = Connection.objects.get(pk=connection.pk)
        assert row.refresh_token is not None
        assert row.refresh_token.open() == kept
        assert kept.encode() not in bytes(row.refresh_token.envelope)
        assert walk_through(row, actor=IVAN).has_passed
    assert len(seen) == 3


def test_a_client_that_lives_long_goes_on_with_what_another_left(
    ines: Client, connection: Connection, simulator: Simulator
) -> None:
    """The known-bad twin keeps its own refresh token, which is void by then."""
    ines.get(sent_back(ines, connection))
    row = Connection.objects.get(pk=connection.pk)
    with client_of(row, mid=None, patience=IMPATIENT) as first:
        first.whom()
        assert walk_through(row, actor=IVAN).has_passed
        simulator.world.expire_tokens()
        assert first.whom().eid == row.enterprise.eid


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        *(
            (how, "was not begun here, or too long ago")
            for how in ("state", "no state", "session", "again", "late")
        ),
        ("declined", "Marketing Cloud let nobody in"),
        ("tssd", "another tenant"),
    ],
)
def test_who_comes_back_otherwise_than_they_left_is_refused(
    wrong: str,
    says: str,
    ines: Client,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    simulator: Simulator,
) -> None:
    back = sent_back(ines, connection)
    if wrong == "state":
        back = back.replace("state=", "state=x")
    elif wrong == "no state":
        back = back.replace("state=", "status=")
    elif wrong == "session":
        session = ines.session
        del session[connection_sign_in.BEGUN]
        session.save()
    elif wrong == "again":
        ines.get(f"{BACK}?state=another&code=x")  # whoever guesses has one try, and spoils it
    elif wrong == "late":
        monkeypatch.setattr(connection_sign_in, "WAITS_SECONDS", -1)
    elif wrong == "declined":
        back = back.replace("code=", "error=access_denied&codes=")
    elif wrong == "tssd":
        back = back.replace(f"tssd={simulator.world.subdomain}", "tssd=mc" + "z" * 26)
    assert says in text(ines.get(back, follow=True))
    assert not signed_in(connection)


def test_a_package_without_the_scope_offline_is_named(
    ines: Client, acme: Enterprise, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = a_connection(acme, simulator)
    back = sent_back(ines, connection)
    monkeypatch.setattr("portal.simulator.auth.REFRESH_SECONDS", 0)
    for code in simulator.world.codes.values():
        object.__setattr__(code, "scopes", code.scopes - {"offline"})
    assert "add the scope offline" in text(ines.get(back, follow=True))
    assert not signed_in(connection)


def test_another_package_forgets_who_signed_in(ines: Client, connection: Connection) -> None:
    ines.get(sent_back(ines, connection))
    facts = {"name": "Web app", "subdomain": connection.subdomain, "grant_kind": "authorization-code"}
    row = change_connection(connection, client_id="another", subject="", actor=IVAN, **facts)
    assert (row.refresh_token, row.signed_in_at) == (None, None)
    assert not approval.has_passed(row)


def test_nobody_signs_in_for_a_connection_with_a_secret(
    ines: Client, acme: Enterprise, simulator: Simulator
) -> None:
    facts = {"subdomain": simulator.world.subdomain, "client_id": "c", "client_secret": "s"}
    made = create_connection(acme, name="Server", actor=IVAN, **facts)
    said = text(ines.post(f"/admin/connections/{made.pk}/sign-in/", follow=True))
    assert "nobody signs in for it" in said
