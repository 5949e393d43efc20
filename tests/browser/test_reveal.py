"""Revealing in a real browser: with a second factor, for half a minute, and gone when the window is left."""

import re
from typing import Any

import pytest
from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.roles import Role
from tests.browser.conftest import Visitor
from tests.portal.desk import cast
from tests.portal.factor import app_of, code_of
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tokens.models import Mapping

pytestmark = pytest.mark.slow

CLEAR, MASKED = "ana@mail.example", "a•••@m•••.example"


@pytest.fixture
def ana(visitor: Visitor) -> Mapping:
    """Ana is known to Acme, whose officer is at the desk."""
    acme = an_enterprise("Acme")
    app_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme))
    mapping = Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.ANA))
    visitor.sign_in("olivia", cast.PASSWORD)
    visitor.open(f"/admin/people/{mapping.pk}/")
    return mapping


def reveal(visitor: Visitor) -> Any:
    page = visitor.page
    page.get_by_role("link", name="Reveal", exact=True).click()
    page.get_by_label("Reason").select_option("complaint")
    page.get_by_label("Case number").fill("CS-2026-0815")
    visitor.press("Reveal")
    return page


def test_a_value_is_shown_and_gone_when_the_window_is_left(visitor: Visitor, ana: Mapping) -> None:
    page = reveal(visitor)
    assert page.inner_text("#revealed") == CLEAR
    assert CLEAR not in page.url
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    assert page.inner_text("#revealed") == MASKED
    assert CLEAR not in page.content()
    assert "Hidden again" in page.inner_text("main")
    page.reload()
    assert page.url.endswith(f"/admin/people/{ana.pk}/"), (
        "reloading shows the masked page and sends nothing again"
    )
    page.get_by_role("link", name="Who saw them").click()
    assert "revealed a clear value" in page.inner_text("main")
    assert AuditEvent.objects.filter(action=Action.REVEALED).count() == 1


def test_after_half_a_minute_it_is_masked_again(visitor: Visitor, ana: Mapping) -> None:
    # The clock of the page stands still from here on, however slow the machine is.
    visitor.page.clock.install(time=1_800_000_000)
    visitor.page.clock.pause_at(1_800_003_600)
    page = reveal(visitor)
    assert page.inner_text("#revealed") == CLEAR
    page.clock.run_for(29_000)
    assert page.inner_text("#revealed") == CLEAR
    page.clock.run_for(1_500)
    assert page.inner_text("#revealed") == MASKED


def test_a_stale_factor_is_asked_for_and_the_form_is_not_lost(visitor: Visitor, ana: Mapping) -> None:
    page = visitor.page
    page.get_by_role("link", name="Reveal", exact=True).click()
    page.get_by_label("Reason").select_option("complaint")
    page.get_by_label("Case number").fill("CS-2026-0815")
    forget_when_the_factor_was_shown(visitor)
    visitor.press("Reveal")
    assert page.inner_text("h1") == "Is it you?"
    user = AuditEvent.objects.filter(action=Action.SIGNED_IN).latest("pk").target_id.removeprefix("user:")
    page.get_by_label("Code").fill(code_of(cast.User.objects.get(pk=user)))
    visitor.press("Confirm")
    assert page.inner_text("#revealed") == CLEAR
    [event] = AuditEvent.objects.filter(action=Action.REVEALED)
    assert event.details["case"] == "CS-2026-0815"


def forget_when_the_factor_was_shown(visitor: Visitor) -> None:
    """As if the sign-in had been six minutes ago."""
    [cookie] = [one for one in visitor.page.context.cookies() if one["name"] == "sessionid"]
    session = SessionStore(cookie["value"])
    for record in session[AUTHENTICATION_METHODS_SESSION_KEY]:
        record["at"] -= 360
    session.modified = True
    session.save()


def test_a_hole_of_a_log_entry_is_revealed_by_keyboard(visitor: Visitor, ana: Mapping) -> None:
    caller = api_cast.a_caller(ana.enterprise)
    entry = api_cast.entry_of(caller.resolve(api_cast.ask(ana.token)))
    page = visitor.page
    visitor.open(f"/admin/log/{entry.pk}/")
    hole = page.get_by_role("link", name=re.compile(re.escape(MASKED)))
    hole.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.get_by_label("Reason").select_option("delivery")
    page.get_by_label("Case number").fill("CS-7")
    visitor.press("Reveal")
    assert page.inner_text("#revealed") == CLEAR


def test_several_values_are_shown_together_and_gone_when_the_window_is_left(visitor: Visitor) -> None:
    trial = an_enterprise("Trial", sandbox=True)  # where nobody else has to approve
    app_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=trial))
    mapping = Mapping.objects.get(token=api_cast.a_person(trial, *api_cast.ANA))
    visitor.sign_in("olivia", cast.PASSWORD)
    visitor.open(f"/admin/people/{mapping.pk}/")
    page = visitor.page
    page.get_by_role("link", name="Reveal several").click()
    page.get_by_label("Reason", exact=True).select_option("incident")
    page.get_by_label("Case number").fill("CS-2026-0815")
    visitor.press("Ask for approval")
    assert page.inner_text("h1") == "Open 3 values of 1 person"
    visitor.press("Open all of them now")
    assert page.locator("output").all_inner_texts() == [CLEAR, "Ana", "São Paulo"]
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    assert page.locator("output").all_inner_texts() == [MASKED, "•••", "•••"]
    page.reload()
    assert page.inner_text("h1") == "Who saw whom"
    assert CLEAR not in page.content()
