"""Subscribers of All Subscribers, by SOAP. They are addressed by key: in Marketing Cloud the address is the token."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final
from xml.etree.ElementTree import Element

from tokens.marketing_cloud import envelopes
from tokens.marketing_cloud.caller import Caller
from tokens.marketing_cloud.errors import ObjectRefused, UnreadableAnswer
from tokens.marketing_cloud.retrieving import retrieve

READ: Final = "list_and_subscribers_read"
WRITE: Final = "list_and_subscribers_write"
ALREADY_UNSUBSCRIBED: Final = 401
KEYS_A_CALL: Final = 200


class Status(StrEnum):
    """The status of a subscriber."""

    ACTIVE = "Active"
    UNSUBSCRIBED = "Unsubscribed"
    BOUNCED = "Bounced"
    HELD = "Held"
    DELETED = "Deleted"


class Done(StrEnum):
    """How an unsubscribe went; both are proof that the person is out."""

    NOW = "now"
    BEFORE = "before"


class Subscribers:
    """Reading and ending subscriptions for the business unit of the client."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def statuses(self, keys: Sequence[str]) -> dict[str, Status]:
        """The status of each subscriber whom Marketing Cloud knows, by key; others are left out."""
        found: dict[str, Status] = {}
        for first in range(0, len(keys), KEYS_A_CALL):
            found |= self._statuses(keys[first : first + KEYS_A_CALL])
        return found

    def unsubscribe(self, key: str, *, reason: str, mid: str | None = None) -> Done:
        """End e-mail for one person by `LogUnsubEvent`; already out is as good. Raises ObjectRefused.

        `mid` is a child business unit that the client does not act for itself.
        """
        message = envelopes.message("ExecuteRequestMsg")
        request = envelopes.add(message, "Requests")
        if mid is not None:
            envelopes.add(envelopes.add(request, "Client"), "ID", mid)
        envelopes.add(request, "Name", "LogUnsubEvent")
        for name, value in (("SubscriberKey", key), ("Reason", reason)):
            parameter = envelopes.add(request, "Parameters")
            envelopes.add(parameter, "Name", name)
            envelopes.add(parameter, "Value", value)
        (code,) = self._codes("LogUnsubEvent", "Execute", message)
        if code not in (0, ALREADY_UNSUBSCRIBED):
            raise ObjectRefused("SOAP LogUnsubEvent", code)
        return Done.BEFORE if code else Done.NOW

    def set_status(self, key: str, status: Status) -> None:
        """Set the status of one subscriber. Raises ObjectRefused."""
        message = envelopes.message("UpdateRequest")
        envelopes.add(message, "Options")
        subscriber = envelopes.add(message, "Objects", kind="Subscriber")
        envelopes.add(subscriber, "SubscriberKey", key)
        envelopes.add(subscriber, "Status", status.value)
        (code,) = self._codes("Update", "Update", message)
        if code:
            raise ObjectRefused("SOAP Update", code)

    def _statuses(self, keys: Sequence[str]) -> dict[str, Status]:
        wanted = ("SubscriberKey", list(keys))
        found = retrieve(self._caller, "Subscriber", ("SubscriberKey", "Status"), wanted, scope=READ)
        return {envelopes.text(one, "SubscriberKey"): _status(one) for one in found}

    def _codes(self, verb: str, action: str, message: Element) -> list[int]:
        """The error code of each result, 0 for success. One object was sent, so there is one."""
        answer = self._caller.soap(verb, action, message, scope=WRITE)
        results = list(envelopes.children(answer, "Results"))
        if len(results) != 1:
            raise UnreadableAnswer(f"SOAP {verb}")
        return [_code(result) for result in results]


def _status(result: Element) -> Status:
    try:
        return Status(envelopes.text(result, "Status"))
    except ValueError:
        raise UnreadableAnswer("SOAP Retrieve", "an unknown status") from None


def _code(result: Element) -> int:
    if envelopes.text(result, "StatusCode") == "OK":
        return 0
    said = envelopes.text(result, "ErrorCode")
    # An error without a number is an error all the same.
    return int(said) if said.isdecimal() and int(said) else -1
