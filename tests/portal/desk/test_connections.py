"""Connections at the desk: the secret is never shown, the test names the failing step, use takes two."""

import html
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from audit.models import ApprovalRequest, PayloadEntry
from portal.simulator import Simulator, World, running
from tests.tokens.cast import IVAN
from tokens.connections.client import client_of
from tokens.connections.walk import IMPATIENT
from tokens.dossier import packs
from tokens.models import Connection, ContactMapping, Enterprise, Mapping

NEW = "/admin/connections/new/"


@pytest.fixture
def simulator(acme: Enterprise, settings: Any) -> Iterator[Simulator]:
    with running(world=World(units={acme.eid: "Acme"})) as simulator:
        settings.MARKETING_CLOUD_HOSTS = simulator.hosts
        yield simulator


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def sent(acme: Enterprise, simulator: Simulator, **changes: Any) -> dict[str, Any]:
    package = simulator.world.add_package()
    facts = {
        "enterprise": acme.pk,
        "business_unit": "",
        "name": "Main package",
        "subdomain": f"https://{simulator.world.subdomain}.rest.marketingcloudapis.com/",
        "grant_kind": "client-credentials",
        "client_id": package.client_id,
        "client_secret": package.client_secret,
    }
    return facts | changes


def test_a_connection_is_made_tested_and_put_to_use_by_two(
    ines: Client, olivia: Client, acme: Enterprise, simulator: Simulator
) -> None:
    assert "Nothing here yet" in text(ines.get("/admin/connections/"))
    given = sent(acme, simulator)
    assert ines.post(NEW, given).status_code == 302
    made = Connection.objects.get()
    assert made.subdomain == simulator.world.subdomain  # of the address that was pasted
    page = f"/admin/connections/{made.pk}/"
    assert "not tested since it was made" in text(ines.get(page))
    assert "Put to use" not in text(ines.get(page))

    tested = text(ines.post(f"{page}test/", follow=True))
    assert "The test passed, from DNS to a read." in tested
    assert tested.count("granted") >= 11
    asked = text(ines.post(f"{page}use/"))
    assert "Nobody does this alone." in asked
    ines.post(f"{page}use/", {"reason": "Go-live on Monday."})
    assert "not in use" in text(ines.get("/admin/connections/"))
    request = ApprovalRequest.objects.get()
    answer = olivia.post(
        f"/admin/approvals/{request.pk}/decide/", {"decision": "approve", "comment": "as agreed"}
    )
    assert answer.status_code == 302
    assert "its last test passed" in text(ines.get(page))
    assert "In use since" in text(ines.get(page))
    everything = (
        text(ines.get(page)) + text(ines.get("/admin/events/")) + text(olivia.get("/admin/approvals/"))
    )
    assert given["client_secret"] not in everything

    ines.post(f"{page}stop/")
    assert "Not in use" in text(ines.get(page))


def test_the_failing_step_is_named_and_the_exchanges_are_in_the_log(
    ines: Client, acme: Enterprise, simulator: Simulator
) -> None:
    ines.post(NEW, sent(acme, simulator, client_secret="wrong-secret"))
    page = f"/admin/connections/{Connection.objects.get().pk}/"
    said = text(ines.post(f"{page}test/", follow=True))
    assert "The test failed at Token." in said
    assert "compare both with the installed package" in said
    entry = PayloadEntry.objects.get()
    shown = text(ines.get(f"/admin/log/{entry.pk}/"))
    assert "The portal called Marketing Cloud (token) and was answered 401." in shown
    assert "its bodies hold secrets" in shown
    package = next(iter(simulator.world.packages.values()))
    ines.post(f"{page}secret/", {"client_secret": package.client_secret})
    assert "The test passed" in text(ines.post(f"{page}test/", follow=True))
    assert package.client_secret not in text(ines.get(page))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"subdomain": "mc-too-short"}, "28 characters"),
        ({"client_secret": ""}, "paste the client secret"),
        ({"grant_kind": "jwt-bearer"}, "the user whom it is for"),
        ({"name": ""}, "required"),
    ],
)
def test_what_is_wrong_is_said_and_the_secret_is_not_said_back(
    ines: Client, acme: Enterprise, simulator: Simulator, wrong: dict[str, str], said: str
) -> None:
    given = sent(acme, simulator, **wrong)
    page = text(ines.post(NEW, given))
    assert said in page
    assert not given["client_secret"] or given["client_secret"] not in page
    assert not Connection.objects.exists()


def test_an_assertion_needs_no_secret_and_shows_its_certificate(
    ines: Client, acme: Enterprise, simulator: Simulator
) -> None:
    given = sent(acme, simulator, grant_kind="jwt-bearer", subject="portal@example.com", client_secret="")
    ines.post(NEW, given)
    made = Connection.objects.get()
    page = text(ines.get(f"/admin/connections/{made.pk}/"))
    assert made.certificate in page
    assert "PRIVATE KEY" not in page
    ines.post(f"/admin/connections/{made.pk}/key/")
    assert made.certificate not in text(ines.get(f"/admin/connections/{made.pk}/"))


def test_a_change_that_leads_elsewhere_says_that_it_is_out_of_use(
    ines: Client, acme: Enterprise, simulator: Simulator
) -> None:
    given = sent(acme, simulator)
    ines.post(NEW, given)
    made = Connection.objects.get()
    Connection.objects.update(in_use_since=made.made_at)
    change = f"/admin/connections/{made.pk}/change/"
    renamed = text(ines.post(change, {**given, "name": "Renamed"}, follow=True))
    assert ("Renamed" in renamed, "It leads elsewhere now" in renamed) == (True, False)
    assert "It leads elsewhere now" in text(ines.post(change, {**given, "client_id": "another"}, follow=True))


def test_nobody_connects_another_enterprise(ines: Client, rival: Enterprise, simulator: Simulator) -> None:
    assert "Select a valid choice" in text(ines.post(NEW, sent(rival, simulator)))
    assert not Connection.objects.exists()


def test_an_exchange_about_a_person_stands_on_their_timeline_and_in_their_pack(
    ines: Client, olivia: Client, acme: Enterprise, ana: Mapping, simulator: Simulator
) -> None:
    ines.post(NEW, sent(acme, simulator))
    made = Connection.objects.select_related("enterprise", "business_unit").get()
    link = ContactMapping.objects.get(mapping=ana)
    with client_of(made, mid=None, links=[link.pk], patience=IMPATIENT) as cloud:
        cloud.subscribers.statuses(["SUB-1"])
    entry = PayloadEntry.objects.get(api="cloud-soap")
    page = text(olivia.get(f"/admin/people/{ana.pk}/"))
    assert f"/admin/log/{entry.pk}/" in page
    assert "Marketing Cloud: SOAP" in page
    pack = packs.make(ana, case="DSAR-1", actor=IVAN)
    answer = olivia.post(f"/admin/people/{ana.pk}/pack/{pack.pk}/", {"form": "json"})
    assert (
        str(entry.pk) in b"".join(answer.streaming_content if answer.streaming else [answer.content]).decode()
    )
