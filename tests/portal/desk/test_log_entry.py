"""One exchange: the sentence, the masks, the proof, and the record that somebody looked."""

import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import Api, AuditEvent, Outcome, PayloadEntry
from audit.vocabulary import Action
from portal.desk.log_bodies import PROOFS, WHY
from portal.desk.verdicts import REFUSALS, verdict
from tests.portal.desk.exchanges import logged
from tests.tokens.api import cast as api_cast
from tokens.api.errors import ErrorCode
from tokens.log.rebuild import Proof
from tokens.models import AttributeSet, Enterprise, Mapping
from tokens.payload.display import Reason


def page_of(browser: Client, entry: PayloadEntry | object) -> str:
    entry_id = entry.pk if isinstance(entry, PayloadEntry) else entry
    response = browser.get(f"/admin/log/{entry_id}/")
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def test_bodies_stand_side_by_side_with_masks_and_their_proof(
    olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    entry = api_cast.entry_of(
        caller.resolve(api_cast.ask(ana.token), api_cast.ask("ben@mail.example", "r-2"))
    )
    page = page_of(olivia, entry)
    assert ana.token in page
    assert "a•••@m•••.example" in page
    assert "b•••@m•••.example" in page
    assert page.count(PROOFS[Proof.PROVEN][2]) == 2
    assert WHY[Reason.CLEAR_VALUE] in page
    assert WHY[Reason.FOREIGN_TOKEN] in page
    assert WHY[Reason.ATTRIBUTES] in page


def test_no_clear_value_stands_anywhere_on_the_page(
    olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    answers = [
        caller.resolve(api_cast.ask(ana.token), api_cast.ask("ben@mail.example", "r-2")),
        caller.get_token(
            api_cast.want("ana@mail.example"), api_cast.want("not an address", "r-2", kind="Email")
        ),
    ]
    for answer in answers:
        page = page_of(olivia, api_cast.entry_of(answer))
        for clear in ("ana@mail.example", "ben@mail.example", "not an address", "São Paulo", ">Ana<"):
            assert clear not in page


def test_that_somebody_looked_is_recorded(olivia: Client, acme: Enterprise) -> None:
    entry_id = logged(acme)
    page_of(olivia, entry_id)
    event = AuditEvent.objects.get(action=Action.ENTRY_VIEWED)
    assert (event.actor_name, event.target_id, event.enterprise_id) == ("olivia", str(entry_id), acme.pk)


def test_an_entry_of_another_enterprise_is_not_there(olivia: Client, rival: Enterprise) -> None:
    entry_id = logged(rival)
    assert olivia.get(f"/admin/log/{entry_id}/").status_code == 404
    assert not AuditEvent.objects.filter(action=Action.ENTRY_VIEWED).exists()


def test_what_was_erased_reads_destroyed_and_the_proof_says_why(
    olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    entry = api_cast.entry_of(caller.resolve(api_cast.ask(ana.token)))
    Mapping.objects.filter(pk=ana.pk).update(state=2, value=None)
    AttributeSet.objects.update(payload=None)
    page = page_of(olivia, entry)
    assert "hole--gone" in page
    assert PROOFS[Proof.DESTROYED][2] in page
    assert PROOFS[Proof.PROVEN][2] in page  # the request held nothing of hers but the token


def test_oddities_are_explained_once_for_each_kind(
    olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    answer = caller.resolve(
        api_cast.ask(ana.token, "r-1", subscriberKey="SUB-OTHER"),
        api_cast.ask("ben@mail.example", "r-2"),
        api_cast.ask("clo@mail.example", "r-3"),
    )
    page = page_of(olivia, api_cast.entry_of(answer))
    assert "The subscriber key does not hold this token" in page
    assert page.count("A clear value was sent where a token belongs") == 1
    assert "and 1 more" in page


def test_a_call_can_be_copied_with_its_masks(
    olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    page = page_of(olivia, api_cast.entry_of(caller.get_token(api_cast.want("ana@mail.example"))))
    [curl] = re.findall(r'<pre class="snippet" id="curl">(.*?)</pre>', page, re.DOTALL)
    assert "/api/v1/tokens/get" in curl
    assert "a•••@m•••.example" in curl
    assert caller.secret not in curl


def test_what_a_caller_wrote_is_shown_as_text(
    olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    script = "<script>alert(1)</script>"
    answer = caller.resolve(api_cast.ask(ana.token, script), headers={"User-Agent": script})
    raw = olivia.get(f"/admin/log/{answer['X-Request-ID']}/").content.decode()
    assert script not in raw
    assert html.escape(script) in raw


def test_the_link_to_a_client_is_for_who_may_see_it(
    olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    page = page_of(olivia, api_cast.entry_of(caller.resolve(api_cast.ask(ana.token))))
    assert f'href="/admin/clients/{caller.client.client_id}/"' in page


def test_five_hundred_items_cost_as_many_queries_as_one(
    olivia: Client, acme: Enterprise, caller: api_cast.MarketingCloud
) -> None:
    def queries(items: int) -> int:
        answer = caller.get_token(*[api_cast.want(f"p{n}@mail.example", f"r-{n}") for n in range(items)])
        with CaptureQueriesContext(connection) as captured:
            page_of(olivia, api_cast.entry_of(answer))
        return len(captured)

    assert queries(1) == queries(500) <= 16


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"items_asked": 1, "items_answered": 1}, "Journeys asked for 1 token. It was resolved."),
        (
            {"items_asked": 500, "items_answered": 500},
            "Journeys asked for 500 tokens. All 500 were resolved.",
        ),
        (
            {"items_asked": 3, "items_answered": 1, "outcome": Outcome.PARTIAL},
            "Journeys asked for 3 tokens. 1 was resolved, 2 were not.",
        ),
        (
            {"items_asked": 2, "items_answered": 0, "outcome": Outcome.NONE, "api": Api.GET_TOKEN},
            "Journeys asked for 2 values. None was answered with a token.",
        ),
        ({"items_asked": 0, "items_answered": 0}, "Journeys sent an empty batch and got an empty answer."),
        (
            {"status": 403, "outcome": Outcome.REFUSED, "error": "address_not_allowed"},
            "Journeys was refused with 403: the call came from an address that is not allowed.",
        ),
        (
            {"status": 503, "outcome": Outcome.FAILED, "error": "unavailable"},
            "Journeys got no answer, only 503: the portal could not answer.",
        ),
        ({"api": Api.OAUTH}, "Journeys got a bearer token."),
    ],
)
def test_the_first_sentence_says_what_happened(acme: Enterprise, facts: Any, sentence: str) -> None:
    entry = PayloadEntry.objects.get(pk=logged(acme, **facts))
    assert verdict(entry).sentence == sentence


def test_every_code_of_the_api_has_words() -> None:
    never_logged = {"not_found", "method_not_allowed"}
    assert {code.code for code in ErrorCode} - never_logged <= set(REFUSALS)


def test_every_reason_and_every_proof_has_words() -> None:
    assert set(WHY) == set(Reason)
    assert set(PROOFS) == set(Proof)
