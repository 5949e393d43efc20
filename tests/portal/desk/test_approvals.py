"""Approvals at the desk: asked by one person, decided by a second, seen by who may see them."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from audit.approvals import acts
from audit.models import ApprovalRequest, AuditEvent
from audit.vocabulary import Action, ApprovedAct
from portal import role_grants
from portal.embedded.state import CHECKOUT
from portal.models import Membership, User
from portal.roles import Permission, Role
from tests.portal.desk import asking, cast
from tests.tokens.api import cast as api_cast
from tokens.bulk import plan
from tokens.bulk.columns import ColumnMap
from tokens.models import ApiClient, BulkJob, Enterprise

INBOX = "/admin/approvals/"


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def address(asked: ApprovalRequest, act: str = "") -> str:
    return f"{INBOX}{asked.pk}/{act}"


def decide(browser: Client, asked: ApprovalRequest, decision: str = "approve", comment: str = "") -> Any:
    return browser.post(address(asked, "decide/"), {"decision": decision, "comment": comment}, follow=True)


def state_of(asked: ApprovalRequest) -> str:
    return ApprovalRequest.objects.get(pk=asked.pk).state


@pytest.fixture
def client(acme: Enterprise) -> ApiClient:
    return api_cast.a_caller(acme, networks=["203.0.113.0/24"]).client


@pytest.fixture
def ines_herself(acme: Enterprise) -> User:
    return cast.somebody(Role.INTEGRATION_ADMIN, enterprise=acme)


@pytest.fixture
def asked(client: ApiClient, ines_herself: User) -> ApprovalRequest:
    """Ines wants her client open to any address."""
    return asking.a_request_to_open(client, by=ines_herself)


# -- turning an allowlist off -------------------------------------------------------------------------------
def test_the_last_network_goes_when_a_second_person_approved(
    client: ApiClient, ines_herself: User, olivia: Client
) -> None:
    browser, rule = cast.browser_of(ines_herself), client.networks.get()
    remove = f"/admin/clients/{client.client_id}/networks/{rule.pk}/remove/"
    assert "Nobody does this alone" in text(browser.post(remove))
    assert "write one" in text(browser.post(remove, {"reason": " "}))
    page = text(browser.post(remove, {"reason": "The stack moves."}, follow=True))
    assert "Nothing was done yet" in page
    assert "You asked for it, so somebody else decides." in page
    assert "decide/" not in page
    assert client.networks.exists()
    asked = ApprovalRequest.objects.get()
    inbox = text(olivia.get(INBOX))
    assert address(asked) in inbox.split("For somebody else")[0]
    detail = text(olivia.get(address(asked)))
    for said in ("The stack moves.", "203.0.113.0/24", "anywhere", "any address", "3 h 59 min left"):
        assert said in detail
    assert "Approved and done." in text(decide(olivia, asked, comment="agreed"))
    assert not client.networks.exists()
    changed = AuditEvent.objects.get(action=Action.CLIENT_CHANGED)
    assert (changed.actor_name, changed.details["networks_left"]) == ("ines", 0)
    assert "Approved by olivia" in text(browser.get(address(asked)))


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "64.0.0.0/6", "::/1", "2000::/3"])
def test_a_network_of_all_addresses_or_nearly_all_takes_a_second_person_too(
    client: ApiClient, ines_herself: User, cidr: str
) -> None:
    browser = cast.browser_of(ines_herself)
    sent = {"cidr": cidr, "label": "all", "reason": "trial"}
    browser.post(f"/admin/clients/{client.client_id}/networks/", sent)
    assert [rule.cidr for rule in client.networks.all()] == ["203.0.113.0/24"]
    assert ApprovalRequest.objects.get().parameters["add"] == cidr


def test_many_networks_that_are_each_narrow_enough_are_wide_together(
    client: ApiClient, ines_herself: User, olivia: Client
) -> None:
    browser, networks = cast.browser_of(ines_herself), f"/admin/clients/{client.client_id}/networks/"
    browser.post(networks, {"cidr": "16.0.0.0/8"})
    assert client.networks.count() == 2, "one that is as wide as a large company's is added at once"
    assert "Nobody does this alone" in text(browser.post(networks, {"cidr": "32.0.0.0/8"}))
    browser.post(networks, {"cidr": "32.0.0.0/8", "reason": "trial"})
    asked = ApprovalRequest.objects.get()
    assert "0.8% of all addresses" in asked.blast_radius
    decide(olivia, asked)
    assert client.networks.count() == 3
    assert "Nobody does this alone" in text(browser.post(networks, {"cidr": "48.0.0.0/8"})), "and wider still"
    browser.post(networks, {"cidr": "32.1.0.0/16"})
    assert client.networks.count() == 4, "what is inside of it already makes it no wider"


def test_any_other_network_comes_and_goes_as_before(client: ApiClient, ines_herself: User) -> None:
    browser, networks = cast.browser_of(ines_herself), f"/admin/clients/{client.client_id}/networks/"
    browser.post(networks, {"cidr": "198.51.100.0/24"})
    browser.post(f"{networks}{client.networks.get(cidr='203.0.113.0/24').pk}/remove/")
    assert [rule.cidr for rule in client.networks.all()] == ["198.51.100.0/24"]
    assert not ApprovalRequest.objects.exists()


def test_a_list_that_changed_meanwhile_is_not_turned_off(
    asked: ApprovalRequest, client: ApiClient, olivia: Client
) -> None:
    client.networks.create(cidr="198.51.100.0/24")
    assert "no longer what was asked" in text(decide(olivia, asked))
    assert (state_of(asked), client.networks.count()) == ("failed", 2)


# -- who decides --------------------------------------------------------------------------------------------
def test_the_requester_has_no_button_and_a_forged_post_is_refused(
    asked: ApprovalRequest, client: ApiClient, ines_herself: User
) -> None:
    browser = cast.browser_of(ines_herself)
    assert "decide/" not in text(browser.get(address(asked)))
    for decision in ("approve", "reject"):
        assert "Nobody decides their own request" in text(decide(browser, asked, decision))
    assert (state_of(asked), client.networks.count()) == ("pending", 1)


def test_every_role_at_once_does_not_help_nor_do_django_s_flags(
    asked: ApprovalRequest, ines_herself: User
) -> None:
    for role in Role:
        Membership.objects.get_or_create(user=ines_herself, role=role, enterprise=None)
    User.objects.filter(pk=ines_herself.pk).update(is_superuser=True, is_staff=True)
    decide(cast.browser_of(User.objects.get(pk=ines_herself.pk)), asked)
    assert state_of(asked) == "pending"


def test_an_auditor_sees_it_and_decides_nothing(asked: ApprovalRequest, aaron: Client) -> None:
    assert "decide/" not in text(aaron.get(address(asked)))
    assert aaron.post(address(asked, "decide/"), {"decision": "approve"}).status_code == 403


def test_who_may_not_see_clients_does_not_decide_on_them(asked: ApprovalRequest, dario: Client) -> None:
    assert "decide/" not in text(dario.get(address(asked)))
    assert "another role" in text(decide(dario, asked))
    assert state_of(asked) == "pending"


def test_who_has_the_role_elsewhere_does_not_even_see_it(asked: ApprovalRequest, rival: Enterprise) -> None:
    stranger = cast.at_desk(Role.COMPLIANCE_OFFICER, rival)
    for method, act in (("GET", ""), ("POST", "decide/"), ("POST", "withdraw/")):
        assert stranger.generic(method, address(asked, act)).status_code == 404
    assert str(asked.pk) not in text(stranger.get(INBOX)) + text(stranger.get(INBOX + "?show=all"))


def test_a_colleague_of_the_same_role_decides(asked: ApprovalRequest, acme: Enterprise) -> None:
    colleague = cast.somebody(Role.INTEGRATION_ADMIN, enterprise=acme, name="ivo")
    decide(cast.browser_of(colleague), asked, "reject", "not before May")
    assert state_of(asked) == "rejected"
    assert "not before May" in text(cast.browser_of(colleague).get(address(asked)))


def test_the_requester_withdraws(asked: ApprovalRequest, ines_herself: User, olivia: Client) -> None:
    assert "Only who asked" in text(olivia.post(address(asked, "withdraw/"), follow=True))
    browser = cast.browser_of(ines_herself)
    assert address(asked, "withdraw/") in text(browser.get(address(asked)))
    assert "Withdrawn: nothing was done." in text(browser.post(address(asked, "withdraw/"), follow=True))


def test_a_decision_that_says_neither_is_none(asked: ApprovalRequest, olivia: Client) -> None:
    assert "Choose Approve or Reject" in text(decide(olivia, asked, "perhaps"))
    assert state_of(asked) == "pending"


# -- the inbox ----------------------------------------------------------------------------------------------
def test_the_navigation_counts_what_waits_for_me(
    asked: ApprovalRequest, olivia: Client, aaron: Client, ines_herself: User
) -> None:
    counted = r'class="side-count">(\d+)<'
    assert re.findall(counted, text(olivia.get("/admin/"))) == ["1"]
    for browser in (aaron, cast.browser_of(ines_herself)):
        assert re.findall(counted, text(browser.get("/admin/"))) == []
    assert "colleagues wait for you" in text(olivia.get("/admin/"))
    decide(olivia, asked, "reject")
    assert re.findall(counted, text(olivia.get("/admin/"))) == []
    assert "nobody waits for you" in text(olivia.get("/admin/"))


def test_lists_of_mine_and_of_all(asked: ApprovalRequest, ines_herself: User, olivia: Client) -> None:
    decide(olivia, asked, "reject")
    mine = cast.browser_of(ines_herself)
    assert "Nothing waits for you" in text(mine.get(INBOX))
    for show in ("mine", "all"):
        assert str(asked.pk) in text(mine.get(f"{INBOX}?show={show}"))
    assert "You asked for nothing" in text(olivia.get(INBOX + "?show=mine"))


def test_the_trail_leads_to_the_request(asked: ApprovalRequest, olivia: Client) -> None:
    page = text(olivia.get(f"/admin/events/?target={asked.pk}"))
    assert "asked for approval" in page
    assert address(asked) in page


# -- bulk jobs ----------------------------------------------------------------------------------------------
@pytest.fixture
def job(acme: Enterprise) -> BulkJob:
    return plan.plan(
        acme,
        [b"Key,Email,Town\n1,ana@mail.example,Rome\n"],
        name="people.csv",
        columns=ColumnMap(email=("Email",), subscriber_key="Key", attributes={"City": "Town"}),
        actor=asking.AT_THE_KEYBOARD,
    )


def test_a_bulk_job_starts_when_it_is_approved(job: BulkJob, dario: Client, olivia: Client) -> None:
    start, page = f"/admin/bulk/{job.pk}/start/", f"/admin/bulk/{job.pk}/"
    assert "Nobody does this alone" in text(dario.post(start))
    dario.post(start, {"reason": "the spring list"})
    assert "Waits for approval by a second person" in text(dario.get(page))
    assert start not in text(dario.get(page))
    asked = ApprovalRequest.objects.get()
    detail = text(olivia.get(address(asked)))
    for said in ("people.csv: 1 row,", "tokens for e-mail", "attribute City: sealed, and emptied"):
        assert said in detail
    assert "mail.example" not in detail
    decide(olivia, asked)
    job.refresh_from_db()
    assert job.state == "running"
    assert AuditEvent.objects.get(action=Action.BULK_STARTED).actor_name == "dario"


def test_a_job_that_was_mapped_anew_is_not_what_was_approved(
    job: BulkJob, dario: Client, olivia: Client
) -> None:
    dario.post(f"/admin/bulk/{job.pk}/start/", {"reason": "the spring list"})
    plan.map_columns(job, ColumnMap(email=("Email", "Town")), actor=asking.AT_THE_KEYBOARD)
    decide(olivia, ApprovalRequest.objects.get())
    job.refresh_from_db()
    assert job.state == "planned"
    assert "could not be done" in text(dario.get(f"/admin/bulk/{job.pk}/"))


# -- roles --------------------------------------------------------------------------------------------------
def test_nobody_approves_a_role_for_themselves(acme: Enterprise) -> None:
    ursula, olivia = (
        cast.somebody(Role.ADMINISTRATOR, enterprise=acme),
        cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme),
    )
    outcome = role_grants.grant(
        olivia, Role.INTEGRATION_ADMIN, enterprise=acme, reason="she asked", actor=asking.actor(ursula)
    )
    assert outcome.waits_for
    assert "about themselves" in text(decide(cast.browser_of(olivia), outcome.waits_for))
    assert "decide/" not in text(cast.browser_of(olivia).get(address(outcome.waits_for)))


def test_who_lost_the_right_to_ask_meanwhile_gets_nothing(
    asked: ApprovalRequest, ines_herself: User, client: ApiClient, olivia: Client
) -> None:
    ines_herself.memberships.all().delete()
    assert "no longer may" in text(decide(olivia, asked))
    assert client.networks.exists()


# -- the registry -------------------------------------------------------------------------------------------
def test_every_act_of_the_vocabulary_has_an_executor_with_permissions_that_exist() -> None:
    executors = acts.registered()
    assert set(executors) == set(ApprovedAct.values)
    for executor in executors.values():
        assert Permission(executor.asked_with)
        assert Permission(executor.decided_with)


# What does such an act without asking, and the only modules that may call it.
RAW: dict[str, set[str]] = {
    r"\bjobs\.start\(": {"tokens/bulk/approval.py"},
    r"\bdisallow_network\(|\ballow_network\(": {"tokens/clients.py", "tokens/open_clients.py"},
    # Roles by claim follow a mapping that whoever runs the server declared in its settings.
    r"\bpeople\.grant\(": {
        "portal/role_grants.py",
        "portal/arrivals.py",
        "portal/management/commands/create_user.py",
    },
}


@pytest.mark.parametrize("call", RAW)
def test_nobody_goes_round_the_approval(call: str) -> None:
    """The raw verb of each act is called where it is registered; the command line makes the first users."""
    sources = [path for app in ("audit", "tokens", "portal") for path in (CHECKOUT / app).rglob("*.py")]
    callers = {
        str(path.relative_to(CHECKOUT))
        for path in sources
        if re.search(call, path.read_text(encoding="utf-8"))
    }
    assert callers == RAW[call]
