"""Four-eyes in a real browser: two people, two sessions, a phone."""

from typing import Any

import pytest

from audit.models import ApprovalRequest
from portal import people
from portal.roles import Role
from tests.browser.conftest import PHONE, Visitor
from tests.portal.desk import asking, cast
from tests.portal.factor import app_of
from tests.serving import Server
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise

pytestmark = pytest.mark.slow

FORGED = """
async ([address, decision]) => {
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    const body = new URLSearchParams({csrfmiddlewaretoken: token, decision});
    const answer = await fetch(address, {method: "POST", body});
    return [answer.status, await answer.text()];
}
"""


def test_one_person_asks_and_a_second_approves_on_a_phone(
    visitor: Visitor, chromium: Any, portal_server: Server
) -> None:
    acme = an_enterprise("Acme")
    client = api_cast.a_caller(acme, networks=["203.0.113.0/24"]).client
    cast.somebody(Role.INTEGRATION_ADMIN, enterprise=acme)
    app_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme))
    visitor.sign_in("ines", cast.PASSWORD)
    page = visitor.page
    visitor.open(f"/admin/clients/{client.client_id}/")
    visitor.press("Remove 203.0.113.0/24")
    assert "Nobody does this alone" in page.inner_text("main")
    page.get_by_label("Why").fill("The stack moves to another data centre.")
    visitor.press("Ask for approval")
    assert "You asked for it, so somebody else decides." in page.inner_text("main")
    assert page.get_by_role("button", name="Approve").count() == 0
    asked = ApprovalRequest.objects.get()
    status, answer = page.evaluate(FORGED, [f"/admin/approvals/{asked.pk}/decide/", "approve"])
    assert (status, "Nobody decides their own request" in answer) == (200, True)
    assert client.networks.exists()

    context = chromium.new_context(viewport=PHONE)
    second = Visitor(context.new_page(), portal_server.url)
    second.sign_in("olivia", cast.PASSWORD)
    second.page.get_by_role("button", name="Open the navigation").click()
    entry = second.page.get_by_role("link", name="Approvals")
    assert "1" in entry.inner_text()
    entry.click()
    second.page.get_by_role("link", name="let an API client call from any address").click()
    main = second.page.get_by_role("main")
    main.get_by_text("The stack moves to another data centre.").wait_for()
    assert "anywhere" in main.inner_text()
    second.page.get_by_label("Comment").fill("agreed by phone")
    second.press("Approve and do it")
    assert "Approved by olivia" in main.inner_text()
    assert not client.networks.exists()
    context.close()
    assert not second.complaints
    page.reload()
    assert "agreed by phone" in page.inner_text("main")


def test_whoever_s_roles_change_is_signed_out(visitor: Visitor) -> None:
    acme = an_enterprise("Acme")
    aaron = cast.somebody(Role.AUDITOR, enterprise=acme)
    visitor.sign_in("aaron", cast.PASSWORD)
    people.revoke(aaron, Role.AUDITOR, enterprise=acme, actor=asking.AT_THE_KEYBOARD)
    visitor.open("/admin/log/")
    assert "/admin/login/?next=/admin/log/" in visitor.page.url
