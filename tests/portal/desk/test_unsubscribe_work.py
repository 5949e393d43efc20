"""The desk of unsubscribes: the most urgent first, moved by buttons, closed by two, with a receipt for each."""

import datetime
import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.approvals import requests
from audit.models import ApprovalRequest, AuditEvent
from audit.trail import SYSTEM
from audit.vocabulary import Action
from portal.desk import unsubscribe_work
from portal.roles import Role
from tests.portal.desk import asking, cast
from tests.tokens.cast import an_enterprise
from tokens.consent import unsubscribes
from tokens.consent.opt_outs import record_opt_out
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, Mapping, Unsubscribe, WriteBack

WORK = "/admin/unsubscribes/open/"
SEVERAL = f"{WORK}act/"
DAY = datetime.timedelta(days=1)
State = Unsubscribe.State


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def opened(enterprise: Enterprise, name: str = "ana", *, days_ago: int = 0, **changes: Any) -> Unsubscribe:
    facts: dict[str, Any] = {
        "kind": Kind.EMAIL,
        "raw_value": f"{name}@mail.example",
        "source": ConsentEvent.Source.FILE,
        "source_id": name,
        "occurred_at": timezone.now() - days_ago * DAY,
        "law": "can-spam",
        "actor": SYSTEM,
    }
    return Unsubscribe.objects.get(event=record_opt_out(enterprise, **(facts | changes)))


def shown(page: str) -> list[str]:
    return re.findall(r'class="row-link" href="/admin/unsubscribes/([^/]+)/"', page)


def does(browser: Client, row: Unsubscribe, act: str, **more: Any) -> Any:
    return browser.post(f"/admin/unsubscribes/{row.pk}/act/", {"act": act} | more, follow=True)


def now(row: Unsubscribe) -> Unsubscribe:
    return Unsubscribe.objects.get(pk=row.pk)


# -- the list -----------------------------------------------------------------------------------------------
def test_what_is_due_first_stands_first_and_what_is_closed_or_not_ours_is_missing(
    olivia: Client, acme: Enterprise, rival: Enterprise
) -> None:
    calm, late, soon = (
        opened(acme, "calm"),
        opened(acme, "late", days_ago=40),
        opened(acme, "soon", days_ago=8),
    )
    opened(rival, "theirs")
    done = opened(acme, "done")
    unsubscribes.prove(done.pk, Unsubscribe.Proof.READ_BACK)
    unsubscribes.close(done.pk, actor=SYSTEM)
    page = text(olivia.get(WORK))
    assert shown(page) == [str(row.pk) for row in (late, soon, calm)]
    assert page.count("overdue</span>") == 1
    assert "1 overdue" in text(olivia.get("/admin/"))


def test_the_list_can_be_narrowed(olivia: Client, acme: Enterprise) -> None:
    mine, other = opened(acme, "mine"), opened(acme, "other", law="casl")
    does(olivia, mine, "take")
    assert shown(text(olivia.get(f"{WORK}?owner=me"))) == [str(mine.pk)]
    assert shown(text(olivia.get(f"{WORK}?owner=nobody"))) == [str(other.pk)]
    assert shown(text(olivia.get(f"{WORK}?law=casl"))) == [str(other.pk)]
    assert shown(text(olivia.get(f"{WORK}?state=written"))) == []


def test_those_that_marketing_cloud_could_not_be_told_of_are_found(olivia: Client, acme: Enterprise) -> None:
    dead, waits = opened(acme, "dead"), opened(acme, "waits")
    for row, state in ((dead, WriteBack.State.DEAD), (waits, WriteBack.State.PENDING)):
        WriteBack.objects.create(unsubscribe=row, enterprise=acme, state=state)
    assert shown(text(olivia.get(f"{WORK}?told=dead"))) == [str(dead.pk)]


def test_a_long_list_costs_as_many_statements_as_a_short_one(olivia: Client, acme: Enterprise) -> None:
    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            olivia.get(WORK)
        return len(caught)

    opened(acme, "first")
    short = statements()
    for number in range(20):
        opened(acme, f"p{number}")
    assert statements() == short


def test_an_empty_list_says_what_to_do(olivia: Client, acme: Enterprise) -> None:
    assert "Nothing is open" in text(olivia.get(WORK))


# -- one ----------------------------------------------------------------------------------------------------
def test_two_people_close_what_marketing_cloud_does_not_prove(olivia: Client, acme: Enterprise) -> None:
    row = opened(acme)
    assert "I unsubscribed them in Marketing Cloud" in text(olivia.get(f"/admin/unsubscribes/{row.pk}/"))
    assert "nothing proves" in text(does(olivia, row, "close"))
    page = text(does(olivia, row, "written"))
    assert "Ask a second person to confirm" in page
    asked_why = text(does(olivia, row, "confirm"))
    assert "Ask a second person" in asked_why
    assert "counts as carried out" in asked_why
    does(olivia, row, "confirm", reason="Seen in All Subscribers.")
    asked = ApprovalRequest.objects.get()
    assert now(row).state == State.WRITTEN
    page = text(olivia.get(f"/admin/unsubscribes/{row.pk}/"))
    assert f"/admin/approvals/{asked.pk}/" in page
    second = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name="second")
    requests.approve(asked.pk, actor=asking.actor(second))
    assert (now(row).state, now(row).proof) == (State.CLOSED, Unsubscribe.Proof.SECOND_PERSON)


def test_the_clock_is_stopped_and_extended_with_a_reason(olivia: Client, acme: Enterprise) -> None:
    row = opened(acme)
    assert "required" in text(does(olivia, row, "extend", days="3"))
    assert "Leave addresses" in text(does(olivia, row, "pause", reason="asked ana@mail.example"))
    does(olivia, row, "extend", days="3", reason="The tenant is away.")
    assert now(row).due_at > row.due_at
    does(olivia, row, "pause", reason="Asked who they are.")
    assert "clock stands" in text(olivia.get(WORK))
    page = text(does(olivia, row, "resume"))
    assert "The tenant is away." in page
    told = AuditEvent.objects.filter(target_type="unsubscribe", target_id=str(row.pk))
    assert set(told.values_list("action", flat=True)) == {
        Action.UNSUBSCRIBE_EXTENDED, Action.UNSUBSCRIBE_PAUSED, Action.UNSUBSCRIBE_RESUMED,
    }  # fmt: skip


def test_the_receipt_says_who_did_what_and_where_it_is_sealed(
    olivia: Client, acme: Enterprise, ana: Mapping
) -> None:
    row = opened(acme)
    does(olivia, row, "take")
    page = text(olivia.get(f"/admin/unsubscribes/{row.pk}/receipt/"))
    assert "Receipt of an opt-out" in page
    assert "took on an unsubscribe" in page
    assert "recorded an opt-out" in page
    assert "waits for its seal" in page
    assert ana.token in page
    assert "ana@mail.example" not in page


def test_an_auditor_reads_and_moves_nothing(aaron: Client, acme: Enterprise) -> None:
    row = opened(acme)
    page = text(aaron.get(f"/admin/unsubscribes/{row.pk}/"))
    assert f"/admin/unsubscribes/{row.pk}/act/" not in page
    assert does(aaron, row, "take").status_code == 403
    assert "Take those ticked" not in text(aaron.get(WORK))
    assert now(row).owner_id == ""


def test_who_may_act_elsewhere_only_may_not_act_here(acme: Enterprise) -> None:
    rival, row = an_enterprise("Rival"), opened(acme)
    both = cast.somebody(Role.AUDITOR, enterprise=acme, name="both")
    both.memberships.create(role=Role.COMPLIANCE_OFFICER, enterprise=rival)
    assert does(cast.browser_of(both), row, "take").status_code in (403, 404)
    cast.browser_of(both).post(SEVERAL, {"act": "take", "row": [str(row.pk)]})
    assert now(row).owner_id == ""


# -- telling Marketing Cloud --------------------------------------------------------------------------------
def test_why_marketing_cloud_could_not_be_told_is_said_and_can_be_tried_again(
    olivia: Client, acme: Enterprise
) -> None:
    row = opened(acme)
    sent = WriteBack.objects.create(
        unsubscribe=row, enterprise=acme, state="dead", trouble="no_such_subscriber"
    )
    assert "no subscriber under any of their keys" in text(olivia.get(f"/admin/unsubscribes/{row.pk}/"))
    does(olivia, row, "retry")
    sent.refresh_from_db()
    assert sent.state == "pending"
    WriteBack.objects.update(trouble="MissingScope")
    assert "lacks the scope" in text(olivia.get(f"/admin/unsubscribes/{row.pk}/"))


# -- lifting ------------------------------------------------------------------------------------------------
def test_later_consent_lifts_it_when_a_second_person_approves(
    olivia: Client, acme: Enterprise, ana: Mapping
) -> None:
    row = opened(acme, days_ago=9)
    address = f"/admin/unsubscribes/{row.pk}/lift/"
    assert address in text(olivia.get(f"/admin/unsubscribes/{row.pk}/"))
    given = {
        "consented_at": f"{timezone.now():%Y-%m-%dT%H:%M}",
        "evidence": "file DOI-2026-7",
        "reason": "asked",
    }
    assert "Leave addresses" in text(olivia.post(address, given | {"evidence": "of ana@mail.example"}))
    assert "later" in text(olivia.post(address, given | {"consented_at": "2020-01-01T00:00"})).lower()
    assert "stay unsubscribed" in text(olivia.post(address, given, follow=True))
    second = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name="second")
    requests.approve(ApprovalRequest.objects.get().pk, actor=asking.actor(second))
    page = text(olivia.get(f"/admin/unsubscribes/{row.pk}/"))
    assert "Lifted: the person consented anew" in page
    assert address not in page
    assert olivia.get(address).status_code == 302
    opt_in = ConsentEvent.objects.get(action="opt-in")
    assert "Renewed consent" in text(olivia.get(f"/admin/unsubscribes/{opt_in.pk}/"))


# -- several ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("act", "state"), [("take", State.BLOCKED), ("written", State.WRITTEN)])
def test_several_are_moved_at_once(olivia: Client, acme: Enterprise, act: str, state: str) -> None:
    rows = [opened(acme, f"p{number}") for number in range(3)]
    page = text(
        olivia.post(
            SEVERAL, {"act": act, "row": [str(row.pk) for row in rows[:2]], "back": f"{WORK}?law=can-spam"},
            follow=True,
        )
    )  # fmt: skip
    assert page.count("row-link") == 3
    assert [now(row).state for row in rows] == [state, state, State.BLOCKED]


def test_what_cannot_be_done_is_said(olivia: Client, acme: Enterprise) -> None:
    one, other = opened(acme, "one"), opened(acme, "other")
    does(olivia, one, "written")
    page = text(olivia.post(SEVERAL, {"act": "written", "row": [one.pk, other.pk]}, follow=True))
    assert "1 marked as unsubscribed in Marketing Cloud." in page
    assert "1 left as they were" in page


@pytest.mark.parametrize(
    "sent", [{}, {"act": "take"}, {"act": "close", "row": ["1"]}, {"act": "take", "row": ["no id"]}]
)
def test_nothing_ticked_or_nothing_known_is_said(
    olivia: Client, acme: Enterprise, sent: dict[str, Any]
) -> None:
    opened(acme)
    for back in ("https://elsewhere.example/", "//elsewhere.example/", "foo"):
        answer = olivia.post(SEVERAL, sent | {"back": back}, follow=True)
        assert answer.redirect_chain == [(WORK, 302)]
    assert "Tick some rows" in text(answer)


# -- all that match -------------------------------------------------------------------------------------------
def all_of(browser: Client, count: object, *, back: str = WORK, act: str = "written") -> str:
    return text(browser.post(f"{WORK}act/", {"act": act, "count": str(count), "back": back}, follow=True))


def test_all_that_match_the_filter_are_worked_also_those_that_are_not_shown(
    olivia: Client, acme: Enterprise, rival: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsubscribe_work, "SHOWN", 1)
    mine = [opened(acme, f"p{number}", law="casl") for number in range(3)]
    other, theirs = opened(acme, "other"), opened(rival, "theirs", law="casl")
    assert "3 match." in text(olivia.get(f"{WORK}?law=casl"))
    assert "3 marked as unsubscribed" in all_of(olivia, 3, back=f"{WORK}?law=casl")
    assert {now(row).state for row in mine} == {State.WRITTEN}
    assert {now(row).state for row in (other, theirs)} == {State.BLOCKED}


@pytest.mark.parametrize("typed", ["", "1", "3", "all"])
def test_another_number_than_match_does_nothing(olivia: Client, acme: Enterprise, typed: str) -> None:
    rows = [opened(acme, f"p{number}") for number in range(2)]
    assert "Nothing was done" in all_of(olivia, typed)
    assert {now(row).state for row in rows} == {State.BLOCKED}


def test_too_many_are_filtered_first(
    olivia: Client, acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsubscribe_work, "MOST_AT_ONCE", 1)
    rows = [opened(acme, f"p{number}") for number in range(2)]
    assert "More than 1 match" in text(olivia.get(WORK))
    assert "Nothing was done" in all_of(olivia, 2)
    assert {now(row).state for row in rows} == {State.BLOCKED}
