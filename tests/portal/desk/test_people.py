"""Finding a person by exact value or token: by POST only, recorded, masked, and within one's enterprises."""

import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import AuditEvent
from audit.trail import SYSTEM
from audit.vocabulary import Action
from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.api import cast as api_cast
from tokens.consent.opt_outs import record_opt_out
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, Mapping

PEOPLE = "/admin/people/"


def search(browser: Client, what: str, address: str = PEOPLE) -> Any:
    return browser.post(address, {"what": what})


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def opt_out(acme: Enterprise, **person: Any) -> ConsentEvent:
    return record_opt_out(
        acme,
        source=ConsentEvent.Source.OFFICER,
        source_id="1",
        occurred_at=timezone.now(),
        actor=SYSTEM,
        **person,
    )


@pytest.mark.parametrize("what", ["ana@mail.example", " ANA@Mail.Example "])
def test_a_person_is_found_by_address_in_any_spelling(olivia: Client, ana: Mapping, what: str) -> None:
    assert search(olivia, what)["Location"] == f"/admin/people/{ana.pk}/"


def test_a_person_is_found_by_token_and_by_number(olivia: Client, acme: Enterprise, ana: Mapping) -> None:
    token = api_cast.a_person(acme, *api_cast.CLO)
    clo = Mapping.objects.get(token=token)
    for what, mapping in ((ana.token.upper(), ana), ("+44 7700 900123", clo), (token, clo)):
        assert search(olivia, what)["Location"] == f"/admin/people/{mapping.pk}/"


def test_part_of_a_value_finds_nobody(olivia: Client, ana: Mapping) -> None:
    for what in ("ana", "ana@", "@mail.example", "ana@mail", "%", ana.token[:10]):
        assert search(olivia, what).status_code == 200


def test_nobody_is_browsed(olivia: Client, ana: Mapping) -> None:
    page = text(olivia.get(PEOPLE))
    assert ana.token not in page
    assert "a•••" not in page


def test_the_value_that_was_looked_for_is_never_shown_again_but_masked(
    olivia: Client, acme: Enterprise
) -> None:
    page = text(search(olivia, "nobody.at.all@mail.example"))
    assert "nobody.at.all" not in page
    assert "Nothing is on record of" in page
    assert "n•••@m•••.example" in page


def test_a_person_of_another_enterprise_is_not_found_nor_shown(ana: Mapping, rival: Enterprise) -> None:
    browser = cast.at_desk(Role.COMPLIANCE_OFFICER, rival)
    assert "Nothing is on record of" in text(search(browser, "ana@mail.example"))
    assert "Nothing is on record of" in text(search(browser, ana.token))
    assert browser.get(f"/admin/people/{ana.pk}/").status_code == 404


def test_who_is_known_in_two_enterprises_is_shown_in_both(acme: Enterprise, rival: Enterprise) -> None:
    for enterprise in (acme, rival):
        api_cast.a_person(enterprise, *api_cast.ANA)
    page = text(search(cast.at_desk(Role.COMPLIANCE_OFFICER), "ana@mail.example"))
    assert len(re.findall(r'href="/admin/people/\d+/"', page)) == 2


def test_searching_and_looking_are_recorded_without_the_value(olivia: Client, ana: Mapping) -> None:
    search(olivia, "ana@mail.example")
    search(olivia, "nobody@mail.example")
    olivia.get(f"/admin/people/{ana.pk}/")
    acts = (
        AuditEvent.objects.filter(action__startswith="person.")
        .exclude(action=Action.SIGNED_IN)
        .order_by("pk")
    )
    assert [(event.action, event.target_id, event.details.get("found")) for event in acts] == [
        (Action.PERSON_SEARCHED, str(ana.pk), True),
        (Action.PERSON_SEARCHED, "", False),
        (Action.PERSON_VIEWED, str(ana.pk), None),
    ]
    said = " ".join(
        f"{event.details} {event.target_name} {event.header!r}" for event in AuditEvent.objects.all()
    )
    assert "@mail.example" not in said


def test_the_page_shows_token_keys_consent_and_the_exchanges_that_touched_the_person(
    olivia: Client, acme: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    hers = caller.resolve(api_cast.ask(ana.token))["X-Request-ID"]
    other = caller.get_token(api_cast.want("ben@mail.example"))["X-Request-ID"]
    page = text(olivia.get(f"/admin/people/{ana.pk}/"))
    assert ana.token in page
    assert "a•••@m•••.example" in page
    assert "SUB-ANA" in page
    assert "No opt-out: Resolve answers this e-mail" in page
    assert f"/admin/log/{hers}/" in page
    assert f"/admin/log/{other}/" not in page
    assert "ana@mail.example" not in page
    assert "São Paulo" not in page


def test_an_opt_out_is_the_first_thing_said(olivia: Client, acme: Enterprise, ana: Mapping) -> None:
    event = opt_out(acme, kind=Kind.EMAIL, mapping=ana)
    page = text(olivia.get(f"/admin/people/{ana.pk}/"))
    assert "Opted out of the whole enterprise: Resolve refuses this e-mail" in page
    assert f"/admin/unsubscribes/{event.pk}/" in page


def test_who_has_no_token_but_opted_out_is_still_found(olivia: Client, acme: Enterprise) -> None:
    opt_out(acme, kind=Kind.EMAIL, raw_value="zoe@mail.example")
    page = text(search(olivia, "zoe@mail.example"))
    assert "has no token here, but opted out" in page
    assert "zoe@" not in page


def test_exchanges_are_for_who_may_see_the_log(
    ana: Mapping, acme: Enterprise, caller: api_cast.MarketingCloud
) -> None:
    caller.resolve(api_cast.ask(ana.token))
    page = text(cast.at_desk(Role.DATA_ENGINEER, acme).get(f"/admin/people/{ana.pk}/"))
    assert ana.token in page
    assert "/admin/log/" not in page
    assert "Unsubscribe" not in page
    assert "?show=exchange" not in page
    assert "?show=sight" not in page


def test_only_an_officer_is_offered_to_unsubscribe(ana: Mapping, olivia: Client, aaron: Client) -> None:
    link = f"/admin/unsubscribes/new/?mapping={ana.pk}"
    assert link in text(olivia.get(f"/admin/people/{ana.pk}/"))
    assert link not in text(aaron.get(f"/admin/people/{ana.pk}/"))


def test_the_page_costs_a_fixed_number_of_queries(
    olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            olivia.get(f"/admin/people/{ana.pk}/")
        return len(captured)

    one = (caller.resolve(api_cast.ask(ana.token)), queries())[1]
    for number in range(60):
        caller.resolve(api_cast.ask(ana.token, f"r-{number}"))
    assert queries() == one <= 22


# -- the box on every page ----------------------------------------------------------------------------------
def test_the_box_finds_people_and_entries(
    olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    request_id = caller.resolve(api_cast.ask(ana.token))["X-Request-ID"]
    assert search(olivia, "ana@mail.example", "/admin/search/")["Location"] == f"/admin/people/{ana.pk}/"
    assert search(olivia, request_id, "/admin/search/")["Location"] == f"/admin/log/{request_id}/"


def test_the_box_of_who_may_not_search_people_finds_entries_only(
    ines: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    request_id = caller.resolve(api_cast.ask(ana.token))["X-Request-ID"]
    assert search(ines, request_id, "/admin/search/")["Location"] == f"/admin/log/{request_id}/"
    assert search(ines, "ana@mail.example", "/admin/search/")["Location"] == "/admin/log/"
    assert not AuditEvent.objects.filter(action=Action.PERSON_SEARCHED).exists()


def test_an_unknown_request_id_is_said_to_be_unknown(olivia: Client, acme: Enterprise) -> None:
    response = olivia.post("/admin/search/", {"what": "01a20087-8758-7dee-af73-045862f17182"}, follow=True)
    assert "has no entry 01a20087" in text(response)
