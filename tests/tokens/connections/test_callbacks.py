"""Events from the simulator reach a real web server: asked for, proven by the handshake, signed, stored once."""

from typing import Any

import pytest

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.simulator import World, notifications, running
from portal.simulator.world import Subscriber
from tests import serving
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
