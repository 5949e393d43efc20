"""Opt-outs reach Marketing Cloud at least once, whatever fails on the way, and are proven by reading back (P10)."""

import datetime
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Api, AuditEvent, PayloadEntry
from audit.vocabulary import Action
from portal.simulator import Simulator
from portal.simulator.world import Package, Subscriber
from tests.tokens.cast import OLGA, email
from tokens.connections.verbs import create_connection
from tokens.consent import unsubscribes
from tokens.consent.opt_outs import record_opt_out
from tokens.formats.kinds import Kind
from tokens.models import BusinessUnit, Connection, ConsentEvent, Enterprise, Unsubscribe, WriteBack
from tokens.vault import contacts, mint
from tokens.vault.contacts import Person
from tokens.write_back import outbox, worker

pytestmark = pytest.mark.django_db
State, Proof = Unsubscribe.State, Unsubscribe.Proof
MINUTES = datetime.timedelta(minutes=11)


@pytest.fixture(autouse=True)
def _in_use(connection: Connection) -> None:
    Connection.objects.update(in_use_since=timezone.now())


def subscribed(enterprise: Enterprise, simulator: Simulator, spelling: str, *keys: str) -> None:
    """Somebody with an address, whom the simulator knows under these keys."""
    [held] = mint.get_or_create(enterprise, [email(spelling)])
    made = contacts.upsert(enterprise, [Person(key, None) for key in keys])
    contacts.link(enterprise, [(held.mapping_id, one.contact_id) for one in made])
    for key in keys:
        simulator.world.subscribers[key] = Subscriber(key, held.token)


def opted_out(enterprise: Enterprise, spelling: str, **changes: Any) -> Unsubscribe:
    said: dict[str, Any] = {
        "kind": Kind.EMAIL,
        "raw_value": spelling,
        "source": ConsentEvent.Source.OFFICER,
        "source_id": spelling,
        "occurred_at": timezone.now(),
        "actor": OLGA,
    } | changes
    return Unsubscribe.objects.get(event=record_opt_out(enterprise, **said))


@pytest.fixture
def ana(acme: Enterprise, simulator: Simulator) -> Unsubscribe:
    """Ana has two subscriber keys, and opted out."""
    subscribed(acme, simulator, "ana@mail.example", "ANA-1", "ANA-2")
    return opted_out(acme, "ana@mail.example")


def now(row: Unsubscribe) -> Unsubscribe:
    return Unsubscribe.objects.get(pk=row.pk)


def sent(row: Unsubscribe) -> WriteBack:
    return WriteBack.objects.get(pk=row.pk)


def is_out(simulator: Simulator, key: str) -> bool:
    """Whether mail of the whole account ended for them."""
    world = simulator.world
    return world.eid in world.subscribers[key].unsubscribed


def make_due() -> None:
    WriteBack.objects.update(next_try_at=timezone.now() - MINUTES)


def test_what_one_person_said_is_told_in_its_order_and_others_do_not_wait(
    acme: Enterprise, ana: Unsubscribe, simulator: Simulator
) -> None:
    later = opted_out(acme, "ana@mail.example", source_id="again")
    subscribed(acme, simulator, "boris@mail.example", "BORIS")
    other = opted_out(acme, "boris@mail.example")
    outbox.fill()
    # However long the later one of Ana waits already, it is not hers to be told first.
    WriteBack.objects.filter(pk=later.pk).update(next_try_at=timezone.now() - MINUTES)
    first, second = outbox.claim(), outbox.claim()
    assert first is not None
    assert second is not None
    assert {first.unsubscribe_id, second.unsubscribe_id} == {ana.pk, other.pk}
    assert outbox.claim() is None, "hers waits while the older one is being told"
    outbox.finish(first if first.unsubscribe_id == ana.pk else second)
    third = outbox.claim()
    assert third is not None
    assert third.unsubscribe_id == later.pk


def test_every_key_of_the_person_is_unsubscribed_read_back_and_closed(
    ana: Unsubscribe, simulator: Simulator
) -> None:
    assert worker.work(seconds=60) is False
    assert is_out(simulator, "ANA-1")
    assert is_out(simulator, "ANA-2")
    assert (now(ana).state, now(ana).proof) == (State.CLOSED, Proof.READ_BACK)
    assert (sent(ana).state, sent(ana).tries) == (WriteBack.State.DONE, 1)
    told = AuditEvent.objects.filter(target_type="unsubscribe", target_id=str(ana.pk)).order_by("id")
    assert list(told.values_list("action", flat=True)) == [
        Action.UNSUBSCRIBE_VERIFIED, Action.UNSUBSCRIBE_CLOSED,
    ]  # fmt: skip


def test_each_exchange_stands_in_the_log_under_the_person(ana: Unsubscribe) -> None:
    worker.work(seconds=60)
    entries = PayloadEntry.objects.filter(api=Api.CLOUD_SOAP)
    assert entries.count() >= 3
    assert all(len(entry.links) == 2 for entry in entries)


def test_others_are_left_alone(ana: Unsubscribe, acme: Enterprise, simulator: Simulator) -> None:
    subscribed(acme, simulator, "boris@post.example", "BORIS")
    worker.work(seconds=60)
    assert not is_out(simulator, "BORIS")


def test_who_is_out_already_is_done(ana: Unsubscribe, simulator: Simulator) -> None:
    for key in ("ANA-1", "ANA-2"):
        simulator.world.subscribers[key].unsubscribed[simulator.world.eid] = ""
    worker.work(seconds=60)
    assert now(ana).state == State.CLOSED


@pytest.mark.parametrize(
    "fault", [{"kind": "status", "status": 500}, {"kind": "status", "status": 429}, {"kind": "reset-after"}]
)
def test_what_fails_is_tried_again_until_it_is_done(
    ana: Unsubscribe, simulator: Simulator, fault: dict[str, Any]
) -> None:
    simulator.faults.plan(path="service.asmx", times=50, **fault)
    worker.work(seconds=60)
    waiting = sent(ana)
    assert (waiting.state, waiting.tries, bool(waiting.trouble)) == (WriteBack.State.PENDING, 1, True)
    assert waiting.next_try_at > timezone.now()
    assert now(ana).state == State.BLOCKED
    assert outbox.claim() is None  # it waits
    simulator.faults.clear()
    make_due()
    worker.work(seconds=60)
    assert now(ana).state == State.CLOSED


def test_the_wait_doubles_up_to_an_hour(ana: Unsubscribe) -> None:
    outbox.fill()
    waits = []
    for _ in range(12):
        make_due()
        claimed = outbox.claim()
        assert claimed is not None
        before = timezone.now()
        outbox.try_later(claimed, "Unreachable")
        waits.append(round((sent(ana).next_try_at - before).total_seconds()))
    assert waits[:4] == [30, 60, 120, 240]
    assert waits[-1] == 3600


@pytest.mark.parametrize("known", [True, False])
def test_whom_marketing_cloud_does_not_know_is_left_to_people(
    acme: Enterprise, simulator: Simulator, known: bool
) -> None:
    if known:
        subscribed(acme, simulator, "cora@mail.example", "CORA")
        simulator.world.subscribers.clear()
    row = opted_out(acme, "cora@mail.example")
    worker.work(seconds=60)
    assert (sent(row).state, sent(row).trouble) == (
        WriteBack.State.DEAD,
        "no_such_subscriber" if known else "no_subscriber_key",
    )
    assert now(row).state == State.BLOCKED
    assert outbox.try_again(row, actor=OLGA)
    assert AuditEvent.objects.filter(action=Action.UNSUBSCRIBE_RETRIED, target_id=str(row.pk)).count() == 1
    assert sent(row).state == WriteBack.State.PENDING


def test_an_opt_out_of_a_business_unit_is_told_to_that_unit(
    acme: Enterprise, shop: BusinessUnit, simulator: Simulator
) -> None:
    subscribed(acme, simulator, "dora@mail.example", "DORA")
    row = opted_out(
        acme, "dora@mail.example", scope=ConsentEvent.Scope.BUSINESS_UNIT, scope_id=shop.mid
    )  # fmt: skip
    worker.work(seconds=60)
    assert list(simulator.world.subscribers["DORA"].unsubscribed) == [shop.mid]
    assert (now(row).state, now(row).proof) == (State.WRITTEN, Proof.WRITTEN_BACK)


def test_nothing_is_sent_where_no_connection_is_in_use(ana: Unsubscribe, simulator: Simulator) -> None:
    Connection.objects.update(in_use_since=None)
    worker.work(seconds=60)
    assert not WriteBack.objects.exists()
    assert not is_out(simulator, "ANA-1")
    Connection.objects.update(in_use_since=timezone.now())  # the backlog is found
    worker.work(seconds=60)
    assert now(ana).state == State.CLOSED


def test_a_connection_of_a_child_unit_ends_no_mail_of_the_account(
    ana: Unsubscribe, shop: BusinessUnit, simulator: Simulator, package: Package
) -> None:
    Connection.objects.update(in_use_since=None)
    create_connection(
        shop.enterprise, name="Shop's own", subdomain=simulator.world.subdomain, client_id=package.client_id,
        client_secret=package.client_secret, business_unit=shop, actor=OLGA,
    )  # fmt: skip
    Connection.objects.filter(business_unit=shop).update(in_use_since=timezone.now())
    worker.work(seconds=60)
    assert not is_out(simulator, "ANA-1")
    assert (sent(ana).state, sent(ana).trouble) == (WriteBack.State.DEAD, "no_connection_of_the_account")
    assert now(ana).state == State.BLOCKED


def test_what_is_read_back_as_subscribed_proves_nothing(
    ana: Unsubscribe, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_unsubscribe", lambda *_: None)  # taken, and without effect
    worker.work(seconds=60)
    assert (now(ana).state, now(ana).proof) == (State.BLOCKED, Proof.NONE)
    assert (sent(ana).state, sent(ana).trouble) == (WriteBack.State.PENDING, "StillSubscribed")


def test_what_was_closed_meanwhile_is_not_sent(ana: Unsubscribe, simulator: Simulator) -> None:
    outbox.fill()
    unsubscribes.prove(ana.pk, Proof.READ_BACK)
    unsubscribes.close(ana.pk, actor=OLGA)
    worker.work(seconds=60)
    assert not is_out(simulator, "ANA-1")
    assert sent(ana).state == WriteBack.State.DONE


# -- leases -------------------------------------------------------------------------------------------------
def test_what_a_killed_worker_held_is_claimed_again_and_its_late_word_counts_for_nothing(
    ana: Unsubscribe,
) -> None:
    outbox.fill()
    first = outbox.claim()
    assert first is not None
    assert outbox.claim() is None
    WriteBack.objects.update(lease_until=timezone.now() - MINUTES)
    second = outbox.claim()
    assert second is not None
    outbox.leave_to_people(first, "late")
    outbox.finish(first)
    assert sent(ana).state == WriteBack.State.PENDING
    outbox.finish(second)
    assert sent(ana).state == WriteBack.State.DONE
