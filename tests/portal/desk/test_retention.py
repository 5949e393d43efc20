"""Asking to change how long things are kept, at the desk: who may, and what is refused."""

import html
from typing import Any

import pytest
from django.test import Client

from audit.models import ApprovalRequest, AuditEvent
from audit.retention import policies
from audit.vocabulary import Action
from portal.roles import Role
from tests.audit.retention.cast import PAYLOAD
from tests.portal import retaining
from tests.portal.desk import cast
from tests.tokens.cast import an_enterprise
from tokens.models import Enterprise

PAGE = "/admin/retention/"


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def test_an_officer_of_every_enterprise_asks_and_another_approves(acme: Enterprise) -> None:
    browser = cast.at_desk(Role.COMPLIANCE_OFFICER)
    page = text(browser.get(PAGE))
    assert "24 months" in page
    assert "Nothing is past its policy" in page
    given = {"kind": "payload", "months": "12"}
    assert "24 months" in text(browser.post(f"{PAGE}policy/", given))
    browser.post(f"{PAGE}policy/", given | {"reason": "the new contract"})
    asked = ApprovalRequest.objects.get()
    other = cast.somebody(Role.ADMINISTRATOR, name="ursula")
    page = text(
        cast.browser_of(other).post(
            f"/admin/approvals/{asked.pk}/decide/", {"decision": "approve", "comment": ""}, follow=True
        )
    )
    assert "Approved and done." in page
    assert policies.in_force(PAYLOAD).months == 12
    page = text(browser.get(PAGE))
    assert "12 months" in page
    assert "Changes of policy" in page


def test_an_officer_of_one_enterprise_reads_the_policy_and_changes_it_for_nobody(
    olivia: Client, acme: Enterprise, rival: Enterprise
) -> None:
    page = text(olivia.get(PAGE))
    assert "/retention/policy/" not in page
    assert "Acme" in page
    assert "Rival" not in page
    refused = olivia.post(f"{PAGE}policy/", {"kind": "payload", "months": "1", "reason": "r"}, follow=True)
    assert "another role" in text(refused)
    given = {"enterprise": rival.pk, "days": "1", "reason": "r"}
    assert olivia.post(f"{PAGE}residue/", given).status_code == 404
    assert ApprovalRequest.objects.count() == 0


@pytest.mark.parametrize(
    ("address", "given", "said"),
    [
        ("policy/", {"kind": "payload", "months": "0"}, "from 1 to 600"),
        ("policy/", {"kind": "x", "months": "3"}, "from 1 to 600"),
        ("policy/", {"kind": "event", "months": "3"}, "12 to 600 months"),
        ("residue/", {"enterprise": "x", "days": "3"}, "from 0 to 3,650"),
        ("drop/", {"kind": "payload"}, "at least one month"),
        ("drop/", {"kind": "payload", "month": "soon"}, "from the list"),
        ("drop/", {"kind": "payload", "month": "1999-01", "reason": "r"}, "1999-01"),
    ],
)
def test_what_makes_no_sense_is_said_to(db: None, address: str, given: dict[str, str], said: str) -> None:
    browser = cast.at_desk(Role.COMPLIANCE_OFFICER)
    assert said in text(browser.post(PAGE + address, given, follow=True))
    assert ApprovalRequest.objects.count() == 0


def test_how_long_residue_lives_takes_a_second_person_but_in_a_sandbox(
    olivia: Client, acme: Enterprise
) -> None:
    olivia.post(f"{PAGE}residue/", {"enterprise": acme.pk, "days": "7", "reason": "less is more"})
    acme.refresh_from_db()
    assert acme.residue_days == 30
    omar = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name="omar")
    retaining.requests.approve(ApprovalRequest.objects.get().pk, actor=retaining.actor(omar))
    acme.refresh_from_db()
    assert acme.residue_days == 7
    event = AuditEvent.objects.get(action=Action.RETENTION_CHANGED)
    assert event.details == {"kind": "residue", "before": "30 days", "after": "7 days"}
    sandbox = an_enterprise("Play", sandbox=True)
    user = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=sandbox, name="petra")
    browser = cast.browser_of(user)
    browser.post(f"{PAGE}residue/", {"enterprise": sandbox.pk, "days": "3"})
    sandbox.refresh_from_db()
    assert sandbox.residue_days == 3
