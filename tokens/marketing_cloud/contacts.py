"""Contacts: deleting them, and reading back whom they get text messages from."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tokens.marketing_cloud.caller import Caller
from tokens.marketing_cloud.errors import TooMuch, UnreadableAnswer

READ: Final = "list_and_subscribers_read"  # which scope these calls need is assumed
WRITE: Final = "list_and_subscribers_write"
SMS_READ: Final = "sms_read"
MOST: Final = 500
_DELETE: Final = "/contacts/v1/contacts/actions/delete"


class DeleteState(StrEnum):
    """How far a contact delete is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SmsSubscription:
    """Whether a contact gets messages of a keyword and code; `mobile` is the token."""

    subscriber_key: str
    mobile: str
    short_code: str
    keyword: str
    is_opted_in: bool


class Contacts:
    """Contacts by subscriber key."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def delete(self, keys: Sequence[str]) -> str:
        """Begin to delete contacts with all their attributes; the id under which `delete_state` tells of it.

        One runs at a time in an account: another one is refused with CallRefused until it is over.
        """
        body = {"values": list(keys), "DeleteOperationType": "ContactAndAttributes"}
        answer = self._caller.rest(
            "contact delete",
            "POST",
            _DELETE,
            scope=WRITE,
            query={"type": "keys"},
            body=body,
            is_repeatable=False,  # done twice, the second is refused because of the first
        )
        if not isinstance(answer, dict) or not answer.get("operationInitiated"):
            raise UnreadableAnswer("REST contact delete", "it was not begun")
        return str(answer.get("operationID"))

    def delete_state(self, operation_id: str) -> DeleteState:
        """How far a contact delete is."""
        answer = self._caller.rest(
            "contact delete status",
            "GET",
            f"{_DELETE}/status",
            scope=READ,
            query={"operationID": operation_id},
        )
        said = str(answer.get("status", "")).casefold() if isinstance(answer, dict) else ""
        if said.startswith("complete"):
            return DeleteState.DONE
        return DeleteState.FAILED if said in ("invalid", "failed", "error") else DeleteState.RUNNING

    def sms_subscriptions(
        self, *, subscriber_keys: Sequence[str] = (), mobiles: Sequence[str] = ()
    ) -> list[SmsSubscription]:
        """The subscriptions of contacts, by their keys or by their mobile tokens, at most 500 of either."""
        if len(subscriber_keys) > MOST or len(mobiles) > MOST:
            raise TooMuch("REST SMS subscriptions", f"at most {MOST}")
        body = (
            {"subscriberKey": list(subscriber_keys)} if subscriber_keys else {"mobileNumber": list(mobiles)}
        )
        answer = self._caller.rest(
            "SMS subscriptions", "POST", "/sms/v1/contacts/subscriptions", scope=SMS_READ, body=body
        )
        if not isinstance(answer, dict):
            raise UnreadableAnswer("REST SMS subscriptions")
        return [_subscription(one) for one in answer.get("contacts") or []]


def _subscription(one: dict[str, Any]) -> SmsSubscription:
    status = str(one.get("optInStatus", "")).replace(" ", "").casefold()
    return SmsSubscription(
        subscriber_key=str(one.get("subscriberKey", "")),
        mobile=str(one.get("mobileNumber", "")),
        short_code=str(one.get("shortCode", "")),
        keyword=str(one.get("keyword", "")),
        is_opted_in=status in ("optin", "optedin", "active"),
    )
