"""The exports centre: asked for with a case, listed, taken by who may, and masked unless two people say otherwise."""

import html
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import ApprovalRequest, AuditEvent
from audit.trail import Actor
from audit.vocabulary import Action
from portal.roles import Role
from tests.portal.desk import cast
from tests.portal.desk.exchanges import logged
from tests.portal.factor import show_factor
from tokens.exports import requests, worker
from tokens.models import Enterprise, Export, Mapping

EXPORTS = "/admin/exports/"
NEW = f"{EXPORTS}new/"


def text(response: Any) -> str:
    parts = b"".join(response) if response.streaming else response.content
    return html.unescape(parts.decode())


def fields(acme: Enterprise, **changes: Any) -> dict[str, Any]:
    return {"enterprise": acme.pk, "what": "people", "form": "csv", "case": "C-7", "reason": ""} | changes


def made() -> Export:
    export = Export.objects.latest("pk")
    while worker.work(export.pk, seconds=0):
        pass
    export.refresh_from_db()
    return export


def test_an_officer_asks_and_takes(olivia: Client, acme: Enterprise, ana: Mapping) -> None:
    assert olivia.post(NEW, fields(acme))["Location"] == EXPORTS
    assert "being made" in text(olivia.get(EXPORTS))
    export = made()
    assert "Download" in text(olivia.get(EXPORTS))
    response = olivia.post(f"{EXPORTS}{export.pk}/")
    assert response["Content-Disposition"] == f'attachment; filename="people-{export.pk}.csv"'
    file = text(response)
    assert ana.token in file
    assert "taken_by: olivia" in file
    assert "ana@mail.example" not in file
    assert "taken 1 time" in text(olivia.get(EXPORTS))
    assert AuditEvent.objects.get(action=Action.EXPORT_TAKEN).actor_name == "olivia"


def test_the_filter_of_a_list_goes_with_it(olivia: Client, acme: Enterprise) -> None:
    for status in (200, 401):
        logged(acme, status=status)
    logged(acme, status=401, ago=100_000)
    address = f"{NEW}?what=log&within=24h&status=4xx&nonsense=1"
    page = text(olivia.get(address))
    assert '<span class="faint">status</span> 4xx' in page
    assert "Not taken over from the list, so the export has more rows than it: nonsense" in page
    olivia.post(address, fields(acme, what="log"))
    assert made().rows == 1


def test_lists_lead_to_their_export_with_their_filter(
    olivia: Client, aaron: Client, acme: Enterprise
) -> None:
    for address, link in (
        ("/admin/log/?api=resolve", "/admin/exports/new/?what=log&api=resolve"),
        ("/admin/events/?action=client.created", "/admin/exports/new/?what=events&action=client.created"),
        ("/admin/unsubscribes/?kind=1", "/admin/exports/new/?what=unsubscribes&kind=1"),
    ):
        assert link in text(olivia.get(address))
        assert "/admin/exports/new/" not in text(aaron.get(address))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"case": "ana@mail.example"}, "Letters, digits"),
        ({"clear": "on"}, "decides by the reason"),
        ({"clear": "on", "reason": "asked", "what": "log"}, "holds no clear value"),
        ({"since": "2026-02-01T00:00:00", "before": "2026-01-01T00:00:00"}, "ends before it begins"),
    ],
)
def test_what_makes_no_sense_is_explained(
    olivia: Client, acme: Enterprise, ana: Mapping, changes: dict[str, str], said: str
) -> None:
    assert said in text(olivia.post(NEW, fields(acme, **changes)))
    assert not Export.objects.exists()


def test_in_clear_it_only_asks(olivia: Client, acme: Enterprise, ana: Mapping) -> None:
    olivia.post(NEW, fields(acme, clear="on", reason="court order"))
    assert not Export.objects.exists()
    assert ApprovalRequest.objects.get().affected == 1


def test_in_clear_it_is_taken_by_who_asked_with_a_fresh_second_factor(acme: Enterprise, ana: Mapping) -> None:
    omar, ruth = (
        cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name=name) for name in ("omar", "ruth")
    )
    requests.ask(
        acme, what=Export.What.PEOPLE, form=Export.Form.CSV, only={}, case="C-7", clear=True,
        actor=Actor(f"user:{omar.pk}", "omar"),
    )  # fmt: skip
    address = f"{EXPORTS}{made().pk}/"
    browser, other = cast.browser_of(omar), cast.browser_of(ruth)
    assert other.post(address)["Location"] == EXPORTS
    show_factor(browser, omar, ago=3600)
    assert "/second-factor/confirm/" in browser.post(address)["Location"]
    show_factor(browser, omar)
    assert "ana@mail.example" in text(browser.post(address))
    assert "only omar" in text(other.get(EXPORTS))
    assert "Exported in clear" in text(browser.get(f"/admin/people/{ana.pk}/?show=sight"))


def test_an_export_of_another_enterprise_is_not_there(
    olivia: Client, acme: Enterprise, rival: Enterprise
) -> None:
    olivia.post(NEW, fields(acme, what="log"))
    export = made()
    browser = cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=rival, name="ruth"))
    assert browser.post(f"{EXPORTS}{export.pk}/").status_code == 404
    assert str(export.pk) not in text(browser.get(EXPORTS))
    assert browser.post(NEW, fields(acme)).status_code == 200
    assert Export.objects.count() == 1


def test_an_expired_one_is_said_to_be_gone(olivia: Client, acme: Enterprise) -> None:
    olivia.post(NEW, fields(acme, what="log"))
    export = made()
    Export.objects.filter(pk=export.pk).update(expires_at=timezone.now())
    assert "it has expired" in text(olivia.post(f"{EXPORTS}{export.pk}/", follow=True))
    assert "Download" not in text(olivia.get(EXPORTS))
