"""An erasure in a real browser: one asks, another approves, Marketing Cloud deletes, and the receipt is printed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from audit.models import AuditEvent
from audit.trail import SYSTEM
from audit.vocabulary import Action
from portal import erasure_ledger
from portal.roles import Role
from portal.simulator import Simulator, World, running
from portal.simulator.world import DataExtension, Subscriber
from tests.browser.conftest import Visitor
from tests.portal.desk import cast
from tests.portal.factor import app_of
from tests.serving import Server
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tokens.connections.verbs import create_connection
from tokens.erasure import worker
from tokens.models import Connection, Enterprise, Erasure, Mapping

pytestmark = pytest.mark.slow


@pytest.fixture
def simulator(portal_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with running(world=World(units={"7001": "Acme"})) as simulator:
        monkeypatch.setattr(settings, "MARKETING_CLOUD_HOSTS", simulator.hosts)
        yield simulator


def connected(simulator: Simulator) -> Enterprise:
    """Acme, whose connection is in use, and which keeps notes that nothing is sent to."""
    acme, package = an_enterprise("Acme", eid="7001"), simulator.world.add_package()
    create_connection(
        acme, name="Main", subdomain=simulator.world.subdomain, client_id=package.client_id,
        client_secret=package.client_secret, actor=SYSTEM,
    )  # fmt: skip
    Connection.objects.update(in_use_since=timezone.now())
    notes = DataExtension("Call notes", acme.eid, ("Id",), ("Id",), is_sendable=False)
    simulator.world.extensions[acme.eid, "notes"] = notes
    return acme


def work_on() -> None:
    """What workers and maintenance do meanwhile, without their waits."""
    for _ in range(10):
        Erasure.objects.update(next_try_at=timezone.now())
        worker.work_for(seconds=60)
        erasure_ledger.copy()


def test_two_people_erase_somebody_whom_marketing_cloud_deletes(
    visitor: Visitor, chromium: Any, portal_server: Server, simulator: Simulator
) -> None:
    acme = connected(simulator)
    ana = Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.ANA))
    simulator.world.subscribers["SUB-ANA"] = Subscriber("SUB-ANA", ana.token)
    for name in ("olivia", "oscar"):
        app_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name=name))
    visitor.sign_in("olivia", cast.PASSWORD)
    visitor.open(f"/admin/people/{ana.pk}/")
    page = visitor.page
    page.get_by_role("link", name="Erase", exact=True).click()
    assert page.get_by_label("SUB-ANA").is_checked()
    page.get_by_label("Case number").fill("DSAR-2026-7")
    page.get_by_label("Reason").fill("She asked in writing.")
    visitor.press("Ask for the erasure")
    assert "You asked for it, so somebody else decides." in page.inner_text("main")
    caller = api_cast.a_caller(acme)
    assert caller.resolve(api_cast.ask(ana.token)).json()["resolvedTokens"]

    second = Visitor(chromium.new_context().new_page(), portal_server.url)
    second.sign_in("oscar", cast.PASSWORD)
    second.open("/admin/erasures/")
    second.page.get_by_role("table", name="Requests for erasure").get_by_role("link").click()
    assert "destroyed; its token is retired" in second.page.inner_text("main")
    second.press("Approve and do it")
    second.page.context.close()
    assert not second.complaints
    assert not caller.resolve(api_cast.ask(ana.token)).json()["resolvedTokens"]
    work_on()
    assert not simulator.world.subscribers

    visitor.open("/admin/erasures/?state=done")
    page.get_by_role("table", name="Erasures").get_by_role("link").click()
    assert "nothing was found when everything was searched again" in page.inner_text("main")
    page.get_by_role("link", name="Receipt").click()
    page.get_by_role("heading", name="Receipt of an erasure").wait_for()
    told = page.inner_text("main")
    assert "Carried out and verified" in told
    assert "Call notes" in told
    assert page.pdf()[:5] == b"%PDF-"
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON").click()
    facts = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert (facts["state"], facts["approved_by"], facts["destroyed"]["clear values"]) == ("done", "oscar", 1)
    assert AuditEvent.objects.filter(action=Action.ERASURE_VERIFIED, target_id=str(ana.pk)).count() == 1
