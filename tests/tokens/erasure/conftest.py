"""Acme's account in the simulator, a connection in use, and people who can be erased there.

The ledger is written by the owner, so that what a test writes must be committed: its tests share a database, and each
has an enterprise of its own.
"""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from audit.approvals import acts, requests
from portal import erasure_ledger
from portal.simulator import Simulator
from portal.simulator.world import Subscriber
from tests.conftest import OwnDatabase
from tests.tokens.api import cast
from tests.tokens.cast import IVAN, OLGA, an_enterprise
from tests.tokens.connections.conftest import connection, package, shop, simulator
from tokens.erasure import asking, worker
from tokens.models import Connection, Enterprise, Erasure, Mapping

__all__ = ["connection", "package", "shop", "simulator"]
WHY = {"case": "DSAR-7", "reason": "They asked for it in writing."}
State = Erasure.State
YEAR = datetime.timedelta(days=365)


@pytest.fixture(autouse=True)
def _everybody_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may ask and decide is the portal's matter."""
    monkeypatch.setattr(acts._outside, "may", lambda *_: True)


@pytest.fixture
def acme(shared_database: OwnDatabase) -> Enterprise:
    return an_enterprise()


@pytest.fixture
def in_use(connection: Connection) -> Connection:
    Connection.objects.filter(pk=connection.pk).update(in_use_since=timezone.now())
    return connection


def known(enterprise: Enterprise, simulator: Simulator, *person: Any) -> Mapping:
    """Somebody whom Marketing Cloud knows under the subscriber key too."""
    token = cast.a_person(enterprise, *person)
    simulator.world.subscribers[person[1]] = Subscriber(person[1], token)
    return Mapping.objects.select_related("enterprise").get(token=token)


def approved(mapping: Mapping, contacts: list[int] | None = None) -> Erasure:
    """The erasure of these contacts (all of the mapping's), asked by Olga and approved by Ivan."""
    chosen = [link.contact_id for link in asking.holders(mapping)] if contacts is None else contacts
    outcome = asking.ask(mapping, chosen, actor=OLGA, **WHY)
    assert outcome.waits_for is not None
    decided = requests.approve(outcome.waits_for.pk, actor=IVAN)
    assert decided.state == "approved", decided.failure
    return Erasure.objects.get(mapping=mapping)


def now(erasure: Erasure) -> Erasure:
    return Erasure.objects.get(pk=erasure.pk)


def worked_until(erasure: Erasure, is_so: Callable[[Erasure], object]) -> Erasure:
    """The erasure after as many steps as it takes; its waits are cut short, and maintenance runs beside it."""
    Erasure.objects.exclude(pk=erasure.pk).update(next_try_at=timezone.now() + YEAR)  # of other tests
    for _ in range(30):
        Erasure.objects.filter(pk=erasure.pk).update(next_try_at=timezone.now())
        worker.work_for(seconds=60)
        if is_so(now(erasure)):
            return now(erasure)
        erasure_ledger.copy()
    raise AssertionError(f"{now(erasure).state}, {now(erasure).trouble}")


def is_done(erasure: Erasure) -> bool:
    return erasure.state == State.DONE
