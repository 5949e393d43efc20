"""Access packs: everything on record of one person for a named case, masked, or in clear with a second person."""

import datetime
import html
import json
import re
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone

from audit.approvals import requests as approvals
from audit.models import ApprovalRequest, AuditEvent
from audit.trail import Actor
from audit.vocabulary import Action
from portal.desk.pack_html import POLICY
from portal.roles import Role
from tests.portal.desk import cast
from tests.portal.factor import show_factor
from tests.tokens.api import cast as api_cast
from tokens.consent.opt_outs import record_opt_out
from tokens.dossier import account, packs
from tokens.enterprises import create_enterprise
from tokens.formats.kinds import Kind
from tokens.models import AccessPack, ConsentEvent, Enterprise, Mapping
from tokens.models.mappings import State

# Everything of Ana that nobody may read in a masked pack.
CANARIES = ("ana@mail.example", "São Paulo", "S\\u00e3o", "Rang at noon", "4477009")


def page_of(mapping: Mapping) -> str:
    return f"/admin/people/{mapping.pk}/pack/"


def text(response: Any) -> str:
    parts = b"".join(response) if response.streaming else response.content
    return html.unescape(parts.decode())


def made(mapping: Mapping, browser: Client, **fields: Any) -> AccessPack:
    browser.post(page_of(mapping), {"case": "DSAR-7", "reason": ""} | fields)
    return AccessPack.objects.latest("pk")


def taken(pack: AccessPack, browser: Client, form: str = "json") -> Any:
    return browser.post(f"{page_of(pack.mapping)}{pack.pk}/", {"form": form})


@pytest.fixture
def storied(acme: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud, aaron: Client) -> Mapping:
    """Ana was resolved, opted out, was looked at by the auditor, and shares her key with a number."""
    caller.resolve(api_cast.ask(ana.token))
    record_opt_out(
        acme, kind=Kind.EMAIL, mapping=ana, source=ConsentEvent.Source.OFFICER, source_id="1",
        occurred_at=timezone.now(), evidence="Rang at noon.", actor=Actor("user:9", "otto"),
    )  # fmt: skip
    api_cast.a_person(acme, "447700900123", "SUB-ANA", api_cast.ANA[2])
    aaron.get(f"/admin/people/{ana.pk}/")
    return ana


def test_a_masked_pack_says_everything_and_no_clear_value(storied: Mapping, olivia: Client) -> None:
    said = text(taken(made(storied, olivia), olivia))
    pack = json.loads(said)
    assert pack["complete"] is True
    assert (pack["case"], pack["values"], pack["taken_by"]) == ("DSAR-7", "masked", "olivia")
    assert pack["person"]["token"] == storied.token
    assert pack["person"]["value"] == "a•••@m•••.example"
    [contact] = pack["contacts"]
    assert contact["subscriber_key"] == "SUB-ANA"
    assert [one["name"] for one in contact["attributes"]] == ["FirstName", "Town"]
    assert [one["outcome"] for one in pack["exchanges"]] == ["every item answered"]
    assert [(one["what"], one["in_force"]) for one in pack["consent"]] == [("opted out", True)]
    assert len(pack["other_identifiers_of_these_contacts"]) == 1
    page = text(taken(AccessPack.objects.get(), olivia, "html"))
    for canary in CANARIES:
        assert canary not in said
        assert canary not in page


def test_the_pack_says_who_saw_the_person_itself_included(storied: Mapping, olivia: Client) -> None:
    pack = json.loads(text(taken(made(storied, olivia), olivia)))
    assert [(one["who"], one["what"]) for one in pack["seen_by"]] == [
        ("olivia", "took an access pack"), ("olivia", "made an access pack"), ("aaron", "viewed a person's exchanges"),
    ]  # fmt: skip
    assert pack["seen_by"][0]["details"]["case"] == "DSAR-7"


def test_the_file_to_print_holds_the_same(storied: Mapping, olivia: Client) -> None:
    pack = made(storied, olivia)
    page = text(taken(pack, olivia, "html"))
    for part in (
        storied.token,
        "SUB-ANA",
        "a•••@m•••.example",
        "opted out",
        "aaron",
        "DSAR-7",
        "End of the pack.",
    ):
        assert part in page
    assert str(ConsentEvent.objects.get().pk) in text(taken(pack, olivia))


def test_the_file_loads_nothing_and_runs_nothing(storied: Mapping, olivia: Client) -> None:
    response = taken(made(storied, olivia), olivia, "html")
    assert response["Content-Security-Policy"] == f"{POLICY}; frame-ancestors 'none'"
    assert "no-store" in response["Cache-Control"]
    page = text(response)
    assert not re.findall(r"<(?:script|link|img|iframe)|\b(?:src|href|on\w+)\s*=", page)
    assert "script-src" not in POLICY
    assert POLICY in page


def test_what_a_payload_smuggled_in_is_shown_as_text(acme: Enterprise, ana: Mapping, olivia: Client) -> None:
    api_cast.a_person(acme, "ana@mail.example", "SUB-<script>alert(1)</script>", None)
    response = taken(made(ana, olivia), olivia, "html")
    assert b"<script" not in b"".join(response)


def test_masked_packs_stay_masked_when_the_form_asks_without_approval(
    storied: Mapping, olivia: Client
) -> None:
    """Ticking the box asks; it makes nothing."""
    olivia.post(
        page_of(storied), {"case": "DSAR-7", "clear": "on", "reason": "Art. 15 request, identity proven"}
    )
    assert not AccessPack.objects.exists()
    asked = ApprovalRequest.objects.get()
    assert (asked.state, asked.act, asked.affected) == ("pending", "person.access-pack", 1)
    assert "mail.example" not in json.dumps(
        [asked.parameters, asked.difference, asked.target_name, asked.blast_radius]
    )


def decided_by(name: str, acme: Enterprise) -> Actor:
    user = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name=name)
    return Actor(f"user:{user.pk}", user.username)


def test_in_clear_takes_a_second_person_and_serves_who_asked(
    storied: Mapping, acme: Enterprise, olivia: Client
) -> None:
    fields = {"case": "DSAR-7", "clear": "on", "reason": "Art. 15 request, identity proven"}
    olivia.post(page_of(storied), fields)
    approvals.approve(ApprovalRequest.objects.get().pk, actor=decided_by("omar", acme))
    pack = AccessPack.objects.get()
    assert (pack.clear, pack.made_by_name) == (True, "olivia")
    said = json.loads(text(taken(pack, olivia)))
    assert said["person"]["value"] == "ana@mail.example"
    assert said["contacts"][0]["attributes"] == [
        {"name": "FirstName", "value": "Ana"}, {"name": "Town", "value": "São Paulo"},
    ]  # fmt: skip
    assert said["consent"][0]["evidence"] == "Rang at noon."
    # A number can be shared: it has a pack of its own.
    assert "447700900123" not in json.dumps(said)
    events = AuditEvent.objects.filter(action=Action.PACK_TAKEN)
    assert [one.details["values"] for one in events] == ["in clear"]


def test_a_pack_in_clear_is_for_nobody_else(storied: Mapping, acme: Enterprise, olivia: Client) -> None:
    pack = packs.make(storied, case="DSAR-7", actor=Actor("user:12345", "otto"), clear=True)
    response = taken(pack, olivia)
    assert response.status_code == 302
    assert "only otto" in text(olivia.get(page_of(storied)))
    assert not AuditEvent.objects.filter(action=Action.PACK_TAKEN).exists()


def test_an_erased_person_has_no_pack_in_clear(storied: Mapping, olivia: Client) -> None:
    Mapping.objects.filter(pk=storied.pk).update(state=State.ERASED, value=None)
    page = text(olivia.post(page_of(storied), {"case": "D-1", "clear": "on", "reason": "asked"}))
    assert "the person was erased" in page
    assert json.loads(text(taken(made(storied, olivia), olivia)))["person"]["value"] == "erased"


def test_attributes_that_were_altered_are_said_not_to_open(storied: Mapping, olivia: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tokens_attributeset SET payload = set_byte(payload, 40, get_byte(payload, 40) # 1)"
        )
    pack = made(storied, olivia)
    assert json.loads(text(taken(pack, olivia)))["contacts"][0]["attributes"] == "does not open"
    assert "does not open" in text(taken(pack, olivia, "html"))


def test_a_sandbox_needs_no_second_person(db: None) -> None:
    box = create_enterprise(
        eid="9", name="Box", token_domain="tok.box.example", sandbox=True, actor=Actor("x", "x")
    )
    token = api_cast.a_person(box, *api_cast.ANA)
    ana = Mapping.objects.get(token=token)
    browser = cast.at_desk(Role.COMPLIANCE_OFFICER, box)
    pack = made(ana, browser, clear="on", reason="a trial")
    assert json.loads(text(taken(pack, browser)))["person"]["value"] == "ana@mail.example"


@pytest.mark.parametrize("case", ["", "ana@mail.example", "two words", "x" * 65, "-1"])
def test_a_case_is_a_number_and_no_place_for_a_name(ana: Mapping, olivia: Client, case: str) -> None:
    assert olivia.post(page_of(ana), {"case": case, "reason": ""}).status_code == 200
    assert not AccessPack.objects.exists()


def test_a_pack_expires(ana: Mapping, olivia: Client) -> None:
    pack = made(ana, olivia)
    with time_machine.travel(timezone.now() + datetime.timedelta(days=8), tick=False):
        user = cast.somebody(Role.COMPLIANCE_OFFICER, name="later")
        assert taken(pack, cast.browser_of(user)).status_code == 302
    assert not AuditEvent.objects.filter(action=Action.PACK_TAKEN).exists()


def test_a_pack_of_another_person_or_enterprise_does_not_open(
    acme: Enterprise, rival: Enterprise, ana: Mapping, olivia: Client
) -> None:
    ben = Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.BEN))
    pack = made(ana, olivia)
    assert olivia.post(f"{page_of(ben)}{pack.pk}/", {"form": "json"}).status_code == 404
    other = cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=rival, name="ruth"))
    assert taken(pack, other).status_code == 404


def test_a_long_history_is_read_in_portions(
    storied: Mapping, olivia: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "LINES_AT_A_TIME", 3)
    for _ in range(10):
        olivia.get(f"/admin/people/{storied.pk}/")
    pack = json.loads(text(taken(made(storied, olivia), olivia)))
    ids = [one["id"] for one in pack["seen_by"]]
    assert len(ids) == len(set(ids)) == 13
    assert ids == sorted(ids, reverse=True)


def test_in_clear_asks_for_the_second_factor_anew_and_masked_does_not(
    storied: Mapping, acme: Enterprise
) -> None:
    user = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name="omar")
    browser = cast.browser_of(user)
    show_factor(browser, user, ago=3600)
    omar = Actor(f"user:{user.pk}", user.username)
    clear, plain = (packs.make(storied, case="DSAR-7", actor=omar, clear=clear) for clear in (True, False))
    assert taken(clear, browser)["Location"].startswith("/admin/second-factor/confirm/")
    assert not AuditEvent.objects.filter(action=Action.PACK_TAKEN).exists()
    assert taken(plain, browser).status_code == 200
    show_factor(browser, user)
    assert json.loads(text(taken(clear, browser)))["person"]["value"] == "ana@mail.example"
