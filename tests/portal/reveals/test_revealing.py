"""Revealing a clear value: one field, for a reason, recorded before it is opened, and not without end."""

import dataclasses
import re
import threading
import uuid
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections
from django.test import Client

from audit.models import AuditEvent
from audit.trail import Actor
from audit.vocabulary import Action
from portal.models import BreakGlass
from portal.reveals import caps, revealing
from portal.reveals.errors import OverHardCap, RevealError
from portal.reveals.reasons import Reason
from portal.reveals.revealing import Why, reveal
from portal.reveals.subjects import Subject, value_of
from portal.roles import Role
from tests.conftest import OwnDatabase
from tests.portal.desk import cast
from tests.portal.factor import code_of, show_factor
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tests.tokens.racing import race
from tokens.models import AttributeSet, Enterprise, Mapping

CLEAR = "ana@mail.example"
WHY = {"reason": "complaint", "case": "CS-2026-0815"}
GLASS = {"reason": "incident", "break_glass": "on", "explanation": "The mail server is leaking right now."}
OTTO = Actor("user:99", "otto", "192.0.2.9")


def address_of(mapping: Mapping) -> str:
    return f"/admin/people/{mapping.pk}/reveal/"


def reveals() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=Action.REVEALED).order_by("pk"))


def text(response: Any) -> str:
    return str(response.content.decode())


# -- one field, for a reason --------------------------------------------------------------------------------
def test_an_officer_sees_one_value_and_it_is_on_record(olivia: Client, ana: Mapping) -> None:
    assert CLEAR not in text(olivia.get(address_of(ana)))
    assert not reveals()
    response = olivia.post(address_of(ana), WHY)
    assert CLEAR in text(response)
    [event] = reveals()
    assert (event.actor_name, event.target_type, event.target_id) == ("olivia", "mapping", str(ana.pk))
    assert event.enterprise_id == ana.enterprise_id
    assert event.details == {
        "field": "value", "masked": "a•••@m•••.example", "reason": "complaint", "case": "CS-2026-0815",
    }  # fmt: skip
    assert event.remote_address == "127.0.0.1"


def test_the_page_is_kept_in_no_cache_and_masks_itself(olivia: Client, ana: Mapping) -> None:
    response = olivia.post(address_of(ana), WHY)
    assert "no-store" in response["Cache-Control"]
    page = text(response)
    assert 'data-hide-after="30"' in page
    assert 'data-mask="a•••@m•••.example"' in page
    assert f'<meta http-equiv="refresh" content="30;url=/admin/people/{ana.pk}/">' in page


@pytest.mark.parametrize(
    "missing",
    [
        {"case": "CS-1"},
        {"reason": "complaint"},
        {"reason": "curiosity", "case": "CS-1"},
        {"reason": "complaint", "case": " "},
        {"reason": "complaint", "case": "ana@mail.example"},
        {"reason": "complaint", "case": "13175550100"},
        {"reason": "incident", "break_glass": "on"},
        {"reason": "incident", "break_glass": "on", "explanation": "call +1 317 555 0100 at once"},
        {"reason": "incident", "break_glass": "on", "explanation": "it is ana@mail.example, hurry"},
    ],
)
def test_without_a_reason_and_a_case_nothing_is_shown(
    olivia: Client, ana: Mapping, missing: dict[str, str]
) -> None:
    assert CLEAR not in text(olivia.post(address_of(ana), missing)).replace(
        'value="ana@mail.example"', ""
    ).replace('value="it is ana@mail.example, hurry"', "")
    assert not reveals()


def test_one_attribute_of_a_contact(olivia: Client, ana: Mapping) -> None:
    page = text(olivia.get(f"/admin/people/{ana.pk}/"))
    assert "FirstName" in page
    assert "São Paulo" not in page
    links = re.findall(r'href="([^"]*/attributes/[^"]*)"', page)
    response = olivia.post(links[1], WHY)
    assert "São Paulo" in text(response)
    assert ">Ana<" not in text(response)
    [event] = reveals()
    assert (event.target_id, event.details["field"], event.details["masked"]) == (
        str(ana.pk),
        "attribute Town",
        "•••",
    )


def test_a_hole_of_a_logged_body(olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud) -> None:
    entry = api_cast.entry_of(
        caller.resolve(api_cast.ask(ana.token), api_cast.ask("nobody@else.example", "r-2"))
    )
    page = text(olivia.get(f"/admin/log/{entry.pk}/"))
    links = re.findall(rf'href="(/admin/log/{entry.pk}/[a-z]+/\d+/reveal/)"', page)
    shown = {link: text(olivia.post(link, WHY)) for link in links}
    assert sum(CLEAR in one for one in shown.values()) == 1
    assert sum("nobody@else.example" in one for one in shown.values()) >= 1
    of_ana = [event for event in reveals() if event.target_id == str(ana.pk)]
    assert len(of_ana) == 1, "her address; her attributes are several fields"
    assert all(event.request_id == entry.pk for event in reveals())
    assert olivia.post(f"/admin/log/{entry.pk}/request/99/reveal/", WHY).status_code == 404
    assert olivia.post(f"/admin/log/{entry.pk}/nonsense/0/reveal/", WHY).status_code == 404


def test_attributes_in_a_logged_body_are_revealed_one_by_one(
    olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    entry = api_cast.entry_of(caller.resolve(api_cast.ask(ana.token)))
    page = text(olivia.get(f"/admin/log/{entry.pk}/"))
    links = re.findall(rf'href="(/admin/log/{entry.pk}/response/\d+/reveal/)"', page)
    [choice] = [link for link in links if "Town" in text(olivia.get(link))]
    assert "Paulo" not in text(olivia.post(choice, WHY)), "no post opens the whole set"
    assert not reveals()
    _, town = re.findall(rf'href="({choice[:-7]}\d+/reveal/)"', text(olivia.get(choice)))
    shown = text(olivia.post(town, WHY))
    assert "São Paulo" in shown
    assert ">Ana<" not in shown
    [event] = reveals()
    assert event.details["field"].startswith("attribute Town in the response body, hole ")
    assert (event.target_id, event.request_id) == (str(ana.pk), entry.pk)
    assert olivia.post(f"{choice[:-7]}2/reveal/", WHY).status_code == 404
    assert olivia.post(f"/admin/log/{entry.pk}/response/0/0/reveal/", WHY).status_code == 404, "her address"


def test_what_was_erased_cannot_be_revealed(
    olivia: Client, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    entry = api_cast.entry_of(caller.resolve(api_cast.ask(ana.token)))
    [attributes] = AttributeSet.objects.all()
    Mapping.objects.filter(pk=ana.pk).update(state=2, value=None)
    AttributeSet.objects.update(payload=None)
    for address in (
        address_of(ana),
        f"/admin/people/{ana.pk}/attributes/{attributes.pk}/0/reveal/",
        f"/admin/log/{entry.pk}/response/0/reveal/",
    ):
        assert olivia.post(address, WHY).status_code == 404, address
    assert not reveals()


def test_attributes_of_somebody_else_are_not_reached_through_a_person(
    olivia: Client, acme: Enterprise, ana: Mapping
) -> None:
    api_cast.a_person(acme, "zoe@mail.example", "SUB-ZOE", (("FirstName", "Zoe"),))
    other = AttributeSet.objects.exclude(contact__links__mapping=ana).get()
    assert olivia.post(f"/admin/people/{ana.pk}/attributes/{other.pk}/0/reveal/", WHY).status_code == 404


# -- who may -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", [role for role in Role if role != Role.COMPLIANCE_OFFICER])
def test_nobody_else_reveals_and_nobody_else_is_offered_to(
    role: Role, acme: Enterprise, ana: Mapping
) -> None:
    browser = cast.at_desk(role, acme)
    assert browser.post(address_of(ana), WHY).status_code == 403
    assert "/reveal/" not in text(browser.get(f"/admin/people/{ana.pk}/"))
    assert not reveals()


def test_the_officer_of_another_enterprise_does_not(rival: Enterprise, ana: Mapping) -> None:
    assert cast.at_desk(Role.COMPLIANCE_OFFICER, rival).post(address_of(ana), WHY).status_code == 404


def test_the_second_factor_must_be_fresh_and_the_form_goes_on_after_it(
    acme: Enterprise, ana: Mapping
) -> None:
    user = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme)
    browser = cast.browser_of(user)
    show_factor(browser, user, ago=301)
    sent = browser.post(address_of(ana), WHY)
    assert sent["Location"].startswith("/admin/second-factor/confirm/")
    assert not reveals()
    done = browser.post("/admin/second-factor/confirm/", {"code": code_of(user), "next": address_of(ana)})
    assert CLEAR in text(done)
    assert len(reveals()) == 1


def test_a_session_without_a_factor_of_this_portal_reveals_nothing(acme: Enterprise, ana: Mapping) -> None:
    """As after a sign-in by a provider, however recent: allauth itself would let it pass."""
    user = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme)
    user.set_unusable_password()
    user.save()
    browser = cast.browser_of(user, shown=False)
    assert browser.post(address_of(ana), WHY)["Location"].startswith("/admin/second-factor/app/")
    assert not reveals()


# -- recorded first ----------------------------------------------------------------------------------------
def test_what_cannot_be_recorded_is_not_opened(
    olivia: Client, ana: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    watch(monkeypatch, opened)

    def refuse(*args: object, **kwargs: object) -> None:
        raise DatabaseError("no space left on device")

    monkeypatch.setattr(revealing.trail, "record", refuse)
    olivia.raise_request_exception = False
    response = olivia.post(address_of(ana), WHY)
    assert response.status_code == 500
    assert CLEAR not in text(response)
    assert opened == []


def test_if_it_were_not_recorded_first_the_value_would_be_shown(
    olivia: Client, ana: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin: the same page with a record that does nothing."""
    opened: list[str] = []
    watch(monkeypatch, opened)
    monkeypatch.setattr(revealing.trail, "record", lambda *args, **kwargs: uuid.uuid4())
    assert CLEAR in text(olivia.post(address_of(ana), WHY))
    assert opened == ["value"]
    assert not reveals()


def watch(monkeypatch: pytest.MonkeyPatch, opened: list[str]) -> None:
    """Notes which subjects the verb opens; that a mask was made before is no opening."""
    original = revealing.reveal

    def noting(subject: Subject, why: Why, **others: Any) -> Any:
        def note() -> str:
            opened.append(subject.field)
            return subject.open()

        return original(dataclasses.replace(subject, open=note), why, **others)

    monkeypatch.setattr("portal.desk.reveal.reveal", noting)


def test_the_record_is_committed_before_the_value_is_opened(own_database: OwnDatabase) -> None:
    acme = an_enterprise("Acme")
    mapping = Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.ANA))
    subject = value_of(mapping)
    assert subject is not None
    seen: list[int] = []

    def open_and_look() -> str:
        with connections["owner"].cursor() as cursor:  # another session: sees what is committed
            cursor.execute("SELECT count(*) FROM audit_auditevent WHERE action = 'person.revealed'")
            [count] = cursor.fetchone() or [0]
            seen.append(count)
        return "opened"

    watched = dataclasses.replace(subject, open=open_and_look)
    assert reveal(watched, Why(Reason.COMPLAINT, "CS-1"), actor=OTTO).value == "opened"
    assert seen == [1]


def test_a_value_that_was_altered_is_not_shown_and_an_alarm_is_raised(
    olivia: Client, acme: Enterprise, ana: Mapping
) -> None:
    other = Mapping.objects.get(token=api_cast.a_person(acme, "zoe@mail.example", "SUB-ZOE"))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tokens_mapping SET value = (SELECT value FROM tokens_mapping WHERE id = %s) WHERE id = %s",
            [other.pk, ana.pk],
        )
    response = olivia.post(address_of(ana), WHY)
    assert "zoe" not in text(response)
    assert "does not open" in text(response)
    assert AuditEvent.objects.filter(action=Action.ALARM_CANNOT_OPEN).count() == 1


# -- caps ---------------------------------------------------------------------------------------------------
def test_beyond_the_soft_cap_an_alarm_is_raised_once(olivia: Client, ana: Mapping, settings: Any) -> None:
    settings.REVEALS_SOFT_CAP = 2
    pages = [text(olivia.post(address_of(ana), WHY)) for _ in range(4)]
    assert ["an alarm was raised" in page for page in pages] == [False, False, True, True]
    [alarm] = AuditEvent.objects.filter(action=Action.ALARM_REVEAL_CAP)
    assert (alarm.target_name, alarm.details) == ("olivia", {"cap": 2})


def test_beyond_the_hard_cap_it_is_refused_with_the_way_on(
    olivia: Client, ana: Mapping, settings: Any
) -> None:
    settings.REVEALS_SOFT_CAP, settings.REVEALS_HARD_CAP = 1, 2
    for _ in range(2):
        assert CLEAR in text(olivia.post(address_of(ana), WHY))
    refused = text(olivia.post(address_of(ana), WHY))
    assert CLEAR not in refused
    assert "Ask a colleague" in refused
    assert len(reveals()) == 2
    assert AuditEvent.objects.filter(action=Action.REVEAL_REFUSED).count() == 1
    assert CLEAR in text(olivia.post(address_of(ana), GLASS)), "broken glass opens"


def test_caps_are_of_a_person_in_all_enterprises(acme: Enterprise, rival: Enterprise, settings: Any) -> None:
    settings.REVEALS_HARD_CAP = 1
    browser = cast.at_desk(Role.COMPLIANCE_OFFICER)
    here = Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.ANA))
    there = Mapping.objects.get(token=api_cast.a_person(rival, *api_cast.ANA))
    assert CLEAR in text(browser.post(address_of(here), WHY))
    assert CLEAR not in text(browser.post(address_of(there), WHY))


RACERS = 12


def raced(settings: Any) -> int:
    """How many of RACERS reveals at once get through a cap of three."""
    settings.REVEALS_HARD_CAP = 3
    acme = an_enterprise("Acme")
    mapping = Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.ANA))

    def job(_: object) -> str:
        subject = value_of(Mapping.objects.get(pk=mapping.pk))
        assert subject is not None
        return reveal(subject, Why(Reason.COMPLAINT, "CS-1"), actor=OTTO).value

    shown, errors = race(RACERS, job)
    assert {type(error) for error in errors} <= {OverHardCap}
    assert len(shown) == len(reveals())
    return len(shown)


def test_reveals_at_once_pass_no_more_than_the_cap(own_database: OwnDatabase, settings: Any) -> None:
    assert raced(settings) == 3


def test_without_the_lock_they_would(
    own_database: OwnDatabase, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin: every one counts before any records."""
    gate = threading.Barrier(RACERS)

    def unlocked(actor_id: str) -> caps.Use:
        use = caps.use_of(actor_id)
        gate.wait(60)
        return use

    monkeypatch.setattr(caps, "locked", unlocked)
    assert raced(settings) == RACERS


@pytest.mark.parametrize(
    ("days", "usual"), [((), 10), ((1, 2, 3), 10), ((8, 8, 8), 24), ((2, 2, 100), 10), ((4, 5, 6, 7), 16)]
)
def test_unusual_is_three_times_ones_own_median_and_more_than_ten(days: tuple[int, ...], usual: int) -> None:
    assert caps.usual(days) == usual


def test_the_first_beyond_what_is_usual_raises_an_alarm(olivia: Client, ana: Mapping) -> None:
    for _ in range(caps.UNUSUAL_FROM):
        olivia.post(address_of(ana), WHY)
    assert not AuditEvent.objects.filter(action=Action.ALARM_UNUSUAL_REVEALS).exists()
    for _ in range(2):
        olivia.post(address_of(ana), WHY)
    [alarm] = AuditEvent.objects.filter(action=Action.ALARM_UNUSUAL_REVEALS)
    assert alarm.details == {"usual": 10}


# -- nothing clear stays ------------------------------------------------------------------------------------
def test_no_clear_value_gets_into_the_trail_the_session_or_an_address(olivia: Client, ana: Mapping) -> None:
    response = olivia.post(address_of(ana), WHY)
    assert CLEAR not in response.request["PATH_INFO"] + response.request["QUERY_STRING"]
    assert CLEAR not in str(dict(olivia.session))
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(e::text, ' ') FROM audit_auditevent e")
        [everything] = cursor.fetchone() or [""]
    assert CLEAR not in everything
    assert CLEAR.encode().hex() not in everything


def test_a_subject_does_not_print_what_it_hides(ana: Mapping) -> None:
    assert CLEAR not in repr(value_of(ana))


def test_errors_are_sentences() -> None:
    assert all(str(error()).endswith(".") for error in RevealError.__subclasses__())


def test_broken_glass_needs_no_case_and_waits_for_a_review(olivia: Client, ana: Mapping) -> None:
    assert CLEAR in text(olivia.post(address_of(ana), GLASS))
    [event] = reveals()
    assert event.details["break_glass"] is True
    assert BreakGlass.objects.get().pk == event.pk
    assert AuditEvent.objects.filter(action=Action.ALARM_BREAK_GLASS).count() == 1
