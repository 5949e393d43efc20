"""Unsubscribing by hand: blocked at Resolve from the next request on, recorded once, never changed."""

import html
import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import AuditEvent
from audit.trail import SYSTEM
from audit.vocabulary import Action
from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import let_through
from tokens.enterprises import create_business_unit
from tokens.models import ConsentEvent, Enterprise, Mapping

NEW = "/admin/unsubscribes/new/"


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def sent(acme: Enterprise, **changes: Any) -> dict[str, Any]:
    """A filled form."""
    facts = {
        "enterprise": acme.pk,
        "who": "ana@mail.example",
        "scope": "enterprise",
        "source": "officer",
        "asked_at": f"{timezone.now():%Y-%m-%dT%H:%M}",
        "form_id": uuid.uuid4(),
    }
    return facts | changes


def test_resolve_refuses_from_the_next_request_on(
    olivia: Client, acme: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    assert len(caller.resolve(api_cast.ask(ana.token)).json()["resolvedTokens"]) == 1
    answer = olivia.post(NEW, sent(acme), follow=True)
    assert "Resolve has refused this person's e-mail" in text(answer)
    assert caller.resolve(api_cast.ask(ana.token)).json()["resolvedTokens"] == []


def test_it_takes_two_clicks_from_home(olivia: Client, acme: Enterprise, ana: Mapping) -> None:
    assert f'href="{NEW}"' in text(olivia.get("/admin/"))  # first click
    page = text(olivia.get(NEW))
    prefilled = dict(re.findall(r'name="(form_id|asked_at|enterprise)" value="([^"]+)"', page))
    assert prefilled.keys() == {"form_id", "asked_at", "enterprise"}
    given = prefilled | {"who": "ana@mail.example", "scope": "enterprise", "source": "officer"}
    assert olivia.post(NEW, given).status_code == 302  # second click
    assert ConsentEvent.objects.count() == 1


def test_the_form_says_what_it_will_do_before_it_is_sent(olivia: Client, acme: Enterprise) -> None:
    page = text(olivia.get(NEW))
    assert "Resolve refuses the person in the very next request" in page
    assert "Resolve can't know the unit and goes on resolving" in page


def test_it_says_so_where_an_enterprise_does_not_block_at_resolve(olivia: Client, acme: Enterprise) -> None:
    let_through(acme)
    assert "set not to block at Resolve" in text(olivia.get(NEW))
    assert "Recorded, and not blocked at Resolve" in text(olivia.post(NEW, sent(acme), follow=True))


def test_a_number_that_may_be_a_mistyped_token_is_asked_about_before_it_is_recorded(
    olivia: Client, acme: Enterprise
) -> None:
    mistyped_token = "491618447515770"
    page = text(olivia.post(NEW, sent(acme, who=mistyped_token)))
    assert "no token of yours reads like it" in page
    assert 'name="sure"' in page
    assert ConsentEvent.objects.count() == 0
    olivia.post(NEW, sent(acme, who=mistyped_token, sure="on"))
    assert ConsentEvent.objects.count() == 1


def test_who_has_no_token_can_be_unsubscribed_and_stays_so_when_they_come(
    olivia: Client, acme: Enterprise, caller: api_cast.MarketingCloud
) -> None:
    olivia.post(NEW, sent(acme, who="zoe@mail.example"))
    token = caller.get_token(api_cast.want("zoe@mail.example")).json()["tokens"][0]["token"]
    assert caller.resolve(api_cast.ask(token)).json()["resolvedTokens"] == []


@pytest.mark.parametrize("spelled", [" {} ", "{}"])
def test_a_token_names_the_person_too(
    olivia: Client, acme: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud, spelled: str
) -> None:
    olivia.post(NEW, sent(acme, who=spelled.format(ana.token.upper())))
    assert caller.resolve(api_cast.ask(ana.token)).json()["resolvedTokens"] == []


def test_a_person_who_was_found_need_not_be_typed_again(
    olivia: Client, acme: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    address = f"{NEW}?mapping={ana.pk}"
    assert "a•••@m•••.example" in text(olivia.get(address))
    given = sent(acme)
    del given["who"]
    assert olivia.post(address, given).status_code == 302
    assert caller.resolve(api_cast.ask(ana.token)).json()["resolvedTokens"] == []


def test_a_person_of_another_enterprise_cannot_be_unsubscribed(
    ana: Mapping, acme: Enterprise, rival: Enterprise
) -> None:
    browser = cast.at_desk(Role.COMPLIANCE_OFFICER, rival)
    assert browser.post(NEW, sent(acme)).status_code == 200
    browser.post(f"{NEW}?mapping={ana.pk}", sent(rival, who="x"))
    assert not ConsentEvent.objects.exists()


def test_a_form_that_is_sent_twice_is_recorded_once(olivia: Client, acme: Enterprise, ana: Mapping) -> None:
    given = sent(acme)
    first, second = olivia.post(NEW, given), olivia.post(NEW, given)
    assert first["Location"] == second["Location"]
    assert ConsentEvent.objects.count() == 1


def test_a_form_that_is_sent_again_for_somebody_else_is_refused(olivia: Client, acme: Enterprise) -> None:
    given = sent(acme)
    olivia.post(NEW, given)
    page = text(olivia.post(NEW, given | {"who": "ben@mail.example"}))
    assert "give each opt-out an id of its own" in page
    assert ConsentEvent.objects.count() == 1


def test_evidence_is_sealed_and_the_act_recorded_without_the_value(
    olivia: Client, acme: Enterprise, ana: Mapping
) -> None:
    olivia.post(NEW, sent(acme, evidence="She rang on Monday: ana@mail.example", law="uk-pecr"))
    event = ConsentEvent.objects.get()
    assert event.evidence.open() == "She rang on Monday: ana@mail.example"
    act = AuditEvent.objects.get(action=Action.OPTED_OUT)
    assert (act.actor_name, act.target_id) == ("olivia", str(event.pk))
    page = text(olivia.get(f"/admin/unsubscribes/{event.pk}/"))
    assert "UK: PECR" in page
    assert "She rang" not in page
    assert "ana@mail.example" not in page + str(act.details)


def test_a_narrower_scope_names_its_unit_or_code(olivia: Client, acme: Enterprise, ana: Mapping) -> None:
    unit = create_business_unit(acme, mid="510001", name="Shop", actor=SYSTEM)
    assert "Choose the business unit" in text(olivia.post(NEW, sent(acme, scope="business-unit")))
    assert "Write the code" in text(olivia.post(NEW, sent(acme, scope="short-code")))
    answer = olivia.post(NEW, sent(acme, scope="business-unit", unit=unit.pk), follow=True)
    assert "Recorded, and not blocked at Resolve" in text(answer)
    assert ConsentEvent.objects.get().scope_id == "510001"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"who": "not an address"}, "neither a token of Acme nor a valid"),
        ({"asked_at": "2999-01-01T00:00"}, "This is in the future"),
        ({"asked_at": "yesterday"}, "Enter a valid date/time"),
        ({"source": "api"}, "not one of the available choices"),
        ({"form_id": ""}, "required"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_recorded(
    olivia: Client, acme: Enterprise, wrong: dict[str, str], said: str
) -> None:
    assert said in text(olivia.post(NEW, sent(acme, **wrong)))
    assert not ConsentEvent.objects.exists()


def test_the_list_shows_the_newest_first_and_only_ones_own(
    olivia: Client, acme: Enterprise, rival: Enterprise
) -> None:
    assert "Nothing here yet" in text(olivia.get("/admin/unsubscribes/"))
    for who in ("ana@mail.example", "+447700900123"):
        olivia.post(NEW, sent(acme, who=who))
    cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=rival, name="other")).post(
        NEW, sent(rival)
    )
    page = text(olivia.get("/admin/unsubscribes/"))
    shown = re.findall(r'class="row-link" href="/admin/unsubscribes/([^/]+)/"', page)
    ours = ConsentEvent.objects.filter(enterprise=acme).order_by("-pk")
    assert shown == [str(event.pk) for event in ours]
    assert "blocked at Resolve" in page
    assert len(re.findall("row-link", text(olivia.get("/admin/unsubscribes/?kind=2")))) == 1


def test_nothing_offers_to_change_or_delete_an_event(olivia: Client, acme: Enterprise, ana: Mapping) -> None:
    page = text(olivia.post(NEW, sent(acme), follow=True))
    event = ConsentEvent.objects.get()
    acts = {
        "/admin/search/",
        "/admin/logout/",
        f"/admin/unsubscribes/{event.pk}/act/",
    }  # moves its unsubscribe
    assert set(re.findall(r'method="post" action="([^"]+)"', page)) == acts
