"""The pages of erasures: asked for with what goes and what stays, by hand where it must be, told by the receipt."""

from typing import Any

import pytest
from django.utils import timezone

from audit import holds
from audit.models import ApprovalRequest
from audit.trail import SYSTEM, Target
from portal.roles import Role
from tests.portal import erasing
from tests.portal.desk import cast
from tokens.erasure import asking
from tokens.models import ContactDelete, Enterprise, Erasure, Mapping

pytestmark = pytest.mark.django_db


@pytest.fixture
def officer(acme: Enterprise) -> Any:
    return cast.at_desk(Role.COMPLIANCE_OFFICER, acme)


def form_of(mapping: Mapping, **changes: object) -> dict[str, object]:
    contacts = [link.contact_id for link in asking.holders(mapping)]
    return {"contacts": contacts, "case": "DSAR-7", "reason": "They asked in writing."} | changes


def test_asking_leads_to_the_request_and_nothing_is_done_yet(officer: Any, ana: Mapping) -> None:
    page = officer.get(f"/admin/people/{ana.pk}/erase/").content.decode()
    assert "SUB-ANA" in page
    assert "can't be undone" in page
    answer = officer.post(f"/admin/people/{ana.pk}/erase/", form_of(ana))
    asked = ApprovalRequest.objects.get()
    assert answer["Location"] == f"/admin/approvals/{asked.pk}/"
    assert "ana@mail" not in str(asked.difference)
    assert not Erasure.objects.exists()
    assert ana.token in officer.get("/admin/erasures/").content.decode()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"contacts": []}, "This field is required"),
        ({"reason": "Ana, 13175550101"}, "Leave addresses and numbers"),
    ],
)
def test_what_can_not_be_asked_is_told_in_the_form(
    officer: Any, ana: Mapping, changes: Any, said: str
) -> None:
    answer = officer.post(f"/admin/people/{ana.pk}/erase/", form_of(ana, **changes))
    assert said in answer.content.decode()
    assert not ApprovalRequest.objects.exists()


def test_a_hold_is_told_with_its_case(officer: Any, ana: Mapping) -> None:
    subject = Target("mapping", str(ana.pk), ana.token)
    holds.place(
        enterprise_id=ana.enterprise_id,
        scope=holds.Scope.PERSON,
        subject=subject,
        case="LIT-3",
        reason="x",
        actor=SYSTEM,
    )
    answer = officer.post(f"/admin/people/{ana.pk}/erase/", form_of(ana))
    assert "a legal hold keeps it: case LIT-3" in answer.content.decode()


def test_what_waits_says_for_what_and_a_second_person_confirms_what_was_done_by_hand(
    officer: Any, acme: Enterprise
) -> None:
    erasure = erasing.a_scene(acme)
    address = f"/admin/erasures/{erasure.pk}/"
    assert "has no connection to Marketing Cloud that serves" in officer.get(address).content.decode()
    assert officer.post(f"{address}act/", {"act": "retry"}).status_code == 302
    open_one = erasure.deletes.exclude(state="deleted").get()
    given = {"act": "word", "delete": open_one.pk, "evidence": "ticket 4711"}
    wrong = officer.post(f"{address}act/", given | {"evidence": "mail of ana@mail.example"})
    assert "Leave addresses and numbers" in wrong.content.decode()
    assert "Nobody does this alone" in officer.post(f"{address}act/", given).content.decode()
    officer.post(f"{address}act/", given | {"reason": "Deleted by hand."})
    assert "a second person is asked" in officer.get(address).content.decode()
    assert ContactDelete.objects.get(pk=open_one.pk).state == "pending"


def test_the_receipt_tells_what_is_gone_what_lives_and_what_is_left(officer: Any, acme: Enterprise) -> None:
    address = f"/admin/erasures/{erasing.a_scene(acme).pk}/receipt/"
    page = officer.get(address).content.decode()
    for said in ("Notes of the call centre", "2026-12-27", "Not finished", "Versions of attributes"):
        assert said in page
    facts = officer.get(f"{address}?form=json").json()
    assert (facts["case"], facts["approved_by"], facts["found_again"]) == ("DSAR-2026-9", "second", None)
    assert facts["lives_until"]["backups"] == "2026-12-27"


def test_the_person_s_page_says_how_far_it_is_and_offers_no_second_erasure(
    officer: Any, acme: Enterprise
) -> None:
    erasure = erasing.a_scene(acme)
    page = officer.get(f"/admin/people/{erasure.mapping_id}/").content.decode()
    assert "Being erased" in page
    assert f"/admin/erasures/{erasure.pk}/" in page
    assert f"/admin/people/{erasure.mapping_id}/erase/" not in page


def test_consent_given_anew_is_asked_for_on_the_page_of_an_erased_person(
    officer: Any, acme: Enterprise
) -> None:
    erasure = erasing.a_scene(acme)
    address = f"/admin/people/{erasure.mapping_id}/renew/"
    given = {
        "consented_at": f"{timezone.now():%Y-%m-%dT%H:%M}",
        "evidence": "file DOI-7",
        "reason": "signed up",
    }
    assert "this value is not erased" in officer.post(address, given).content.decode()
    Mapping.objects.filter(pk=erasure.mapping_id).update(state=2, value=None)
    assert "its erasure is not verified yet" in officer.post(address, given).content.decode()
    assert address in officer.get(f"/admin/people/{erasure.mapping_id}/").content.decode()
