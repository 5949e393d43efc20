"""Wherever somebody types free text into evidence, addresses and numbers of people are refused, and not repeated."""

import html
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from audit import free_text, holds
from audit.models import ApprovalRequest, AuditEvent, LegalHold
from audit.trail import SYSTEM, Target
from portal.roles import Role
from tests.portal.desk import asking, cast
from tests.tokens.bulk import scene
from tests.tokens.cast import an_enterprise
from tokens.models import AccessPack, Enterprise, Export, Mapping

CLEAR = "zoe@mail.example"
Post = Callable[[Client, Enterprise, Mapping], Any]


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def a_hold(ana: Mapping) -> LegalHold:
    return holds.place(
        enterprise_id=ana.enterprise_id, scope=holds.Scope.PERSON, case="LIT-7", reason="pending", actor=SYSTEM,
        subject=Target("mapping", str(ana.pk), ana.token),
    )  # fmt: skip


def decide(browser: Client, acme: Enterprise, ana: Mapping) -> Any:
    asked = asking.a_request(acme)
    sent = {"decision": "reject", "comment": CLEAR}
    return browser.post(f"/admin/approvals/{asked.pk}/decide/", sent, follow=True)


def start_bulk(browser: Client, acme: Enterprise, ana: Mapping) -> Any:
    job = scene.planned(acme, scene.HEADER + "1,ben@mail.example,,Ben,Rome,\n")
    engineer = cast.browser_of(cast.somebody(Role.DATA_ENGINEER, enterprise=acme))
    return engineer.post(f"/admin/bulk/{job.pk}/start/", {"reason": CLEAR})


def release(browser: Client, acme: Enterprise, ana: Mapping) -> Any:
    return browser.post(f"/admin/holds/{a_hold(ana).pk}/release/", {"reason": CLEAR})


def export(**given: str) -> Post:
    def post(browser: Client, acme: Enterprise, ana: Mapping) -> Any:
        address = f"/admin/exports/new/?what={given.get('what', 'people')}&{given.get('filter', '')}"
        sent = {"enterprise": acme.pk, "form": "csv", "case": "C-1", "what": "people"} | given
        return browser.post(address, sent)

    return post


PLACES: dict[str, Post] = {
    "case of an export": export(case="1317-555-0100"),
    "reason of an export": export(clear="on", reason=CLEAR),
    "filter of an export by client": export(what="log", filter=f"client={CLEAR}"),
    "filter of an export by person": export(what="events", filter=f"actor={CLEAR}"),
    "filter of an export by target": export(what="events", filter=f"target={CLEAR}"),
    "case of a pack": lambda browser, acme, ana: browser.post(f"/admin/people/{ana.pk}/pack/", {"case": "13175550100"}),
    "reason of a pack": lambda browser, acme, ana: browser.post(
        f"/admin/people/{ana.pk}/pack/", {"case": "C-1", "clear": "on", "reason": CLEAR}
    ),
    "case of a hold": lambda browser, acme, ana: browser.post(
        f"/admin/holds/new/?mapping={ana.pk}", {"case": "13175550100", "reason": "pending"}
    ),
    "reason of a hold": lambda browser, acme, ana: browser.post(
        f"/admin/holds/new/?mapping={ana.pk}", {"case": "C-1", "reason": CLEAR}
    ),
    "reason of a release": release,
    "reason of a request": start_bulk,
    "comment of a decision": decide,
}  # fmt: skip


def kept() -> str:
    """Everything that evidence holds of what was typed."""
    tables = (AuditEvent, ApprovalRequest, LegalHold, Export, AccessPack)
    return str([list(table.objects.values()) for table in tables])


@pytest.mark.parametrize("place", PLACES)
def test_free_text_holds_no_clear_value(place: str, olivia: Client, acme: Enterprise, ana: Mapping) -> None:
    page = text(PLACES[place](olivia, acme, ana))
    assert "addresses and numbers of people" in page or "looks like an address" in page
    assert not [one for one in (CLEAR, "13175550100", "1317-555-0100") if one in kept()]


@pytest.mark.parametrize("place", ["reason of a hold", "comment of a decision", "reason of a request"])
def test_without_the_check_it_would_be_kept(
    place: str, olivia: Client, acme: Enterprise, ana: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin."""
    monkeypatch.setattr(free_text, "names_a_person", lambda text: False)
    monkeypatch.setattr("audit.approvals.requests.names_a_person", lambda text: False)
    PLACES[place](olivia, acme, ana)
    assert CLEAR in kept()


def test_a_user_of_the_portal_may_be_named_by_their_address_in_a_filter(
    olivia: Client, acme: Enterprise
) -> None:
    asking.a_request(acme, by=cast.somebody(Role.ADMINISTRATOR, enterprise=acme, name="ursula@acme.example"))
    answer = export(what="events", filter="actor=ursula@acme.example")(olivia, acme, None)  # type: ignore[arg-type]
    assert answer.status_code == 302
    assert Export.objects.get().only == {"actor": "ursula@acme.example"}


def test_an_enterprise_of_ones_own_is_no_way_around(olivia: Client) -> None:
    rival = an_enterprise("Rival")
    asking.a_request(rival, by=cast.somebody(Role.ADMINISTRATOR, enterprise=rival, name=CLEAR))
    acme = Enterprise.objects.get(name="Acme")
    page = text(export(what="events", filter=f"actor={CLEAR}")(olivia, acme, None))  # type: ignore[arg-type]
    assert "looks like an address" in page
