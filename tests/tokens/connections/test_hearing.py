"""An unsubscribe in Marketing Cloud becomes an opt-out here, once, however often and late it is told (P10)."""

import datetime
import uuid
from typing import Any

import pytest
from django.utils import timezone

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.simulator.notifications import unsubscribe_event
from tests.tokens.cast import ANA, mapping_of
from tests.tokens.connections.conftest import acme, connection, package, shop, simulator
from tokens.connections import hearing, intake
from tokens.crypto import key_making
from tokens.crypto.keyset import Purpose
from tokens.models import (
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
    row = Unsubscribe.objects.get()
    assert (row.state, row.proof) == (Unsubscribe.State.CLOSED, Unsubscribe.Proof.ITS_OWN)
    assert row.asked_at <= timezone.now()


def test_that_of_a_child_unit_is_recorded_for_it_alone(callback: EventCallback, ana: Mapping) -> None:
    heard(callback, unsubscribe_event(ana.token, eid=ana.enterprise.eid) | {"mid": 510000002})
    hearing.work_events()
    event = ConsentEvent.objects.get()
    assert (event.scope, event.scope_id) == (ConsentEvent.Scope.BUSINESS_UNIT, "510000002")
    assert not blocked(ana)


@pytest.mark.parametrize("to", ["nobody@tok.example.net", "", None, ["x"]])
def test_what_names_no_token_of_ours_is_recorded_as_such(
    callback: EventCallback, ana: Mapping, to: Any
) -> None:
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
