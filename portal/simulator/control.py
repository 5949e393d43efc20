"""What steers the simulator itself, below `/simulator/`: seeding it, planning faults, looking into it.

Nobody is asked for credentials: it listens on this machine only, and nothing in it is real.
"""

import csv
import io
from functools import partial
from typing import Any

from portal.simulator import messaging, notifications
from portal.simulator.faults import Faults
from portal.simulator.messages import Refused, Reply, Request, as_json
from portal.simulator.world import DataExtension, SmsSubscription, Subscriber, World


def seed(world: World, request: Request) -> Reply:
    """`POST /simulator/seed`: what is in the body is added; see `World` for the fields."""
    said = request.json()
    try:
        for one in said.get("packages", []):
            facts = {
                name: _as_set(value) if isinstance(value, list) else value for name, value in one.items()
            }
            world.add_package(**facts)
        for one in said.get("dataExtensions", []):
            made = DataExtension(
                one["key"],
                one["mid"],
                tuple(one["primary_key"]),
                tuple(one["columns"]),
                one.get("is_sendable", True),
            )
            world.extensions[made.mid, made.key.casefold()] = made
        for one in said.get("subscribers", []):
            world.subscribers[one["key"]] = Subscriber(**one)
        world.sms.extend(SmsSubscription(**one) for one in said.get("sms", []))
        world.lifetime = int(said.get("lifetime", world.lifetime))
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(400, 10001, f"The seed is not understood: {error}") from None
    return as_json({})


def look(world: World, request: Request) -> Reply:
    """`GET /simulator/state`: people, rows, callbacks and the journal of calls, without secrets."""
    return as_json(
        {
            "subscribers": {
                one.key: {"email": one.email, "status": one.status, "unsubscribed": one.unsubscribed}
                for one in world.subscribers.values()
            },
            "sms": [{"key": one.key, "mobile": one.mobile, "opted_in": one.opted_in} for one in world.sms],
            "dataExtensions": {
                f"{one.mid}/{one.key}": list(one.rows.values()) for one in world.extensions.values()
            },
            "deletions": {str(number): one["status"] for number, one in world.deletions.items()},
            "callbacks": [
                {"callbackId": one.id, "url": one.url, "verified": one.verified}
                for one in world.callbacks.values()
            ],
            "connected": world.token_server is not None,
            **messaging.shown(world),
            "journal": world.journal,
        }
    )


def plan_fault(faults: Faults, request: Request) -> Reply:
    """`POST /simulator/faults`: {"kind", "path", "times", …}, see `portal.simulator.faults`."""
    try:
        faults.plan(**request.json())
    except (TypeError, ValueError) as error:
        raise Refused(400, 10001, f"The fault is not understood: {error}") from None
    return as_json({})


def import_sms(world: World, request: Request) -> Reply:
    """`POST /simulator/sms-import`: a CSV that somebody imports by hand; subscriptions end as its rows say.

    The columns of the real import are for its definition to map [assumed].
    """
    rows = list(csv.DictReader(io.StringIO(request.body.decode("utf-8-sig"), newline="")))
    try:
        out = {
            (one["SubscriberKey"], one["MobileNumber"], one["ShortCode"])
            for one in rows
            if one["OptInStatus"] != "OptedIn"
        }
    except KeyError as error:
        raise Refused(400, 10001, f"The file has no column {error}.") from None
    for one in world.sms:
        if out & {(one.key, one.mobile, one.short_code), (one.key, one.mobile, "")}:
            one.opted_in = False
    return as_json({"rows": len(rows)})


def expire_tokens(world: World, request: Request) -> Reply:
    """`POST /simulator/expire-tokens`"""
    world.expire_tokens()
    return as_json({})


def send_events(world: World, request: Request) -> Reply:
    """`POST /simulator/unsubscribe`: {"to": token}: who has it is out, and all who asked for such events are told."""
    said: Any = request.json()
    token, mid = str(said["to"]), str(said.get("mid", ""))
    event = notifications.unsubscribe_event(token, eid=world.eid, mid=mid)
    for one in world.subscribers.values():
        if one.email == token:
            one.unsubscribed.setdefault(mid or world.eid, "Subscription Center")
    world.after.append(partial(notifications.deliver, world, [event]))
    return as_json(event)


def _as_set(value: list[Any]) -> frozenset[str] | tuple[str, ...]:
    return frozenset(map(str, value))
