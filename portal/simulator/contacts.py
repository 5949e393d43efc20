"""Contacts over REST: deleting them, and reading back their SMS subscriptions."""

from typing import Any, Final

from portal.simulator.auth import needs
from portal.simulator.messages import Refused, Reply, Request, as_json
from portal.simulator.world import World

MOST_CONTACTS: Final = 500
FIRST_OPERATION: Final = 4001


def delete(world: World, request: Request) -> Reply:
    """`POST /contacts/v1/contacts/actions/delete?type=keys`: begins; done once its status was asked twice."""
    token = needs(world, request, "list_and_subscribers_write")
    asked = request.json()
    keys = asked.get("values") if isinstance(asked, dict) else None
    if request.query.get("type") != "keys" or not isinstance(keys, list) or not keys:
        raise Refused(400, 10001, "Give values, and type=keys.")
    if asked.get("DeleteOperationType") != "ContactAndAttributes":
        raise Refused(400, 10001, "DeleteOperationType must be ContactAndAttributes.")
    if any(one["status"] == "Processing" for one in world.deletions.values()):
        raise Refused(400, 10002, "Another contact delete operation of this account is running.")
    number = FIRST_OPERATION + len(world.deletions)
    world.deletions[number] = {
        "keys": list(map(str, keys)),
        "mid": token.mid,
        "status": "Processing",
        "asked": 0,
    }
    answer = {
        "operationInitiated": True, "operationID": number, "requestServiceMessageID": f"sim-{number}",
        "resultMessages": [], "serviceMessageID": f"sim-{number}",
    }  # fmt: skip
    return as_json(answer)


def delete_status(world: World, request: Request) -> Reply:
    """`GET /contacts/v1/contacts/actions/delete/status?operationID=`"""
    needs(world, request, "list_and_subscribers_read")
    said = request.query.get("operationid", "")
    operation = world.deletions.get(int(said)) if said.isdecimal() else None
    if operation is None:
        raise Refused(404, 10005, "There is no such operation.")
    operation["asked"] += 1
    if operation["asked"] >= 2 and operation["status"] == "Processing":
        _carry_out(world, operation)
    return as_json(
        {
            "backgroundOperationID": int(said),
            "backgroundOperationType": "ContactDelete",
            "status": operation["status"],
            "resultMessages": [],
        }
    )


def subscriptions(world: World, request: Request) -> Reply:
    """`POST /sms/v1/contacts/subscriptions`: by number or by subscriber key, at most 500."""
    needs(world, request, "sms_read")
    asked = request.json()
    numbers, keys = (asked.get(name) or [] for name in ("mobileNumber", "subscriberKey"))
    if bool(numbers) == bool(keys) or len(numbers) + len(keys) > MOST_CONTACTS:
        raise Refused(400, 10001, f"Give mobileNumber or subscriberKey, at most {MOST_CONTACTS}.")
    found = [one for one in world.sms if one.mobile in numbers or one.key in keys]
    contacts: list[dict[str, Any]] = [
        {
            "mobileNumber": one.mobile,
            "subscriberKey": one.key,
            "shortCode": one.short_code,
            "keyword": one.keyword,
            "optInStatus": "Opt In" if one.opted_in else "Opt Out",
        }
        for one in found
    ]
    return as_json({"contacts": contacts, "count": len(contacts)})


def _carry_out(world: World, operation: dict[str, Any]) -> None:
    for key in operation["keys"]:
        world.subscribers.pop(key, None)
        # Only sendable data extensions are cleaned; the others are the customer's to clean.
        world.sms = [one for one in world.sms if one.key != key]
    operation["status"] = "Completed"
