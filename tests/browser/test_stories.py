"""What people come for, in a real browser against the real web server, API and worker."""

import base64
import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal import second_factor
from portal.access import grants
from portal.roles import Role
from tests.browser.conftest import Visitor
from tests.conftest import OwnDatabase
from tests.portal.desk import cast
from tests.portal.factor import app_of
from tests.tokens.api import cast as api_cast
from tests.tokens.bulk.crew import Crew
from tests.tokens.cast import an_enterprise
from tokens.models import BulkJob, Enterprise

pytestmark = pytest.mark.slow


@pytest.fixture
def acme(visitor: Visitor) -> Enterprise:
    """A sandbox: what takes a second person elsewhere is done at once (test_approval_stories.py has the others)."""
    return an_enterprise("Acme", sandbox=True)


def at_desk(visitor: Visitor, role: Role, acme: Enterprise) -> Any:
    """The page of somebody with `role` who has signed in."""
    user = cast.somebody(role, enterprise=acme)
    if second_factor.is_required(grants(user)):
        app_of(user)
    visitor.sign_in(cast.NAMES[role], cast.PASSWORD)
    return visitor.page


def call(base: str, path: str, client_id: str, secret: str, body: Any) -> tuple[int, Any]:
    """A call of the API as Marketing Cloud makes it, over a socket."""
    credentials = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    request = urllib.request.Request(base + path, json.dumps(body).encode(), headers)  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_person_signs_in_reads_and_signs_out(visitor: Visitor, acme: Enterprise) -> None:
    page = at_desk(visitor, Role.AUDITOR, acme)
    assert "Good to see you, aaron" in page.inner_text("h1")
    page.get_by_text("aaron", exact=True).click()
    visitor.press("Sign out")
    assert "You are signed out" in page.inner_text("h1")
    visitor.open("/admin/log/")
    assert "/admin/login/?next=/admin/log/" in page.url


def test_a_wrong_password_is_told_kindly(visitor: Visitor, acme: Enterprise) -> None:
    cast.somebody(Role.AUDITOR, enterprise=acme)
    visitor.open("/admin/login/")
    visitor.page.get_by_label("User name").fill("aaron")
    visitor.page.get_by_label("Password").fill("wrong")
    visitor.press("Sign in")
    assert "do not belong together" in visitor.page.inner_text("[role=alert]")
    assert visitor.page.get_by_label("User name").input_value() == "aaron"


def test_an_officer_finds_a_person_and_reads_what_was_said_of_them(
    visitor: Visitor, acme: Enterprise
) -> None:
    token = api_cast.a_person(acme, *api_cast.ANA)
    caller = api_cast.a_caller(acme)
    body = {"sendKey": "spring", "tokens": [{"tokenRequestId": "r-1", "token": token}]}
    status, answer = call(visitor.base, api_cast.RESOLVE, caller.client.client_id, caller.secret, body)
    assert (status, answer["resolvedTokens"][0]["tokenValue"]) == (200, "ana@mail.example")
    page = at_desk(visitor, Role.COMPLIANCE_OFFICER, acme)
    page.keyboard.press("/")
    page.keyboard.type("Ana@Mail.example")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "ana" not in page.url
    assert page.inner_text("h1") == "a•••@m•••.example"
    assert token in page.inner_text("main")
    assert "SUB-ANA" in page.inner_text("main")
    page.get_by_role("link", name="Exchanges").click()
    page.wait_for_url("**/?show=exchange")
    page.get_by_role("region", name="Lines of the timeline").get_by_role("link").first.click()
    page.wait_for_url("**/admin/log/*/")
    assert "asked for 1 token. It was resolved." in page.inner_text(".verdict")
    assert page.inner_text("article[aria-label=Answer] .hole >> nth=0") == "a•••@m•••.example"
    assert page.inner_text("main").count("proven: the rebuilt body matches its digest") == 2
    assert "ana@mail.example" not in page.content().lower()


def test_an_officer_unsubscribes_a_person_and_resolve_refuses(visitor: Visitor, acme: Enterprise) -> None:
    token = api_cast.a_person(acme, *api_cast.ANA)
    caller = api_cast.a_caller(acme)

    def resolved() -> int:
        body = {"tokens": [{"tokenRequestId": "r-1", "token": token}]}
        status, answer = call(visitor.base, api_cast.RESOLVE, caller.client.client_id, caller.secret, body)
        assert status == 200
        return len(answer["resolvedTokens"])

    page = at_desk(visitor, Role.COMPLIANCE_OFFICER, acme)
    assert resolved() == 1
    page.get_by_role("link", name="Unsubscribe a person").click()
    page.get_by_label("E-mail address, mobile number or token", exact=True).fill("ana@mail.example")
    page.get_by_role("textbox", name="Evidence").fill("Rang at noon.")
    visitor.press("Record the opt-out")
    assert "Resolve has refused this person's e-mail" in page.inner_text(".verdict")
    assert resolved() == 0
    page.get_by_role("link", name="The person's page").click()
    page.wait_for_url("**/admin/people/*/")
    assert "Opted out of the whole enterprise" in page.inner_text(".verdict")


def test_an_admin_makes_a_client_and_calls_the_api_with_it(visitor: Visitor, acme: Enterprise) -> None:
    page = at_desk(visitor, Role.INTEGRATION_ADMIN, acme)
    page.get_by_role("link", name="New API client").click()
    page.get_by_label("Name", exact=True).fill("Journeys")
    visitor.press("Make the client")
    client_id, secret = page.inner_text("#client-id"), page.inner_text("#client-secret")
    onward = page.get_by_role("link", name="Go on to the client")
    onward.click()
    assert page.inner_text("h1") == "Store this secret now", "it must be ticked first"
    page.get_by_label("I stored the secret").check()
    with page.expect_navigation():
        onward.click()
    wanted = {
        "tokenValues": [{"tokenRequestId": "t-1", "tokenValue": "zoe@mail.example", "tokenType": "Email"}]
    }
    status, answer = call(visitor.base, api_cast.GET, client_id, secret, wanted)
    assert (status, len(answer["tokens"])) == (200, 1)
    page.reload()
    assert "last called" in page.inner_text(".verdict")
    page.get_by_role("link", name="Then see it in the log").click()
    page.wait_for_url("**/admin/log/?client=*")
    assert page.get_by_role("row").count() == 2
    assert secret not in page.content()


def test_a_secret_is_gone_after_a_reload(visitor: Visitor, acme: Enterprise) -> None:
    page = at_desk(visitor, Role.INTEGRATION_ADMIN, acme)
    visitor.open("/admin/clients/new/")
    page.get_by_label("Name", exact=True).fill("Journeys")
    visitor.press("Make the client")
    secret = page.inner_text("#client-secret")
    page.reload()
    assert page.inner_text("h1") == "Journeys"
    assert secret not in page.content()
    assert AuditEvent.objects.filter(action=Action.CLIENT_CREATED).count() == 1


def test_an_engineer_starts_a_bulk_job_and_watches_it_end(
    visitor: Visitor, acme: Enterprise, own_database: OwnDatabase, tmp_path: Path
) -> None:
    people = tmp_path / "people.csv"
    lines = [f"SUB-{number},person{number}@mail.example,Town {number}" for number in range(12_000)]
    people.write_text("\n".join(["SubscriberKey,Email,City", *lines, "SUB-X,no address,Nowhere"]) + "\n")
    page = at_desk(visitor, Role.DATA_ENGINEER, acme)
    page.get_by_role("link", name="Convert a file").click()
    page.get_by_label("CSV file").set_input_files(people)
    visitor.press("Read the file")
    assert "12,001 rows were read" in page.inner_text("main")
    assert page.get_by_label("Email holds").input_value() == "email"
    visitor.press("Go on")
    visitor.press("Start")
    with Crew(own_database.environment, tmp_path):
        page.get_by_text(re.compile("Finished at")).wait_for(timeout=90_000)
    assert "12,001 of 12,001 rows" in page.inner_text("#progress")
    assert "Write a bare address" in page.inner_text("main")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the tokens").click()
    taken = Path(download.value.path()).read_text()
    assert download.value.suggested_filename == "people-tokens.csv"
    assert taken.count(f"@{acme.token_domain}") == 12_000
    assert "mail.example" not in taken
    visitor.press("Reconcile")
    assert "Everything is explained." in page.inner_text("main")
    assert BulkJob.objects.get().emptied_at is not None
