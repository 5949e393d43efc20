"""API clients at the desk: the secret is shown once, rotation leaves no gap, each act is recorded."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from audit.models import ApprovalRequest, AuditEvent
from audit.vocabulary import Action
from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tokens.models import ApiClient, ClientSecret, Enterprise, Mapping

NEW = "/admin/clients/new/"


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def sent(acme: Enterprise, **changes: Any) -> dict[str, Any]:
    facts = {
        "enterprise": acme.pk,
        "name": "Journeys",
        "auth": "basic",
        "scopes": ["tokens.resolve", "tokens.get"],
        "networks": "127.0.0.0/8",
    }
    return facts | changes


def secret_on(page: str) -> str:
    [secret] = re.findall(r'id="client-secret"[^>]*>([^<]+)<', page)
    return str(secret)


def acts() -> list[str]:
    found = AuditEvent.objects.filter(action__startswith="client.").order_by("pk")
    return list(found.values_list("action", flat=True))


def test_a_client_that_was_made_calls_the_api_with_the_secret_that_was_shown(
    ines: Client, acme: Enterprise, ana: Mapping
) -> None:
    secret = secret_on(text(ines.post(NEW, sent(acme))))
    made = ApiClient.objects.get(name="Journeys")
    caller = api_cast.MarketingCloud(made, secret)
    assert caller.resolve(api_cast.ask(ana.token)).status_code == 200


def test_an_id_that_no_client_can_have_leads_nowhere(ines: Client) -> None:
    assert ines.get("/admin/clients/%00/").status_code == 404


def test_the_secret_is_shown_once_and_kept_nowhere(ines: Client, acme: Enterprise) -> None:
    answer = ines.post(NEW, sent(acme))
    secret = secret_on(text(answer))
    assert "no-store" in answer["Cache-Control"]
    made = ApiClient.objects.get(name="Journeys")
    address = f"/admin/clients/{made.client_id}/"
    assert f'data-replace-url="{address}"' in text(answer)
    assert secret not in text(ines.get(address)) + text(ines.get("/admin/clients/")) + text(
        ines.get("/admin/events/")
    )
    assert secret not in str(ines.session.items())
    assert secret.encode() not in bytes(ClientSecret.objects.get().digest)


def test_a_form_that_is_sent_twice_makes_one_client(ines: Client, acme: Enterprise) -> None:
    ines.post(NEW, sent(acme))
    assert "its secret can't be shown again" in text(ines.post(NEW, sent(acme)))
    assert ApiClient.objects.filter(name="Journeys").count() == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"networks": "everywhere"}, "write a CIDR such as"),
        ({"networks": ""}, "give at least one"),
        ({"networks": "0.0.0.0/0"}, "give at least one"),
        ({"networks": "203.0.113.9/24"}, "did you mean 203.0.113.0/24?"),
        ({"scopes": []}, "required"),
        ({"name": ""}, "required"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_made(
    ines: Client, acme: Enterprise, wrong: dict[str, Any], said: str
) -> None:
    assert said in text(ines.post(NEW, sent(acme, **wrong)))
    assert not ApiClient.objects.exists()


def test_a_client_cannot_be_made_in_an_enterprise_of_others(ines: Client, rival: Enterprise) -> None:
    ines.post(NEW, sent(rival))
    assert not ApiClient.objects.exists()


def test_a_secret_is_rotated_without_a_gap(
    ines: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    base = f"/admin/clients/{caller.client.client_id}/"
    newer = api_cast.MarketingCloud(caller.client, secret_on(text(ines.post(base + "secrets/"))))
    assert [one.resolve(api_cast.ask(ana.token)).status_code for one in (caller, newer)] == [200, 200]
    assert "two live secrets already" in text(ines.post(base + "secrets/", follow=True))
    old = caller.client.secrets.order_by("created_at").first()
    assert old is not None
    ines.post(f"{base}secrets/{old.pk}/retire/")
    assert [one.resolve(api_cast.ask(ana.token)).status_code for one in (caller, newer)] == [401, 200]
    assert acts() == [Action.CLIENT_CREATED, Action.CLIENT_SECRET_ADDED, Action.CLIENT_SECRET_RETIRED]


def test_the_last_secret_stays(ines: Client, caller: api_cast.MarketingCloud) -> None:
    only = caller.client.secrets.get()
    address = f"/admin/clients/{caller.client.client_id}/secrets/{only.pk}/retire/"
    assert "last live secret" in text(ines.post(address, follow=True))
    assert "Retire" not in text(ines.get(f"/admin/clients/{caller.client.client_id}/")).replace("retired", "")


def test_a_secret_of_another_client_is_not_retired_by_this_address(
    ines: Client, acme: Enterprise, caller: api_cast.MarketingCloud
) -> None:
    other = api_cast.a_caller(acme, name="Other")
    secret = other.client.secrets.get()
    address = f"/admin/clients/{caller.client.client_id}/secrets/{secret.pk}/retire/"
    assert ines.post(address).status_code == 404


def test_a_client_is_switched_off_and_on(ines: Client, ana: Mapping, caller: api_cast.MarketingCloud) -> None:
    base = f"/admin/clients/{caller.client.client_id}/"
    assert "each call is refused from now on" in text(ines.post(base + "off/", follow=True))
    assert caller.resolve(api_cast.ask(ana.token)).status_code == 401
    ines.post(base + "on/")
    assert caller.resolve(api_cast.ask(ana.token)).status_code == 200


def test_networks_are_added_and_removed_with_a_warning_when_none_is_left(db: None) -> None:
    """In a sandbox; elsewhere the last one takes a second person (test_approvals.py)."""
    sandbox = an_enterprise("Trial", sandbox=True)
    ines, caller = cast.at_desk(Role.INTEGRATION_ADMIN, sandbox), api_cast.a_caller(sandbox)
    base = f"/admin/clients/{caller.client.client_id}/"
    ines.post(base + "networks/", {"cidr": "203.0.113.0/24", "label": "stack 7"})
    rule = caller.client.networks.get()
    assert (rule.cidr, rule.label) == ("203.0.113.0/24", "stack 7")
    assert "did you mean" in text(ines.post(base + "networks/", {"cidr": "203.0.113.9/24"}, follow=True))
    page = text(ines.post(f"{base}networks/{rule.pk}/remove/", follow=True))
    assert "may call from anywhere" in page


def test_scopes_and_name_are_changed(ines: Client, caller: api_cast.MarketingCloud) -> None:
    address = f"/admin/clients/{caller.client.client_id}/change/"
    ines.post(address, {"name": "Inbound", "scopes": ["tokens.get"], "mint_budget_per_day": "50"})
    caller.client.refresh_from_db()
    client = caller.client
    assert (client.name, client.scopes, client.mint_budget_per_day) == ("Inbound", ["tokens.get"], 50)
    assert AuditEvent.objects.get(action=Action.CLIENT_CHANGED).details["name"] == [
        "Marketing Cloud",
        "Inbound",
    ]


def test_opt_outs_do_not_block_a_client_once_an_officer_agrees_and_do_again_at_a_click(
    ines: Client, olivia: Client, caller: api_cast.MarketingCloud
) -> None:
    client, page = caller.client, f"/admin/clients/{caller.client.client_id}/opt-outs/"
    ines.post(page, {"exempt": "on", "reason": "It sends receipts only."})
    client.refresh_from_db()
    assert not client.transactional, "nothing happens before a second person agrees"

    asked = ApprovalRequest.objects.get()
    olivia.post(f"/admin/approvals/{asked.pk}/decide/", {"decision": "approve"})
    client.refresh_from_db()
    assert client.transactional

    assert "block it at Resolve again" in text(ines.post(page, {"block": "on"}, follow=True))
    client.refresh_from_db()
    assert not client.transactional


def test_no_form_exempts_a_client(ines: Client, acme: Enterprise) -> None:
    ines.post(NEW, sent(acme, transactional="on"))
    client = ApiClient.objects.get()
    ines.post(
        f"/admin/clients/{client.client_id}/change/", sent(acme, transactional="on", mint_budget_per_day=5)
    )
    client.refresh_from_db()
    assert (client.transactional, client.mint_budget_per_day) == (False, 5)


def test_the_last_call_and_its_address_come_from_the_log(
    ines: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    address = f"/admin/clients/{caller.client.client_id}/"
    assert "not among the newest" in text(ines.get(address))
    request_id = caller.resolve(api_cast.ask(ana.token))["X-Request-ID"]
    page = text(ines.get(address))
    assert f"/admin/log/{request_id}/" in page
    assert "From 127.0.0.1" in page
    assert f"/admin/log/{request_id}/" in text(ines.get("/admin/clients/"))


@pytest.mark.parametrize("auth", ["basic", "oauth"])
def test_the_quick_start_names_this_client_and_no_secret(ines: Client, acme: Enterprise, auth: str) -> None:
    caller = api_cast.a_caller(acme, auth=auth)
    page = text(ines.get(f"/admin/clients/{caller.client.client_id}/"))
    assert f'-u "{caller.client.client_id}:$SECRET"' in page
    assert ("oauth2/token" in page) == (auth == "oauth")
    assert caller.secret not in page
    assert f"/admin/log/?client={caller.client.client_id}" in page


def test_who_only_looks_is_offered_no_act(aaron: Client, caller: api_cast.MarketingCloud) -> None:
    page = text(aaron.get(f"/admin/clients/{caller.client.client_id}/"))
    assert set(re.findall(r'method="post" action="([^"]+)"', page)) == {"/admin/search/", "/admin/logout/"}
    assert "New API client" not in text(aaron.get("/admin/clients/"))


def test_an_empty_list_says_what_comes_next(ines: Client, acme: Enterprise) -> None:
    page = text(ines.get("/admin/clients/"))
    assert "Nothing here yet" in page
    assert NEW in page


def test_a_client_of_another_enterprise_is_not_there(
    caller: api_cast.MarketingCloud, rival: Enterprise
) -> None:
    browser = cast.at_desk(Role.INTEGRATION_ADMIN, rival)
    assert browser.post(f"/admin/clients/{caller.client.client_id}/off/").status_code == 404
    assert caller.client.client_id not in text(browser.get("/admin/clients/"))
