"""Event Notification Service: callbacks with their handshake, subscriptions, and signed events."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from functools import partial
from typing import Any

import httpx2

from portal.simulator.auth import needs
from portal.simulator.messages import Refused, Reply, Request, as_json
from portal.simulator.world import Callback, World

_CALLBACK = "event_notification_callback_"
_SUBSCRIPTION = "event_notification_subscription_"


def signature(key: str, body: bytes) -> str:
    """What stands in `x-sfmc-ens-signature`."""
    return base64.b64encode(hmac.digest(key.encode(), body, hashlib.sha256)).decode()


def create_callbacks(world: World, request: Request) -> Reply:
    """`POST /platform/v1/ens-callbacks`: the key is shown once; then the address gets its handshake, unsigned."""
    needs(world, request, _CALLBACK + "create")
    made = []
    for one in _listed(request):
        callback = Callback(
            id=secrets.token_hex(16),
            name=str(one.get("callbackName", "")),
            url=str(one.get("url", "")),
            signature_key=base64.b64encode(secrets.token_bytes(32)).decode(),
            verification_key=secrets.token_hex(16),
            batch_size=int(one.get("maxBatchSize", 1000)),
        )
        world.callbacks[callback.id] = callback
        world.after.append(partial(shake_hands, callback))
        made.append(_shown(callback) | {"signatureKey": callback.signature_key})
    return as_json(made, 201)


def list_callbacks(world: World, request: Request) -> Reply:
    """`GET /platform/v1/ens-callbacks`"""
    needs(world, request, _CALLBACK + "read")
    return as_json([_shown(callback) for callback in world.callbacks.values()])


def delete_callback(world: World, request: Request) -> Reply:
    """`DELETE /platform/v1/ens-callbacks/{id}`"""
    needs(world, request, _CALLBACK + "delete")
    callback = _callback(world, request.keys["id"])
    del world.callbacks[callback.id]
    world.subscriptions = {
        number: one for number, one in world.subscriptions.items() if one["callbackId"] != callback.id
    }
    return as_json([])


def verify(world: World, request: Request) -> Reply:
    """`POST /platform/v1/ens-verify`"""
    needs(world, request, _CALLBACK + "update")
    asked = request.json()
    callback = _callback(world, str(asked.get("callbackId")))
    if not secrets.compare_digest(str(asked.get("verificationKey", "")), callback.verification_key):
        raise Refused(400, 10001, "The verification key is wrong.")
    callback.verified = True
    return as_json(_shown(callback))


def create_subscriptions(world: World, request: Request) -> Reply:
    """`POST /platform/v1/ens-subscriptions`"""
    needs(world, request, _SUBSCRIPTION + "create")
    made = []
    for one in _listed(request):
        callback = _callback(world, str(one.get("callbackId")))
        if not callback.verified:
            raise Refused(400, 10001, "The callback is not verified.")
        subscription: dict[str, Any] = {
            "subscriptionId": secrets.token_hex(16),
            "subscriptionName": str(one.get("subscriptionName", "")),
            "callbackId": callback.id,
            "eventCategoryTypes": list(one.get("eventCategoryTypes", [])),
            "filters": list(one.get("filters") or []),
            "status": "active",
        }
        world.subscriptions[subscription["subscriptionId"]] = subscription
        made.append(subscription)
    return as_json(made, 201)


def list_subscriptions(world: World, request: Request) -> Reply:
    """`GET /platform/v1/ens-subscriptions-by-cb/{id}`"""
    needs(world, request, _SUBSCRIPTION + "read")
    found = [one for one in world.subscriptions.values() if one["callbackId"] == request.keys["id"]]
    return as_json(found)


def shake_hands(callback: Callback) -> int:
    """The unsigned call that a new address gets. The status that it answered; 0 when it did not."""
    said = json.dumps({"callbackId": callback.id, "verificationKey": callback.verification_key}).encode()
    return _post(callback.url, said, {})


def unsubscribe_event(
    to: str, *, eid: str, mid: str = "", at: float | None = None, job: int = 101
) -> dict[str, Any]:
    """An `EngagementEvents.EmailUnsubscribe`; `to` is the token."""
    moment = int((time.time() if at is None else at) * 1000)
    composite = {"jobId": str(job), "batchId": "1", "listId": "11", "subscriberId": "123", "emailId": "5"}
    return {
        "eventCategoryType": "EngagementEvents.EmailUnsubscribe",
        "timestampUTC": moment,
        "compositeId": ".".join(composite.values()),
        "composite": composite,
        "definitionKey": "simulated",
        "mid": int(mid or eid),
        "eid": int(eid),
        "info": {"to": to, "unsubscribeDate": moment, "unsubscribeMethod": "Subscription Center"},
    }


def deliver(world: World, events: list[dict[str, Any]]) -> list[int]:
    """Send `events` to every verified address whose subscription wants them. The statuses that they answered."""
    statuses = []
    for callback in list(world.callbacks.values()):
        wanted = {
            kind
            for one in world.subscriptions.values()
            if one["callbackId"] == callback.id
            for kind in one["eventCategoryTypes"]
        }
        batch = [event for event in events if event["eventCategoryType"] in wanted]
        if callback.verified and batch:
            body = json.dumps(batch).encode()
            headers = {"x-sfmc-ens-signature": signature(callback.signature_key, body)}
            statuses.append(_post(callback.url, body, headers))
    return statuses


def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    try:
        with httpx2.Client(timeout=30, trust_env=False) as client:
            answer = client.post(url, content=body, headers={"Content-Type": "application/json", **headers})
    except httpx2.HTTPError:
        return 0
    return answer.status_code


def _callback(world: World, callback_id: str) -> Callback:
    found = world.callbacks.get(callback_id)
    if found is None:
        raise Refused(404, 10005, "There is no such callback.")
    return found


def _listed(request: Request) -> list[dict[str, Any]]:
    asked = request.json()
    if not isinstance(asked, list) or not asked:
        raise Refused(400, 10001, "The body must be a list.")
    return asked


def _shown(callback: Callback) -> dict[str, Any]:
    return {
        "callbackId": callback.id,
        "callbackName": callback.name,
        "url": callback.url,
        "maxBatchSize": callback.batch_size,
        "status": "verified" if callback.verified else "unverified",
        "statusReason": "Verified" if callback.verified else "Verification key was sent",
    }
