"""Legal holds: placed by one officer, released by two, seen wherever what they hold is seen, and stronger than time."""

import datetime
import html
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from audit import holds
from audit.approvals import requests as approvals
from audit.models import ApprovalRequest, AuditEvent, LegalHold, PayloadEntry
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal.roles import Role
from tests.audit.approving import without_triggers
from tests.conftest import OwnDatabase
from tests.portal.desk import asking, cast
from tests.portal.desk.exchanges import logged
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tokens.crypto import key_destruction
from tokens.crypto.key_destruction import destroy_expired_day_keys
from tokens.crypto.keyset import DataKey, Purpose
from tokens.log import rebuild
from tokens.log.rebuild import Proof
from tokens.models import Enterprise, Mapping

OTTO = Actor("user:99", "otto", "192.0.2.9")
NEW = "/admin/holds/new/"
WHY = {"case": "LIT-7", "reason": "pending litigation"}


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def on_person(mapping: Mapping) -> LegalHold:
    return holds.place(
        enterprise_id=mapping.enterprise_id, scope=holds.Scope.PERSON, actor=OTTO, case="LIT-7", reason="pending",
        subject=Target("mapping", str(mapping.pk), mapping.token),
    )  # fmt: skip


def on_entry(enterprise: Enterprise, entry_id: uuid.UUID) -> LegalHold:
    return holds.place(
        enterprise_id=enterprise.pk,
        scope=holds.Scope.ENTRY,
        entry_id=entry_id,
        case="LIT-7",
        reason="r",
        actor=OTTO,
    )


def on_range(enterprise: Enterprise, first: float, before: float) -> LegalHold:
    """From so many hours ago to so many hours ago."""
    now = timezone.now()
    return holds.place(
        enterprise_id=enterprise.pk, scope=holds.Scope.RANGE, case="LIT-7", reason="r", actor=OTTO,
        first=now - datetime.timedelta(hours=first), before=now - datetime.timedelta(hours=before),
    )  # fmt: skip


# -- at the desk --------------------------------------------------------------------------------------------
def test_an_officer_holds_a_person_and_it_is_seen_there(olivia: Client, ana: Mapping) -> None:
    assert olivia.post(f"{NEW}?mapping={ana.pk}", WHY).status_code == 302
    person = text(olivia.get(f"/admin/people/{ana.pk}/"))
    assert "Under legal hold since" in person
    assert "placed a legal hold" in person
    assert "LIT-7" in text(olivia.get("/admin/holds/"))
    event = AuditEvent.objects.get(action=Action.HOLD_PLACED)
    assert (event.target_type, event.target_id, event.details["case"]) == ("mapping", str(ana.pk), "LIT-7")


def test_an_entry_says_that_it_is_held_by_itself_by_its_time_and_by_a_person_in_it(
    olivia: Client, acme: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud
) -> None:
    entry = api_cast.entry_of(caller.resolve(api_cast.ask(ana.token)))
    other = api_cast.entry_of(caller.get_token(api_cast.want("zoe@mail.example")))
    address = f"/admin/log/{entry.pk}/"
    assert "Under legal hold" not in text(olivia.get(address))
    for place in (
        lambda: on_entry(acme, entry.pk),
        lambda: on_range(acme, 1, -1),
        lambda: on_person(ana),
    ):
        hold = place()
        assert "Under legal hold" in text(olivia.get(address))
        assert [one.pk for one in holds.on_entry(entry)] == [hold.pk]
        assert (hold.scope == holds.Scope.RANGE) == bool(holds.on_entry(other))
        assert entry in holds.held_entries(hold)
        assert (hold.scope == holds.Scope.RANGE) == (other in holds.held_entries(hold))
        released(hold)


def released(hold: LegalHold) -> None:
    """By two people who have come for it."""
    number = ApprovalRequest.objects.count()
    rita, rolf = (
        cast.somebody(Role.COMPLIANCE_OFFICER, name=f"{name}-{number}") for name in ("rita", "rolf")
    )
    asked = holds.ask_to_release(hold, reason="the case is closed", actor=asking.actor(rita)).waits_for
    assert asked is not None
    assert approvals.approve(asked.pk, actor=asking.actor(rolf)).state == "approved"


def test_a_range_is_typed_and_must_end_after_it_begins(olivia: Client, acme: Enterprise) -> None:
    given = WHY | {"enterprise": acme.pk, "first": "2026-01-02T00:00:00", "before": "2026-01-01T00:00:00"}
    assert "ends before it begins" in text(olivia.post(NEW, given))
    assert olivia.post(NEW, given | {"before": "2026-02-01T00:00:00"}).status_code == 302
    assert LegalHold.objects.get().scope == holds.Scope.RANGE


def test_what_others_own_can_not_be_held_nor_released(
    acme: Enterprise, rival: Enterprise, ana: Mapping, olivia: Client
) -> None:
    browser = cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=rival, name="ruth"))
    hold = on_person(ana)
    entry = logged(acme)
    assert browser.post(f"{NEW}?mapping={ana.pk}", WHY).status_code == 404
    assert browser.post(f"{NEW}?entry={entry}", WHY).status_code == 404
    assert browser.post(f"/admin/holds/{hold.pk}/release/", {"reason": "x"}).status_code == 404
    assert "LIT-7" not in text(browser.get("/admin/holds/"))


def test_a_release_takes_a_second_person(olivia: Client, acme: Enterprise, ana: Mapping) -> None:
    hold = on_person(ana)
    olivia.post(f"/admin/holds/{hold.pk}/release/", {"reason": "the case is closed"})
    hold.refresh_from_db()
    assert hold.is_live
    user = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name="omar")
    approvals.approve(ApprovalRequest.objects.get().pk, actor=Actor(f"user:{user.pk}", "omar"))
    hold.refresh_from_db()
    assert not hold.is_live
    assert hold.released_by_name == "olivia"
    assert "released" in text(olivia.get("/admin/holds/?state=released"))
    assert "released a legal hold" in text(olivia.get(f"/admin/people/{ana.pk}/"))
    page = text(olivia.post(f"/admin/holds/{hold.pk}/release/", {"reason": "again"}))
    assert "released before" in page


@pytest.mark.parametrize(
    "change",
    ["UPDATE audit_legalhold SET case = ''", "DELETE FROM audit_legalhold", "TRUNCATE audit_legalhold"],
)
def test_the_app_can_write_nothing_to_a_hold_but_its_release(ana: Mapping, change: str) -> None:
    on_person(ana)
    change = change.replace("case =", '"case" =')
    with transaction.atomic(), connection.cursor() as cursor:
        with pytest.raises(DatabaseError, match="permission denied"):
            cursor.execute(change)
        transaction.set_rollback(True)


def approved_for_another(hold: LegalHold) -> uuid.UUID:
    """An approved release of another hold."""
    other = holds.place(
        enterprise_id=hold.enterprise_id, scope=holds.Scope.ENTRY, entry_id=uuid.uuid4(), case="LIT-8", reason="r",
        actor=OTTO,
    )  # fmt: skip
    released(other)
    other.refresh_from_db()
    assert other.released_with
    return other.released_with


RELEASE = "UPDATE audit_legalhold SET released_at = now(), released_by_id = 'user:1'"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (RELEASE, "a second person approved"),
        (RELEASE + ", released_with = '{unknown}'", "a second person approved"),
        (RELEASE + ", released_with = '{another}'", "a second person approved"),
        ("UPDATE audit_legalhold SET released_by_name = 'x'", "by its release only"),
    ],
)
def test_a_hold_is_released_only_with_the_request_that_was_approved_for_it(
    ana: Mapping, change: str, said: str
) -> None:
    hold = on_person(ana)
    change = change.format(unknown=uuid.uuid4(), another=approved_for_another(hold))
    with transaction.atomic(), connection.cursor() as cursor:
        with pytest.raises(DatabaseError, match=said):
            cursor.execute(change + f" WHERE id = '{hold.pk}'")
        transaction.set_rollback(True)


def test_a_hold_is_released_once_and_its_triggers_do_not_stand_aside(ana: Mapping) -> None:
    hold = on_person(ana)
    released(hold)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL pgtrigger.ignore = '{is_released,is_placed,stays}'")
        with pytest.raises(DatabaseError, match="released once"):
            cursor.execute("UPDATE audit_legalhold SET released_by_name = 'somebody else'")
        transaction.set_rollback(True)


def test_without_its_trigger_the_app_would_release_it_alone(own_database: OwnDatabase) -> None:
    """The known-bad twin of the tests above."""
    hold = on_entry(an_enterprise("Acme"), uuid.uuid4())
    with without_triggers("audit_legalhold"), connection.cursor() as cursor:
        cursor.execute(RELEASE)
    hold.refresh_from_db()
    assert not hold.is_live


@pytest.mark.django_db
def test_in_a_sandbox_one_person_releases_a_hold() -> None:
    trial = an_enterprise("Trial", sandbox=True)
    hold = on_entry(trial, uuid.uuid4())
    rita = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=trial, name="rita")
    holds.ask_to_release(hold, reason="", actor=asking.actor(rita))
    hold.refresh_from_db()
    assert not hold.is_live


# -- the keys of residue ------------------------------------------------------------------------------------
@pytest.fixture
def odd(acme: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud) -> PayloadEntry:
    """An exchange that touched Ana and left residue: an address that was sent as a token."""
    return api_cast.entry_of(
        caller.resolve(api_cast.ask(ana.token), api_cast.ask("nobody@mail.example", "r-2"))
    )


def after_the_life_of_residue(enterprise: Enterprise) -> datetime.date:
    return timezone.now().date() + datetime.timedelta(days=enterprise.residue_days + 1)


def lives(enterprise: Enterprise) -> bool:
    """Whether today's residue key is still there."""
    keys = DataKey.objects.filter(enterprise=enterprise, purpose=Purpose.RESIDUE, day=timezone.now().date())
    return bool(keys.get().wrapped)


HOLDS: dict[str, Callable[[Enterprise, Mapping, PayloadEntry], LegalHold]] = {
    "person": lambda acme, ana, odd: on_person(ana),
    "entry": lambda acme, ana, odd: on_entry(acme, odd.pk),
    "range": lambda acme, ana, odd: on_range(acme, 1, -1),
}


@pytest.mark.parametrize("scope", HOLDS)
def test_what_is_held_stays_readable_when_its_key_should_end(
    acme: Enterprise, ana: Mapping, odd: PayloadEntry, scope: str
) -> None:
    hold = HOLDS[scope](acme, ana, odd)
    destroy_expired_day_keys(after_the_life_of_residue(acme))
    assert lives(acme)
    assert rebuild.rebuild(odd).request.proof == Proof.PROVEN
    released(hold)
    destroy_expired_day_keys(after_the_life_of_residue(acme))
    assert not lives(acme)


@pytest.mark.parametrize("scope", HOLDS)
def test_if_nobody_asked_for_holds_it_would_be_lost(
    acme: Enterprise, ana: Mapping, odd: PayloadEntry, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin."""
    HOLDS[scope](acme, ana, odd)
    monkeypatch.setattr(key_destruction.holds, "keeps_residue", lambda *_: None)
    destroy_expired_day_keys(after_the_life_of_residue(acme))
    assert not lives(acme)


def test_a_hold_on_what_left_no_residue_keeps_no_key(
    acme: Enterprise, ana: Mapping, odd: PayloadEntry
) -> None:
    ben = Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.BEN))
    on_person(ben)
    on_range(acme, 240, 120)
    destroy_expired_day_keys(after_the_life_of_residue(acme))
    assert not lives(acme)


def test_a_hold_of_one_enterprise_keeps_no_key_of_another(
    acme: Enterprise, rival: Enterprise, odd: PayloadEntry
) -> None:
    on_range(rival, 1, -1)
    destroy_expired_day_keys(after_the_life_of_residue(acme))
    assert not lives(acme)


def test_without_knowing_people_a_hold_on_one_keeps_everything(
    acme: Enterprise, ana: Mapping, odd: PayloadEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "_outside", holds._Outside())
    on_person(ana)
    assert holds.on_entry(PayloadEntry.objects.get(pk=logged(acme)))
    destroy_expired_day_keys(after_the_life_of_residue(acme))
    assert lives(acme)
