"""Enterprises and business units at the desk."""

import html
from typing import Any

from django.test import Client

from audit.models import ApprovalRequest, AuditEvent
from audit.vocabulary import Action
from portal.roles import Role
from tests.portal.desk import cast
from tokens.models import BusinessUnit, Enterprise

NEW = "/admin/enterprises/new/"
FACTS = {
    "name": "Bikes",
    "eid": "7001",
    "token_domain": "tok.bikes.example",
    "sandbox": "on",
    "default_region": "DE",
}
CHANGE = {"name": "Acme Ltd", "default_region": "AT", "mobile_token_digits": '{"43": 14}'}


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def test_who_manages_every_enterprise_makes_one_with_keys(db: None) -> None:
    browser = cast.at_desk(Role.INTEGRATION_ADMIN)
    page = text(browser.post(NEW, FACTS, follow=True))
    assert "was made, with keys of its own" in page
    made = Enterprise.objects.get()
    assert (made.eid, made.sandbox, made.token_domain) == ("7001", True, "tok.bikes.example")


def test_who_manages_one_enterprise_makes_no_other(ines: Client, acme: Enterprise) -> None:
    assert ines.post(NEW, FACTS).status_code == 403
    assert NEW not in text(ines.get("/admin/enterprises/"))


def test_an_eid_or_domain_that_is_taken_is_said_to_be(db: None) -> None:
    browser = cast.at_desk(Role.INTEGRATION_ADMIN)
    browser.post(NEW, FACTS)
    assert "already exists" in text(browser.post(NEW, FACTS))
    assert Enterprise.objects.count() == 1


def test_settings_are_changed_and_what_was_before_is_kept(ines: Client, acme: Enterprise) -> None:
    ines.post(f"/admin/enterprises/{acme.pk}/change/", CHANGE)
    acme.refresh_from_db()
    assert (acme.name, acme.mobile_token_digits) == ("Acme Ltd", {"43": 14})
    assert AuditEvent.objects.get(action=Action.ENTERPRISE_CHANGED).details["name"] == ["Acme", "Acme Ltd"]


def test_opt_outs_go_through_once_an_officer_agrees_and_block_again_at_a_click(
    ines: Client, olivia: Client, acme: Enterprise
) -> None:
    page = f"/admin/enterprises/{acme.pk}/opt-outs/"
    assert "would be resolved again" in text(ines.post(page, {"let-through": "on"}))
    ines.post(page, {"let-through": "on", "reason": "Marketing Cloud blocks them by itself."})
    acme.refresh_from_db()
    assert acme.optout_blocks_resolve, "nothing happens before a second person agrees"

    asked = ApprovalRequest.objects.get()
    olivia.post(f"/admin/approvals/{asked.pk}/decide/", {"decision": "approve"})
    acme.refresh_from_db()
    assert not acme.optout_blocks_resolve

    ines.post(page, {"block": "on"})
    acme.refresh_from_db()
    assert acme.optout_blocks_resolve
    changes = AuditEvent.objects.filter(action=Action.ENTERPRISE_CHANGED).order_by("id")
    assert [event.details["optout_blocks_resolve"] for event in changes] == [[True, False], [False, True]]


def test_the_form_of_settings_lets_no_opt_out_through(ines: Client, acme: Enterprise) -> None:
    ines.post(f"/admin/enterprises/{acme.pk}/change/", CHANGE | {"optout_blocks_resolve": ""})
    acme.refresh_from_db()
    assert acme.optout_blocks_resolve


def test_a_setting_that_makes_no_sense_is_refused(ines: Client, acme: Enterprise) -> None:
    page = text(
        ines.post(f"/admin/enterprises/{acme.pk}/change/", CHANGE | {"mobile_token_digits": '{"43": 99}'})
    )
    assert "mobile_token_digits" in page
    acme.refresh_from_db()
    assert acme.name == "Acme"


def test_business_units_form_a_tree(ines: Client, acme: Enterprise) -> None:
    base = f"/admin/enterprises/{acme.pk}/units/"
    ines.post(base + "new/", {"name": "Parent", "mid": "1"})
    parent = BusinessUnit.objects.get()
    ines.post(base + "new/", {"name": "Shop", "mid": "2", "parent": parent.pk})
    shop = BusinessUnit.objects.get(mid="2")
    assert shop.parent == parent
    assert "Something of that name is there already" in text(
        ines.post(base + "new/", {"name": "Again", "mid": "2"})
    )
    ines.post(f"{base}{shop.pk}/", {"name": "Shop online", "parent": parent.pk})
    shop.refresh_from_db()
    assert shop.name == "Shop online"
    circle = text(ines.post(f"{base}{parent.pk}/", {"name": "Parent", "parent": shop.pk}))
    assert "can't stand below itself" in circle
    page = text(ines.get(f"/admin/enterprises/{acme.pk}/"))
    assert "Shop online" in page


def test_a_unit_of_another_enterprise_is_not_there(ines: Client, acme: Enterprise, rival: Enterprise) -> None:
    other = BusinessUnit.objects.create(enterprise=rival, mid="9", name="Theirs")
    assert ines.get(f"/admin/enterprises/{acme.pk}/units/{other.pk}/").status_code == 404
    page = text(ines.get(f"/admin/enterprises/{acme.pk}/units/new/"))
    assert "Theirs" not in page


def test_the_list_shows_ones_own_enterprises(ines: Client, acme: Enterprise, rival: Enterprise) -> None:
    page = text(ines.get("/admin/enterprises/"))
    assert "Acme" in page
    assert "Rival" not in page


def test_who_only_looks_is_offered_no_act(aaron: Client, acme: Enterprise) -> None:
    page = text(aaron.get(f"/admin/enterprises/{acme.pk}/"))
    assert "/change/" not in page
    assert "/units/" not in page
