"""Several values at once: exactly those that a second person approved, once, each on record before it is shown."""

import re
import uuid
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test import Client
from django.utils import timezone

from audit.models import ApprovalRequest, AuditEvent
from audit.trail import Actor
from audit.vocabulary import Action
from portal.models import RevealGrant, User
from portal.reveals import caps, several
from portal.reveals.errors import GrantEnded
from portal.reveals.reasons import Reason
from portal.reveals.revealing import Why
from portal.reveals.several import Field
from portal.roles import Role
from tests.conftest import OwnDatabase
from tests.portal.desk import asking, cast
from tests.portal.factor import show_factor
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tokens.models import AttributeSet, Enterprise, Mapping

ASK = "/admin/reveals/several/"
CASE = "CS-2026-0815"


def text(response: Any) -> str:
    return str(response.content.decode())


def reveals() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=Action.REVEALED).order_by("pk"))


@pytest.fixture
def ben(acme: Enterprise) -> Mapping:
    return Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.BEN))


@pytest.fixture
def otto(acme: Enterprise) -> Client:
    """The browser of a second officer."""
    return cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name="otto"))


def form(acme: Enterprise, *mappings: Mapping, **given: Any) -> dict[str, Any]:
    tokens = "\n".join(one.token for one in mappings)
    sent = {"enterprise": acme.pk, "tokens": tokens, "what": ["value", "attributes"], "reason": "incident"}
    return sent | {"case": CASE, "text": "All who were in the wrong list."} | given


def approved(olivia: Client, otto: Client, acme: Enterprise, *mappings: Mapping) -> str:
    """The address at which olivia opens what otto approved."""
    olivia.post(ASK, form(acme, *mappings))
    asked = ApprovalRequest.objects.latest("pk")
    otto.post(f"/admin/approvals/{asked.pk}/decide/", {"decision": "approve"})
    [link] = re.findall(rf'href="({ASK}[^"]+)"', text(olivia.get(f"/admin/approvals/{asked.pk}/")))
    return str(link)


def officer() -> Actor:
    return asking.actor(User.objects.get(username="olivia"))


def test_what_a_second_person_approved_is_opened_together_and_each_value_is_on_record(
    olivia: Client, otto: Client, acme: Enterprise, ana: Mapping, ben: Mapping
) -> None:
    address = approved(olivia, otto, acme, ana, ben)
    asked = ApprovalRequest.objects.get()
    assert [row[0] for row in asked.difference] == [ana.token, ben.token, "reason", "case"]
    assert asked.difference[0][2] == "value, attribute FirstName, attribute Town"
    assert (asked.affected, reveals()) == (4, [])
    masked = text(olivia.get(address))
    assert "ana@mail.example" not in masked
    response = olivia.post(address)
    shown = text(response)
    for clear in ("ana@mail.example", "ben@mail.example", "São Paulo"):
        assert clear in shown
    assert "no-store" in response["Cache-Control"]
    assert 'data-hide-after="120"' in shown
    events = reveals()
    assert [event.target_id for event in events] == [str(ana.pk)] * 3 + [str(ben.pk)]
    assert {(one.actor_name, one.details["approved_by"], one.details["case"]) for one in events} == {
        ("olivia", "otto", CASE)
    }
    assert caps.use_of(officer().id).in_a_day == 4
    assert "otto" in text(otto.get("/admin/reveals/"))


def test_it_opens_once(olivia: Client, otto: Client, acme: Enterprise, ana: Mapping) -> None:
    address = approved(olivia, otto, acme, ana)
    olivia.post(address)
    assert "opened already" in text(olivia.post(address, follow=True))
    assert "ana@mail.example" not in text(olivia.get(address))
    assert len(reveals()) == 3
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL pgtrigger.ignore = '{opened_once,is_opened}'")
    with pytest.raises(DatabaseError, match="opened once"), transaction.atomic():
        RevealGrant.objects.update(opened_at=None)


def test_before_it_is_approved_there_is_nothing_to_open(
    olivia: Client, acme: Enterprise, ana: Mapping
) -> None:
    answer = olivia.post(ASK, form(acme, ana))
    assert "/admin/approvals/" in answer["Location"]
    asked = ApprovalRequest.objects.get()
    olivia.post(f"/admin/approvals/{asked.pk}/decide/", {"decision": "approve"})
    assert not RevealGrant.objects.exists(), "nobody approves their own"
    assert not reveals()


def test_who_approved_opens_nothing(olivia: Client, otto: Client, acme: Enterprise, ana: Mapping) -> None:
    address = approved(olivia, otto, acme, ana)
    assert otto.post(address).status_code == 404
    with pytest.raises(GrantEnded), transaction.atomic():
        several._still_granted(RevealGrant.objects.get(), Actor("user:99", "x"))


def test_the_second_factor_of_who_opens_must_be_fresh(
    olivia: Client, otto: Client, acme: Enterprise, ana: Mapping
) -> None:
    address = approved(olivia, otto, acme, ana)
    show_factor(olivia, User.objects.get(username="olivia"), ago=301)
    assert olivia.post(address)["Location"].startswith("/admin/second-factor/confirm/")
    assert not reveals()


def test_what_changed_since_it_was_approved_is_not_opened(
    olivia: Client, otto: Client, acme: Enterprise, ana: Mapping
) -> None:
    address = approved(olivia, otto, acme, ana)
    AttributeSet.objects.update(payload=None)
    assert "not what was approved" in text(olivia.post(address, follow=True))
    assert not reveals()


def forged(ana: Mapping, ben: Mapping, olivia: Client, otto: Client, acme: Enterprise) -> RevealGrant:
    """A grant for ben that names the approval for ana, as the app's role could write it."""
    approved(olivia, otto, acme, ana)
    real = RevealGrant.objects.get()
    return RevealGrant.objects.create(
        id=uuid.uuid4(), enterprise_id=acme.pk, actor_id=real.actor_id, actor_name="olivia",
        parameters=real.parameters | {"fields": [[ben.pk]]}, approval_id=real.approval_id, expires_at=real.expires_at,
    )  # fmt: skip


def test_a_grant_opens_only_what_its_approval_names(
    olivia: Client, otto: Client, acme: Enterprise, ana: Mapping, ben: Mapping
) -> None:
    grant = forged(ana, ben, olivia, otto, acme)
    assert "not what was approved" in text(olivia.post(f"{ASK}{grant.pk}/", follow=True))
    assert not reveals()


def test_without_the_digest_it_would_open(
    olivia: Client,
    otto: Client,
    acme: Enterprise,
    ana: Mapping,
    ben: Mapping,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The known-bad twin of the test above."""
    grant = forged(ana, ben, olivia, otto, acme)
    monkeypatch.setattr(several, "_is_approved", lambda grant, actor: True)
    assert "ben@mail.example" in text(olivia.post(f"{ASK}{grant.pk}/"))


def test_after_four_hours_it_is_over(olivia: Client, otto: Client, acme: Enterprise, ana: Mapping) -> None:
    approved(olivia, otto, acme, ana)
    real = RevealGrant.objects.get()
    late = RevealGrant.objects.create(
        id=uuid.uuid4(), enterprise_id=acme.pk, actor_id=real.actor_id, actor_name="olivia",
        parameters=real.parameters, approval_id=real.approval_id, expires_at=timezone.now(),
    )  # fmt: skip
    with pytest.raises(GrantEnded):
        several._still_granted(late, officer())


def test_each_value_counts_and_beyond_the_hard_cap_none_is_opened(
    olivia: Client, otto: Client, acme: Enterprise, ana: Mapping, ben: Mapping, settings: Any
) -> None:
    settings.REVEALS_SOFT_CAP, settings.REVEALS_HARD_CAP = 2, 5
    first, second = (approved(olivia, otto, acme, one) for one in (ana, ana))
    olivia.post(first)
    assert AuditEvent.objects.filter(action=Action.ALARM_REVEAL_CAP).count() == 1
    assert "as much as one person may" in text(olivia.post(second, follow=True))
    assert len(reveals()) == 3
    assert AuditEvent.objects.filter(action=Action.REVEAL_REFUSED).count() == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tokens": "zoe@mail.example"}, "No token of Acme"),
        ({"case": "13175550100"}, "phone number"),
        ({"text": "it is zoe@mail.example"}, "addresses and numbers of people"),
        ({"text": ""}, "write one"),
        ({"reason": "curiosity"}, "valid choice"),
        ({"what": []}, "required"),
        ({"tokens": "x\n" * 60}, "at most 50 people"),
    ],
)
def test_a_request_that_names_nobody_or_no_reason_is_refused(
    olivia: Client, acme: Enterprise, ana: Mapping, given: dict[str, Any], said: str
) -> None:
    page = text(olivia.post(ASK, form(acme, ana, **given)))
    assert said in page
    assert not ApprovalRequest.objects.exists()
    assert "tokens" not in given or "zoe@mail.example" not in page, "it may be a clear value"


def test_people_of_another_enterprise_are_not_named(
    acme: Enterprise, rival: Enterprise, ana: Mapping
) -> None:
    ruth = cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=rival, name="ruth"))
    assert "No token of Rival" in text(ruth.post(ASK, form(rival, ana)))
    assert ruth.get(f"{ASK}?mapping={ana.pk}").status_code == 404


@pytest.mark.django_db
def test_in_a_sandbox_one_person_opens_them_and_it_is_on_record_too() -> None:
    trial = an_enterprise("Trial", sandbox=True)
    mapping = Mapping.objects.get(token=api_cast.a_person(trial, *api_cast.ANA))
    browser = cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=trial))
    answer = browser.post(ASK, form(trial, mapping))
    assert "São Paulo" in text(browser.post(answer["Location"]))
    assert len(reveals()) == 3


def test_each_event_is_committed_before_any_value_is_opened(
    own_database: OwnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = an_enterprise("Trial", sandbox=True)
    mapping = Mapping.objects.get(token=api_cast.a_person(trial, *api_cast.ANA))
    olivia = asking.actor(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=trial))
    why, seen = Why(Reason.INCIDENT, CASE), []
    grant = several.ask(trial, [Field(mapping.pk)], why, text="", actor=olivia).result

    def look(subject: Any, actor: Actor) -> str:
        with connections["owner"].cursor() as cursor:  # another session: sees what is committed
            cursor.execute("SELECT count(*) FROM audit_auditevent WHERE action = 'person.revealed'")
            seen.extend(cursor.fetchone() or ())
        return "opened"

    monkeypatch.setattr(several, "_opened", look)
    assert several.open_all(grant, actor=olivia) == ["opened"]
    assert seen == [1]


def test_the_app_rewrites_no_grant(olivia: Client, otto: Client, acme: Enterprise, ana: Mapping) -> None:
    approved(olivia, otto, acme, ana)
    for change in ("UPDATE portal_revealgrant SET parameters = '{}'", "DELETE FROM portal_revealgrant"):
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(change)
