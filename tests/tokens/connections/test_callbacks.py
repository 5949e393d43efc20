"""Events from the simulator reach a real web server: asked for, proven by the handshake, signed, stored once."""

import json
import threading
import time
import uuid
from typing import Any

import pytest
from django.db import connection as database
from django.db import transaction

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.simulator import World, notifications, running
from portal.simulator.world import Subscriber
from tests import serving
from tests.conftest import OwnDatabase
from tests.tokens.cast import IVAN, an_enterprise
from tokens.connections import callbacks
from tokens.connections.verbs import create_connection
from tokens.errors import BadConnection, NotInUse
from tokens.models import CloudEvent, Connection, EventCallback

EVENTS = "/api/v1/marketing-cloud/events"


@pytest.mark.slow
def test_events_are_asked_for_proven_and_received(portal_server: serving.Server, settings: Any) -> None:
    acme = an_enterprise()
    with running(world=World(units={acme.eid: "Acme"})) as simulator:
        settings.MARKETING_CLOUD_HOSTS = simulator.hosts
        simulator.world.subscribers["SUB-1"] = Subscriber("SUB-1", "t@tok.example.net")
        package = simulator.world.add_package()
        connection = create_connection(
            acme,
            name="Main package",
            subdomain=simulator.world.subdomain,
            client_id=package.client_id,
            client_secret=package.client_secret,
            actor=IVAN,
        )
        with pytest.raises(NotInUse):
            callbacks.ask_for_events(connection, portal_server.url + EVENTS, actor=IVAN)
        Connection.objects.update(in_use_since=connection.made_at)
        connection.refresh_from_db()
        asked = callbacks.ask_for_events(connection, portal_server.url + EVENTS, actor=IVAN)
        with pytest.raises(BadConnection, match="already"):
            callbacks.ask_for_events(connection, portal_server.url + EVENTS, actor=IVAN)
        assert simulator.wait_until_followed_up()

        callbacks.answer_handshakes()
        callbacks.answer_handshakes()
        row = EventCallback.objects.get()
        assert (row.callback_id, row.verified_at is None, row.verification_key) == (
            asked.callback_id,
            False,
            None,
        )
        assert AuditEvent.objects.filter(action=Action.CALLBACK_VERIFIED).count() == 1

        event = notifications.unsubscribe_event("t@tok.example.net", eid=acme.eid)
        assert [notifications.deliver(simulator.world, [event]) for _ in range(2)] == [[204], [204]]
        assert CloudEvent.objects.get().enterprise_id == acme.pk

        stranger = notifications.unsubscribe_event("t@tok.example.net", eid="999")
        assert notifications.deliver(simulator.world, [stranger]) == [400]
        simulator.world.callbacks[asked.callback_id].signature_key = "forged"
        assert notifications.deliver(simulator.world, [event]) == [401]


def test_a_handshake_that_comes_while_its_callback_gets_its_name_is_kept(own_database: OwnDatabase) -> None:
    """The row that it waits for has no name before its lock is had, and the very name after."""
    acme = an_enterprise()
    main = create_connection(
        acme, name="Main", subdomain="mc" + "x" * 26, client_id="c", client_secret="s", actor=IVAN
    )
    row = EventCallback.objects.create(id=uuid.uuid4(), enterprise=acme, connection=main)
    taken: list[EventCallback | None] = []

    def shake_hands() -> None:
        taken.append(callbacks.take_handshake("cb-1", "the-key"))
        database.close()

    shaking = threading.Thread(target=shake_hands, daemon=True)
    with transaction.atomic():
        EventCallback.objects.filter(pk=row.pk).update(callback_id="cb-1")
        shaking.start()
        until = time.monotonic() + 60
        while not _somebody_waits_for_us():
            assert time.monotonic() < until, "the handshake does not wait for the name"
            shaking.join(0.02)
    shaking.join(60)
    assert [one and one.pk for one in taken] == [row.pk]
    row.refresh_from_db()
    assert json.loads(row.verification_key.open()) == {"cb-1": "the-key"}


def _somebody_waits_for_us() -> bool:
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return bool(cursor.fetchone()[0])


def test_of_two_that_wait_for_their_names_each_keeps_the_handshake(db: None) -> None:
    rows = []
    for name in ("Acme", "Rival"):
        facts = {"subdomain": "mc" + "x" * 26, "client_id": "c", "client_secret": "s", "actor": IVAN}
        connection = create_connection(an_enterprise(name), name="Main", **facts)
        rows.append(
            EventCallback.objects.create(
                id=uuid.uuid4(), enterprise=connection.enterprise, connection=connection
            )
        )
    assert callbacks.take_handshake("cb-1", "the-key")
    for row in rows:
        row.refresh_from_db()
        assert json.loads(row.verification_key.open()) == {"cb-1": "the-key"}
