"""Setting up a second factor and signing in with it: an app by its code, a passkey by a virtual authenticator."""

import re
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator

from audit.models import AuditEvent
from audit.trail import SYSTEM
from audit.vocabulary import Action
from portal import people, set_up
from portal.roles import Role
from portal.second_factor import codes
from tests.browser.conftest import Visitor
from tests.portal.desk import cast
from tests.portal.factor import code_of

pytestmark = pytest.mark.slow


def give_password(visitor: Visitor, name: str) -> Any:
    page = visitor.page
    visitor.open("/admin/login/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(cast.PASSWORD)
    visitor.press("Sign in")
    return page


def test_an_officer_sets_up_an_app_stores_the_codes_and_signs_in_again(visitor: Visitor) -> None:
    user = cast.somebody(Role.COMPLIANCE_OFFICER)
    page = give_password(visitor, "olivia")
    assert page.inner_text("h1") == "Set up your second factor"
    assert page.get_by_role("img", name="QR code of your key").bounding_box()["width"] > 150
    key = page.inner_text("#key").replace(" ", "")
    page.get_by_label("Code that the app shows").fill(codes.code_at(key, int(time.time()) // 30))
    visitor.press("Finish")
    assert page.inner_text("h1") == "Store these recovery codes"
    spare = re.findall(r"[a-z0-9]{5}-[a-z0-9]{5}", page.inner_text("#recovery-codes"))
    assert len(spare) == 10
    onward = page.get_by_role("link", name="Go on")
    onward.click()
    assert page.inner_text("h1") == "Store these recovery codes", "it must be ticked first"
    page.get_by_label("I stored them").check()
    with page.expect_navigation():
        onward.click()
    assert "Good to see you, olivia" in page.inner_text("h1")
    page.get_by_text("olivia", exact=True).click()
    visitor.press("Sign out")
    give_password(visitor, "olivia")
    assert page.inner_text("h1") == "Second factor"
    page.get_by_label("Code").fill("000000")
    visitor.press("Sign in")
    assert "This code is not right" in page.inner_text("[role=alert]")
    page.get_by_label("Code").fill(code_of(user))
    visitor.press("Sign in")
    assert "Good to see you, olivia" in page.inner_text("h1")


def test_a_new_person_follows_a_link_and_its_code_stays_in_no_address(visitor: Visitor) -> None:
    nina = people.create_user("nina", actor=SYSTEM)
    code = set_up.make_link(nina, actor=SYSTEM)
    asked: list[str] = []
    page = visitor.page
    page.on("request", lambda request: asked.append(request.url))
    visitor.open(f"/admin/set-up/#{code}")
    assert page.get_by_label("Code of the link").input_value() == code
    assert page.url.endswith("/admin/set-up/")
    visitor.press("Go on")
    page.get_by_label("New password", exact=True).fill("a sentence of nina's")
    page.get_by_label("The same again").fill("a sentence of nina's")
    key = page.inner_text("#key").replace(" ", "")
    page.get_by_label("Code that the app shows").fill(codes.code_at(key, int(time.time()) // 30))
    visitor.press("Finish")
    page.get_by_label("I stored them").check()
    with page.expect_navigation():
        page.get_by_role("link", name="Go on").click()
    assert page.inner_text("h1") == "Sign in"
    assert not [address for address in asked if code in address]
    page.go_back()
    assert code not in page.content()
    assert Authenticator.objects.filter(user=nina, type="totp").exists()


def test_a_passkey_is_made_and_signs_in(visitor: Visitor) -> None:
    visitor.base = visitor.base.replace("127.0.0.1", "localhost")  # passkeys belong to names
    user = cast.somebody(Role.AUDITOR)
    session = visitor.page.context.new_cdp_session(visitor.page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasUserVerification": True,
        "isUserVerified": True,
    }
    session.send(
        "WebAuthn.addVirtualAuthenticator", {"options": options | {"automaticPresenceSimulation": True}}
    )
    page = give_password(visitor, "aaron")
    visitor.open("/admin/second-factor/")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("Aaron's laptop")
    visitor.press("Make a passkey")
    page.get_by_label("I stored them").check()
    with page.expect_navigation():
        page.get_by_role("link", name="Go on").click()
    assert "Aaron's laptop" in page.inner_text("main")
    page.get_by_text("aaron", exact=True).click()
    visitor.press("Sign out")
    give_password(visitor, "aaron")
    assert page.inner_text("h1") == "Second factor"
    visitor.press("Use a passkey")
    assert "Good to see you, aaron" in page.inner_text("h1")
    [signed_in] = AuditEvent.objects.filter(action=Action.SIGNED_IN, details__by__contains="webauthn")
    assert signed_in.target_id == f"user:{user.pk}"
    assert Authenticator.objects.filter(user=user, type="webauthn").count() == 1
