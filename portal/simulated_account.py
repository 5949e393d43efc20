"""`make run SANDBOX=1`: the sample enterprise connected to a simulated account of Marketing Cloud, both ways.

The package of the account and the keys of its events are the portal's own, sealed, so that a second start finds them.
What happened to the people of the account is kept beside the database, since the simulator holds them in memory.
"""

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db.models import Q
from django.urls import reverse

from portal.command_line import operator
from portal.embedded.state import write_private
from portal.sample_data import EID, SampleAccess
from portal.simulator import Simulator, World
from portal.simulator.messaging import TokenServer
from portal.simulator.world import Callback, SmsSubscription, Subscriber
from tokens.connections import approval, callbacks, verbs
from tokens.connections.walk import State
from tokens.errors import BadConnection
from tokens.formats.kinds import Kind
from tokens.models import Connection, ContactMapping, Enterprise, EventCallback

NAME: Final = "Simulated Marketing Cloud"
MOST_PEOPLE: Final = 25_000


def account() -> World:
    """The account as the portal knows it: its units, its package, its callbacks, its people.

    Raises BadConnection where the sample enterprise has a connection of its own.
    """
    enterprise = Enterprise.objects.get(eid=EID)
    world = World(units={unit.mid: unit.name for unit in enterprise.business_units.order_by("pk")})
    connection = _connection(enterprise, world)
    assert connection.client_secret is not None
    world.subdomain = connection.subdomain
    world.add_package(client_id=connection.client_id, client_secret=connection.client_secret.open())
    _know_people(world, enterprise)
    return world


def connect(simulator: Simulator, address: str, access: SampleAccess) -> None:
    """Once it serves: test the connection, put it to use, have its events, and say where the token server is.

    `address` is the portal's. Raises BadConnection, which says what failed.
    """
    connection = Connection.objects.select_related("enterprise").get(enterprise__eid=EID, name=NAME)
    _hear_at(simulator.world, connection, address)
    tested = verbs.test_connection(connection, actor=operator())
    failed = next((one for one in tested.steps if one.state is State.FAILED), None)
    if failed is not None:
        raise BadConnection(f"its test failed at {failed.step}: {failed.said}")
    connection.refresh_from_db()
    if connection.in_use_since is None:
        approval.use(connection, reason="make run SANDBOX=1", actor=operator())
        connection.refresh_from_db()
    # What was asked for at a start that was broken off: this account does not know of it.
    connection.callbacks.filter(verified_at=None).delete()
    if callbacks.may_ask(connection):
        callbacks.ask_for_events(connection, address + reverse("marketing-cloud-events"), actor=operator())
        simulator.wait_until_followed_up()
        callbacks.answer_handshakes()
    with simulator.world.lock:
        simulator.world.token_server = TokenServer(address, access.client_id, access.client_secret)


def disconnect() -> None:
    """Nothing goes through the connection any more: without the simulator it would lead to the real Marketing Cloud."""
    for connection in Connection.objects.filter(enterprise__eid=EID, name=NAME, in_use_since__isnull=False):
        verbs.stop_using(connection, actor=operator())


def real_connections() -> list[str]:
    """Names of the other connections in use: beside a simulator they would lead there, credentials and all."""
    simulated = Q(enterprise__eid=EID, name=NAME)
    others = Connection.objects.filter(in_use_since__isnull=False).exclude(simulated)
    return list(others.order_by("name").values_list("name", flat=True))


def keep(world: World) -> None:
    """Keep what happened to the people of the account, for the next start."""
    with world.lock:
        said = {
            "account": world.subdomain,
            "subscribers": [asdict(one) for one in world.subscribers.values()],
            "sms": [asdict(one) for one in world.sms],
        }
        text = json.dumps(said) + "\n"
        if text != _kept_text():
            write_private(_file(), text)


def _connection(enterprise: Enterprise, world: World) -> Connection:
    of_all = enterprise.connections.filter(business_unit=None).first()
    if of_all is None:
        package = world.add_package()
        return verbs.create_connection(
            enterprise,
            name=NAME,
            subdomain=world.subdomain,
            client_id=package.client_id,
            client_secret=package.client_secret,
            actor=operator(),
        )
    if of_all.name != NAME:
        raise BadConnection(
            f"the sample enterprise has another connection for every unit, {of_all.name}: give it a unit"
        )
    return of_all


def _know_people(world: World, enterprise: Enterprise) -> None:
    kept = _kept()
    if kept.get("account") == world.subdomain:
        # What another release kept can have other fields: then they begin anew.
        with contextlib.suppress(KeyError, TypeError):
            subscribers = {one["key"]: Subscriber(**one) for one in kept["subscribers"]}
            sms = [SmsSubscription(**one) for one in kept["sms"]]
            world.subscribers, world.sms = subscribers, sms
    texted = {(one.mobile, one.key) for one in world.sms}
    links = ContactMapping.objects.filter(enterprise=enterprise, contact__erased_at=None)
    rows = links.order_by("pk").values_list("contact__subscriber_key", "mapping__kind", "mapping__token")
    for key, kind, token in rows[:MOST_PEOPLE]:
        if kind == Kind.EMAIL:
            world.subscribers.setdefault(key, Subscriber(key, token))
        elif (token, key) not in texted:
            world.sms.append(SmsSubscription(token, key))


def _hear_at(world: World, connection: Connection, address: str) -> None:
    """The account calls the portal where it is now, with the keys that were exchanged at an earlier start."""
    url = address + reverse("marketing-cloud-events")
    proven = EventCallback.objects.filter(
        connection=connection, verified_at__isnull=False, signature_key__isnull=False
    )
    with world.lock:
        for row in proven:
            made = Callback(row.callback_id, callbacks.NAME, url, row.signature_key.open(), "", verified=True)
            world.callbacks[made.id] = made
            world.subscriptions[made.id] = {
                "subscriptionId": made.id,
                "subscriptionName": callbacks.NAME,
                "callbackId": made.id,
                "eventCategoryTypes": list(callbacks.WANTED),
                "filters": [],
                "status": "active",
            }


def _file() -> Path:
    return Path(settings.STATE_DIR) / "simulated-people.json"


def _kept_text() -> str:
    try:
        return _file().read_text()
    except FileNotFoundError:
        return ""


def _kept() -> dict[str, Any]:
    try:
        found = json.loads(_kept_text())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
