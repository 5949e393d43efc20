"""Who saw whom, and the review of broken glass by somebody else."""

import datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.models import BreakGlass, Membership, User
from portal.reveals import break_glass
from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.api import cast as api_cast
from tokens.models import Enterprise, Mapping

LEDGER = "/admin/reveals/"
WHY = {"reason": "complaint", "case": "CS-2026-0815"}
GLASS = {"reason": "incident", "break_glass": "on", "explanation": "The mail server is leaking right now."}
SAID = {"justified": "yes", "comment": "Looked at the incident; it was right."}


def text(response: Any) -> str:
    return str(response.content.decode())


def rows(response: Any) -> list[AuditEvent]:
    return list(response.context["sheet"].rows)


@pytest.fixture
def zoe(acme: Enterprise) -> Mapping:
    return Mapping.objects.get(token=api_cast.a_person(acme, "zoe@mail.example", "SUB-ZOE"))


@pytest.fixture
def otto(acme: Enterprise) -> Client:
    """The browser of a second officer."""
    return cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name="otto"))


def seen(browser: Client, mapping: Mapping, why: dict[str, str] = WHY) -> AuditEvent:
    assert browser.post(f"/admin/people/{mapping.pk}/reveal/", why).status_code == 200
    return AuditEvent.objects.filter(action=Action.REVEALED).latest("pk")


def review_of(event: AuditEvent) -> str:
    return f"{LEDGER}{event.pk}/review/"


def test_it_tells_who_saw_whom_why_and_from_where(olivia: Client, aaron: Client, ana: Mapping) -> None:
    seen(olivia, ana)
    page = text(aaron.get(LEDGER))
    for said in (
        "olivia",
        "a•••@m•••.example",
        ana.token,
        "The person complains or asks",
        "CS-2026-0815",
        "127.0.0.1",
    ):
        assert said in page, said
    assert "ana@mail.example" not in page
    assert AuditEvent.objects.filter(action=Action.LEDGER_VIEWED, actor_name="aaron").count() == 1


def test_it_can_be_asked_for_a_person_and_for_a_viewer(
    olivia: Client, otto: Client, aaron: Client, ana: Mapping, zoe: Mapping
) -> None:
    first, second, third = seen(olivia, ana), seen(otto, ana), seen(olivia, zoe, GLASS)
    assert rows(aaron.get(LEDGER)) == [third, second, first]
    assert rows(aaron.get(LEDGER, {"token": ana.token.upper()})) == [second, first]
    assert rows(aaron.get(LEDGER, {"viewer": "olivia"})) == [third, first]
    assert rows(aaron.get(LEDGER, {"token": ana.token, "viewer": "olivia"})) == [first]
    assert rows(aaron.get(LEDGER, {"glass": "on"})) == [third]
    assert rows(aaron.get(LEDGER, {"reason": "complaint"})) == [second, first]
    assert rows(aaron.get(LEDGER, {"token": "nobody@tok.acme.example"})) == []


def test_it_shows_no_other_enterprise(olivia: Client, ana: Mapping, rival: Enterprise) -> None:
    seen(olivia, ana)
    assert rows(cast.at_desk(Role.AUDITOR, rival).get(LEDGER, {"token": ana.token})) == []


def test_it_plots_the_reveals_of_each_person_beside_their_own_median(
    olivia: Client, otto: Client, aaron: Client, ana: Mapping
) -> None:
    for browser in (olivia, olivia, otto):
        seen(browser, ana)
    page = aaron.get(LEDGER)
    assert page.context["plot"] == {
        "names": ["olivia", "otto"],
        "counts": [2, 1],
        "medians": [0, 0],
        "urls": ["?viewer=olivia&within=24h", "?viewer=otto&within=24h"],
    }
    assert 'id="reveals-plot"' in text(page)
    assert len(rows(aaron.get(LEDGER + "?viewer=olivia&within=24h"))) == 2


def test_who_sees_one_enterprise_is_told_no_number_of_another(
    olivia: Client, aaron: Client, ana: Mapping, rival: Enterprise
) -> None:
    zoe = Mapping.objects.get(token=api_cast.a_person(rival, "zoe@mail.example", "SUB-ZOE"))
    user = User.objects.get(username="olivia")
    Membership.objects.create(user=user, role=Role.COMPLIANCE_OFFICER, enterprise=rival)
    seen(olivia, ana)
    for _ in range(3):
        seen(olivia, zoe)
    [viewer] = aaron.get(LEDGER).context["viewers"]
    assert (viewer.name, viewer.count) == ("olivia", 1)
    [viewer] = cast.browser_of(cast.somebody(Role.AUDITOR, name="all")).get(LEDGER).context["viewers"]
    assert viewer.count == 4


def test_it_is_paged_by_key(
    olivia: Client, aaron: Client, ana: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [seen(olivia, ana) for _ in range(5)]
    monkeypatch.setattr("portal.desk.keyset.sheet.__kwdefaults__", {"size": 3})
    first = aaron.get(LEDGER)
    assert rows(first) == made[:1:-1]
    second = aaron.get(LEDGER + first.context["sheet"].older)
    assert rows(second) == made[1::-1]


def test_the_page_of_the_person_says_who_saw_them(olivia: Client, aaron: Client, ana: Mapping) -> None:
    seen(olivia, ana)
    page = text(aaron.get(f"/admin/people/{ana.pk}/?show=sight"))
    assert "revealed a clear value" in page
    assert "CS-2026-0815" in page


# -- broken glass -------------------------------------------------------------------------------------------
def test_a_second_person_reviews_and_it_is_recorded(olivia: Client, otto: Client, ana: Mapping) -> None:
    event = seen(olivia, ana, GLASS)
    assert "Broken glass to review" in text(otto.get(LEDGER))
    assert "The mail server is leaking right now." in text(otto.get(review_of(event)))
    assert otto.post(review_of(event), SAID)["Location"] == LEDGER
    [said] = AuditEvent.objects.filter(action=Action.REVEAL_REVIEWED)
    assert (said.actor_name, said.target_id) == ("otto", str(event.pk))
    assert said.details == {"justified": True, "comment": SAID["comment"]}
    page = text(otto.get(LEDGER))
    assert "Broken glass to review" not in page
    assert "justified" in page


def test_nobody_reviews_their_own(olivia: Client, ana: Mapping) -> None:
    event = seen(olivia, ana, GLASS)
    assert "Somebody else has to review" in text(olivia.get(review_of(event)))
    assert "Somebody else has to review" in text(olivia.post(review_of(event), SAID))
    assert BreakGlass.objects.get().reviewed_at is None


def test_nor_does_the_database_let_them(olivia: Client, ana: Mapping) -> None:
    """The known-bad twin: code that forgot to ask."""
    seen(olivia, ana, GLASS)
    broken = BreakGlass.objects.get()
    facts = {"reviewed_by_id": broken.actor_id, "reviewed_at": timezone.now(), "was_justified": True}
    with pytest.raises(DatabaseError, match="nobody_reviews_their_own"), transaction.atomic():
        BreakGlass.objects.filter(pk=broken.pk).update(**facts)
    BreakGlass.objects.filter(pk=broken.pk).update(**facts | {"reviewed_by_id": "user:2000"})


def test_a_review_is_made_once(olivia: Client, otto: Client, ana: Mapping) -> None:
    event = seen(olivia, ana, GLASS)
    otto.post(review_of(event), SAID)
    assert "reviewed already" in text(otto.post(review_of(event), SAID | {"justified": "no"}))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL pgtrigger.ignore = '{reviewed_once,is_reviewed}'")
    with pytest.raises(DatabaseError, match="reviewed once"), transaction.atomic():
        BreakGlass.objects.update(was_justified=False)
    with pytest.raises(DatabaseError), transaction.atomic():
        BreakGlass.objects.all().delete()
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        BreakGlass.objects.update(actor_name="somebody else")


def test_after_a_day_it_is_overdue_and_red_on_the_start_page(
    olivia: Client, otto: Client, aaron: Client, ana: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = seen(olivia, ana, GLASS)
    assert "Broken glass to review" in text(otto.get("/admin/"))
    assert "figure--bad" not in _card(text(otto.get("/admin/")))
    monkeypatch.setattr(break_glass, "DUE", datetime.timedelta(0))
    assert "figure--bad" in _card(text(otto.get("/admin/")))
    assert "1 overdue" in text(aaron.get("/admin/"))
    assert "overdue" in text(otto.get(LEDGER))
    otto.post(review_of(event), SAID)
    assert "Broken glass to review" not in text(otto.get("/admin/"))


def _card(page: str) -> str:
    """The card of broken glass on the start page, from its opening tag."""
    before, _, _ = page.partition("Broken glass to review")
    return before[before.rindex("figure ") - 20 :] if "figure " in before else before[-300:]


def test_a_review_in_another_enterprise_is_not_there(olivia: Client, ana: Mapping, rival: Enterprise) -> None:
    event = seen(olivia, ana, GLASS)
    stranger = cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=rival, name="rita"))
    assert stranger.get(review_of(event)).status_code == 404
    assert stranger.post(review_of(event), SAID).status_code == 404
