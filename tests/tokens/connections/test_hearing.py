"""An unsubscribe in Marketing Cloud becomes an opt-out here, once, however often and late it is told (P10)."""

import datetime
import uuid
from typing import Any

import pytest
import structlog
from django.utils import timezone

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.simulator.notifications import unsubscribe_event
from tests.tokens.cast import ANA, BORIS, mapping_of
from tests.tokens.connections.conftest import acme, connection, package, shop, simulator
from tokens.connections import hearing, intake
from tokens.consent import blind
from tokens.crypto import key_making
from tokens.crypto.keyset import Purpose
from tokens.models import (
    CloudEvent,
    Connection,
    ConsentEvent,
    Enterprise,
    EventCallback,
    Mapping,
    Suppression,
    Unsubscribe,
)

__all__ = ["acme", "connection", "package", "shop", "simulator"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def ana(acme: Enterprise) -> Mapping:
    return mapping_of(acme, ANA)


@pytest.fixture
def callback(acme: Enterprise, connection: Connection) -> EventCallback:
    key_making.ensure_key(acme.pk, Purpose.CONSENT)
    return EventCallback.objects.create(
        id=uuid.uuid4(), enterprise=acme, connection=connection, callback_id="c", verified_at=timezone.now()
    )


def heard(callback: EventCallback, *events: dict[str, Any]) -> None:
    intake.store(callback, events, entry_id=uuid.uuid4())


def blocked(mapping: Mapping) -> bool:
    return Suppression.objects.filter(enterprise=mapping.enterprise_id).exists()


def test_an_unsubscribe_there_blocks_here_and_needs_no_more(callback: EventCallback, ana: Mapping) -> None:
    told = unsubscribe_event(ana.token.upper(), eid=ana.enterprise.eid)
    heard(callback, told)
    heard(callback, told)
    assert [hearing.work_events() for _ in range(2)] == [1, 0]
    assert blocked(ana)
    assert CloudEvent.objects.get().event is None, "what it said is kept once, in the payload log"
    row = Unsubscribe.objects.get()
    assert (row.state, row.proof) == (Unsubscribe.State.CLOSED, Unsubscribe.Proof.ITS_OWN)
    assert row.asked_at <= timezone.now()


def test_that_of_a_child_unit_is_recorded_for_it_alone(callback: EventCallback, ana: Mapping) -> None:
    heard(callback, unsubscribe_event(ana.token, eid=ana.enterprise.eid) | {"mid": 510000002})
    hearing.work_events()
    event = ConsentEvent.objects.get()
    assert (event.scope, event.scope_id) == (ConsentEvent.Scope.BUSINESS_UNIT, "510000002")
    assert not blocked(ana)


@pytest.mark.parametrize(
    "mid", ["9" * 21, 10**80, "9" * 70, "\u0661", "5 1", "", None, True, 1.5, ["x"], {"a": 1}]
)
def test_a_business_unit_that_is_none_means_the_whole_enterprise(
    callback: EventCallback, ana: Mapping, mid: Any
) -> None:
    heard(callback, unsubscribe_event(ana.token, eid=ana.enterprise.eid) | {"mid": mid})
    assert hearing.work_events() == 1
    assert blocked(ana)


def test_an_event_that_fails_holds_up_nobody_and_sinks_behind_new_ones(
    callback: EventCallback, ana: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for one at a look, an older one that always fails lets a newer one through at the next."""
    monkeypatch.setattr(hearing, "AT_ONCE", 1)
    poison = unsubscribe_event(BORIS, eid=ana.enterprise.eid)
    heard(callback, poison)
    heard(callback, unsubscribe_event(ana.token, eid=ana.enterprise.eid))
    real = hearing.record_opt_out

    def fails_for_boris(*args: Any, raw_value: str | None, **facts: Any) -> ConsentEvent:
        if raw_value is not None:
            raise RuntimeError(f"nobody foresaw {raw_value}")
        return real(*args, raw_value=raw_value, **facts)

    monkeypatch.setattr(hearing, "record_opt_out", fails_for_boris)
    with structlog.testing.capture_logs() as logs:
        assert [hearing.work_events() for _ in range(3)] == [0, 1, 0]
    assert blocked(ana)
    failing = CloudEvent.objects.get(worked_at=None)
    assert failing.tries == 2
    assert [one["code"] for one in logs] == ["RuntimeError"] * 2
    assert BORIS not in str(logs)

    monkeypatch.setattr(hearing, "record_opt_out", real)
    assert hearing.work_events() == 1  # it is never given up


def test_an_unsubscribe_of_a_clear_address_blocks_that_address(callback: EventCallback, ana: Mapping) -> None:
    told = unsubscribe_event(ana.token, eid=ana.enterprise.eid)
    heard(callback, told | {"info": told["info"] | {"to": f" {ANA.upper()} "}})
    with structlog.testing.capture_logs() as logs:
        assert hearing.work_events() == 1
    assert blind.of_mapping(ana).has(Suppression.objects.get().blind_index)
    assert not AuditEvent.objects.filter(action=Action.CLOUD_EVENT_UNMATCHED).exists()
    assert ANA.lower() not in f"{logs} {list(AuditEvent.objects.values())}".lower()


@pytest.mark.parametrize(
    "to", ["nobody@{domain}", "no address", "\x00@mail.example", "\ud800@mail.example", "", None, ["x"]]
)
def test_what_is_neither_a_token_of_ours_nor_an_address_is_recorded_as_such(
    callback: EventCallback, ana: Mapping, to: Any
) -> None:
    to = to.format(domain=ana.enterprise.token_domain) if isinstance(to, str) else to
    told = unsubscribe_event(ana.token, eid=ana.enterprise.eid)
    heard(callback, told | {"info": told["info"] | {"to": to}})
    assert hearing.work_events() == 1
    assert not ConsentEvent.objects.exists()
    assert AuditEvent.objects.filter(action=Action.CLOUD_EVENT_UNMATCHED).count() == 1


def test_other_events_are_kept_and_change_nothing(callback: EventCallback, ana: Mapping) -> None:
    told = unsubscribe_event(ana.token, eid=ana.enterprise.eid)
    heard(callback, told | {"eventCategoryType": "EngagementEvents.EmailOpen"})
    assert hearing.work_events() == 1
    assert not ConsentEvent.objects.exists()


def test_an_event_of_the_future_counts_from_now(callback: EventCallback, ana: Mapping) -> None:
    later = int((timezone.now() + datetime.timedelta(days=400)).timestamp() * 1000)
    heard(callback, unsubscribe_event(ana.token, eid=ana.enterprise.eid) | {"timestampUTC": later})
    hearing.work_events()
    assert ConsentEvent.objects.get().occurred_at <= timezone.now()
