"""An erasure, step by step: two people, blocked at once, deleted in Marketing Cloud, then destroyed and looked for."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import holds
from audit.approvals import requests
from audit.approvals.errors import CannotBeDone, OwnRequest
from audit.models import AuditEvent, LegalHold
from audit.trail import Target
from audit.vocabulary import Action
from portal import erasure_ledger
from portal.simulator import Simulator
from portal.simulator import contacts as simulated_contacts
from portal.simulator.world import DataExtension
from tests.tokens.api import cast
from tests.tokens.bulk.scene import HEADER, converted, rows_of
from tests.tokens.cast import IVAN, OLGA
from tests.tokens.erasure.conftest import WHY, YEAR, approved, is_done, known, now, worked_until
from tokens.consent.blind import mapping_of
from tokens.consent.opt_outs import record_opt_out
from tokens.erasure import asking, deletes, receipt, renewal, word, worker
from tokens.erasure.deletes import NotYet
from tokens.formats.kinds import Kind
from tokens.marketing_cloud.contacts import Contacts
from tokens.marketing_cloud.errors import Unreachable
from tokens.models import (
    AttributeSet,
    BusinessUnit,
    Connection,
    ConsentEvent,
    Contact,
    ContactDelete,
    ContactMapping,
    Enterprise,
    Erasure,
    Mapping,
)
from tokens.models.mappings import State as MappingState
from tokens.vault import find

State = Erasure.State
ANA = ("ana@mail.example", "SUB-ANA", (("FirstName", "Ana"),))
PHONE = "13175550101"
FILED = {"evidence": "double opt-in, file DOI-2026-7", "reason": "She signed up again."}
SAID: dict[str, Any] = {
    "kind": Kind.EMAIL, "source": ConsentEvent.Source.FILE, "occurred_at": timezone.now(), "actor": OLGA,
}  # fmt: skip


@pytest.fixture
def ana(acme: Enterprise, simulator: Simulator) -> Mapping:
    return known(acme, simulator, *ANA)


def resolved(caller: cast.MarketingCloud, mapping: Mapping, **more: str) -> list[str]:
    return [
        one["tokenValue"] for one in caller.resolve(cast.ask(mapping.token, **more)).json()["resolvedTokens"]
    ]


def test_nothing_happens_before_a_second_person_approves_and_then_nothing_resolves(
    acme: Enterprise, ana: Mapping
) -> None:
    caller = cast.a_caller(acme)
    outcome = asking.ask(ana, [asking.holders(ana)[0].contact_id], actor=OLGA, **WHY)
    assert outcome.waits_for is not None
    assert resolved(caller, ana) == ["ana@mail.example"]
    requests.approve(outcome.waits_for.pk, actor=IVAN)
    # Neither for the primary contact, nor under its key, nor under a key that nobody knows.
    for more in ({}, {"subscriberKey": "SUB-ANA"}, {"subscriberKey": "SUB-STRAY"}):
        assert resolved(caller, ana, **more) == []
    assert AuditEvent.objects.filter(action=Action.ERASURE_BEGUN, target_id=str(ana.pk)).count() == 1


def test_a_shared_number_stays_for_the_other_contact_who_becomes_its_primary(
    acme: Enterprise, simulator: Simulator, ana: Mapping
) -> None:
    phone = known(acme, simulator, PHONE, "SUB-ANA")
    cast.a_person(acme, PHONE, "SUB-BEN", (("FirstName", "Ben"),))
    caller = cast.a_caller(acme)
    erasure = approved(ana)
    assert (erasure.mappings, erasure.shared) == ([ana.pk], [phone.pk])
    answer = caller.resolve(cast.ask(phone.token)).json()["resolvedTokens"]
    assert answer == [
        {"tokenRequestId": "r-1", "tokenValue": PHONE, "attributes": [{"name": "FirstName", "value": "Ben"}]}
    ]
    assert resolved(caller, phone, subscriberKey="SUB-ANA") == []
    [told] = caller.get_token(cast.want(PHONE)).json()["tokens"]
    assert told["subscriberKey"] == "SUB-BEN"
    primary = ContactMapping.objects.get(mapping=phone, is_primary=True)
    assert primary.contact.subscriber_key == "SUB-BEN"


def test_from_the_account_to_the_last_row(
    acme: Enterprise, shop: BusinessUnit, simulator: Simulator, ana: Mapping, in_use: Connection
) -> None:
    simulator.world.extensions[acme.eid, "notes"] = DataExtension(
        "Notes", acme.eid, ("Id",), ("Id",), is_sendable=False
    )
    erasure = approved(ana)
    assert [one.mid for one in erasure.deletes.order_by("pk")] == [acme.eid, shop.mid]
    erasure = worked_until(erasure, lambda one: one.trouble == "ledger")
    assert "SUB-ANA" not in simulator.world.subscribers
    assert {one.proof for one in erasure.deletes.all()} == {ContactDelete.Proof.READ_BACK}
    # No more than what was asked: contacts with a number alone are no subscribers.
    assert {one["shows"] for one in receipt.facts(erasure)["marketing_cloud"]} == {
        "Marketing Cloud says that it is over, and lists no such subscriber"
    }
    assert erasure.left_to_customer == [["Notes", "Notes"]]
    # The ledger comes before the destruction.
    assert erasure.state == State.DELETED
    assert Mapping.objects.get(pk=ana.pk).value is not None
    with pytest.raises(IntegrityError), transaction.atomic():
        Erasure.objects.filter(pk=erasure.pk).update(destroyed_at=timezone.now())
    erasure_ledger.copy()
    lines = [one for one in erasure_ledger.ledger().read() if one["id"] == str(erasure.pk)]
    assert lines[-1]["keys"] == ["SUB-ANA"]
    assert [one["deletes_are_over"] for one in lines] == [False, True]
    erasure = worked_until(erasure, is_done)
    assert erasure.destroyed["clear values"] == 1
    assert erasure.destroyed["versions of attributes"] == 1
    assert not any(erasure.verified.values())
    assert Mapping.objects.get(pk=ana.pk).state == MappingState.ERASED
    told = AuditEvent.objects.filter(target_type="mapping", target_id=str(ana.pk)).order_by("id")
    assert list(told.values_list("action", flat=True)) == [
        Action.ERASURE_BEGUN, Action.ERASURE_DELETED, Action.ERASURE_DESTROYED, Action.ERASURE_VERIFIED,
    ]  # fmt: skip


def erased(mapping: Mapping) -> Erasure:
    return worked_until(approved(mapping), is_done)


# -- what a hold, a missing connection and a busy account mean ---------------------------------------------------
def test_a_hold_stops_it_with_the_case_and_its_release_lets_it_go_on(
    acme: Enterprise, ana: Mapping, in_use: Connection
) -> None:
    chosen = [asking.holders(ana)[0].contact_id]
    outcome = asking.ask(ana, chosen, actor=OLGA, **WHY)
    assert outcome.waits_for is not None
    hold = held(acme, ana)
    failed = requests.approve(outcome.waits_for.pk, actor=IVAN)
    assert (failed.state, "case LIT-3" in failed.failure) == ("failed", True)
    with pytest.raises(CannotBeDone, match="case LIT-3"):
        asking.ask(ana, chosen, actor=OLGA, **WHY)
    release(hold)
    erasure = approved(ana)
    held(acme, ana)  # placed when it had begun: nothing is deleted or destroyed from then on
    Erasure.objects.exclude(pk=erasure.pk).update(next_try_at=timezone.now() + YEAR)
    worker.work_for(seconds=60)
    assert (now(erasure).state, now(erasure).trouble) == (State.BLOCKED, "held")
    assert Mapping.objects.get(pk=ana.pk).value is not None


def test_a_hold_on_an_exchange_with_them_stops_it_and_one_on_somebody_else_does_not(
    acme: Enterprise, simulator: Simulator, ana: Mapping, in_use: Connection
) -> None:
    ben = known(acme, simulator, "ben@mail.example", "SUB-BEN")
    caller = cast.a_caller(acme)
    entry = cast.entry_of(caller.resolve(cast.ask(ana.token), cast.ask(ben.token, "r-2")))
    held(acme, ben)
    chosen = [asking.holders(ana)[0].contact_id]
    hold = holds.place(
        enterprise_id=acme.pk,
        scope=holds.Scope.ENTRY,
        entry_id=entry.pk,
        case="LIT-4",
        reason="x",
        actor=OLGA,
    )
    with pytest.raises(CannotBeDone, match="case LIT-4"):
        asking.ask(ana, chosen, actor=OLGA, **WHY)
    release(hold)
    assert erased(ana).state == State.DONE


def held(enterprise: Enterprise, mapping: Mapping) -> LegalHold:
    subject = Target("mapping", str(mapping.pk), mapping.token)
    return holds.place(
        enterprise_id=enterprise.pk,
        scope=holds.Scope.PERSON,
        subject=subject,
        case="LIT-3",
        reason="x",
        actor=OLGA,
    )


def release(hold: LegalHold) -> None:
    waits = holds.ask_to_release(hold, reason="The case is closed.", actor=OLGA).waits_for
    assert waits is not None
    requests.approve(waits.pk, actor=IVAN)


def test_without_a_connection_two_people_confirm_what_was_done_by_hand(
    acme: Enterprise, ana: Mapping
) -> None:
    erasure = worked_until(approved(ana), lambda one: one.trouble == "NoConnection")
    [delete] = erasure.deletes.all()
    with pytest.raises(CannotBeDone, match="say what shows"):
        word.confirm(delete, evidence=" ", reason="done", actor=OLGA)
    waits = word.confirm(delete, evidence="ticket 4711", reason="Deleted by hand.", actor=OLGA).waits_for
    assert waits is not None
    with pytest.raises(OwnRequest):
        requests.approve(waits.pk, actor=OLGA)
    requests.approve(waits.pk, actor=IVAN)
    done = worked_until(erasure, is_done)
    assert done.deletes.get().proof == ContactDelete.Proof.SECOND_PERSON


def test_one_delete_runs_at_a_time_and_one_that_proves_nothing_is_not_done(
    acme: Enterprise, simulator: Simulator, ana: Mapping, in_use: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = known(acme, simulator, "ben@mail.example", "SUB-BEN")
    first, second = approved(ana), approved(ben)
    monkeypatch.setattr(simulated_contacts, "_carry_out", lambda *_: None)  # it takes its time
    worked_until(first, lambda one: one.trouble == "delete_runs")
    assert worked_until(second, lambda one: one.trouble).trouble == "another_delete_runs"
    hold = held(acme, ana)
    assert worked_until(first, lambda one: one.trouble == "held")
    monkeypatch.setattr(
        simulated_contacts, "_carry_out", lambda _, operation: operation.update(status="Completed")
    )
    # Over there it is over: neither a hold on somebody else nor what is read back late holds up the next one.
    assert worked_until(second, lambda one: one.trouble == "still_there")
    release(hold)
    assert worked_until(first, lambda one: one.trouble == "still_there").state == State.BLOCKED
    simulator.world.subscribers.clear()
    assert worked_until(first, is_done)
    monkeypatch.undo()


def test_of_two_workers_one_begins_and_what_fails_to_begin_is_in_nobody_s_way(
    acme: Enterprise, simulator: Simulator, ana: Mapping, in_use: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = known(acme, simulator, "ben@mail.example", "SUB-BEN")
    first, second = (approved(one).deletes.get() for one in (ana, ben))
    told: list[str] = []

    def begun_meanwhile(caller: Contacts, keys: list[str]) -> str:
        with pytest.raises(NotYet, match="another_delete_runs"):
            deletes._reserve(second)
        told.extend(keys)
        raise Unreachable("contact delete")

    monkeypatch.setattr(Contacts, "delete", begun_meanwhile)
    Erasure.objects.exclude(pk=first.erasure_id).update(next_try_at=timezone.now() + YEAR)
    worker.work_for(seconds=60)
    first.refresh_from_db()
    assert (told, first.state) == (["SUB-ANA"], ContactDelete.State.PENDING)
    deletes._reserve(second)


def test_a_unit_that_is_read_back_for_days_holds_up_no_other_of_the_same_person(
    acme: Enterprise, shop: BusinessUnit, simulator: Simulator, ana: Mapping, in_use: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        simulated_contacts, "_carry_out", lambda _, operation: operation.update(status="Completed")
    )
    erasure = worked_until(approved(ana), lambda one: one.trouble == "still_there")
    assert all(one.operation for one in erasure.deletes.all())


# -- afterwards ---------------------------------------------------------------------------------------------------
def test_they_do_not_come_back_and_what_they_decided_still_counts(
    acme: Enterprise, ana: Mapping, in_use: Connection
) -> None:
    record_opt_out(acme, mapping=ana, source_id="1", **SAID)
    erased(ana)
    caller = cast.a_caller(acme)
    # Get Token finds the retired token, and a late STOP finds the person by it or by the address.
    [told] = caller.get_token(cast.want("Ana@mail.example")).json()["tokens"]
    assert (told["token"], told["subscriberKey"]) == (ana.token, "SUB-ANA")
    assert resolved(caller, ana) == []
    stop = record_opt_out(acme, raw_value="ANA@mail.example", source_id="2", **SAID)
    assert mapping_of(stop) == ana
    found = find.by_value(acme, Kind.EMAIL, "ana@mail.example")
    assert (found.mapping, len(found.consent.opt_outs), found.consent.is_blocked) == (ana, 2, True)
    # An import under the old key or a new one brings nothing back.
    lines = "SUB-ANA,ana@mail.example,,Ana,Rome,x\nSUB-NEW,ana@mail.example,,Ana,Rome,\n"
    assert [row["Email"] for row in rows_of(converted(acme, HEADER + lines))] == ["", ""]
    after = Mapping.objects.get(pk=ana.pk)
    assert (after.state, after.value) == (MappingState.ERASED, None)
    assert not AttributeSet.objects.filter(enterprise=acme, payload__isnull=False).exists()
    assert not Contact.objects.filter(enterprise=acme, subscriber_key="SUB-NEW").exists()
    # Consent given anew, approved by a second person, gives a new token; what they opted out of stays closed.
    with pytest.raises(CannotBeDone, match="after the erasure began"):
        renewal.ask(ana, consented_at=timezone.now() - YEAR, actor=OLGA, **FILED)
    renewed = renewal.ask(ana, consented_at=timezone.now(), actor=OLGA, **FILED).waits_for
    assert renewed is not None
    requests.approve(renewed.pk, actor=IVAN)
    again = Mapping.objects.get(token=cast.a_person(acme, "ana@mail.example", "SUB-ANA"))
    assert (again.pk != ana.pk, again.state) == (True, MappingState.ACTIVE)
    assert resolved(caller, again) == []  # opted out
    assert resolved(cast.a_caller(acme, name="Receipts", transactional=True), again) == ["ana@mail.example"]
    assert Mapping.objects.get(pk=ana.pk).state == MappingState.SUPERSEDED
