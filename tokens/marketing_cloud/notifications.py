"""Event notifications: addresses of ours that Marketing Cloud calls, and what they are told.

Who has a signature key can forge events, so no exchange that may hold one, or a verification key, is told with bodies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tokens.marketing_cloud.caller import Caller
from tokens.marketing_cloud.errors import UnreadableAnswer

_CALLBACK: Final = "event_notification_callback_"
_SUBSCRIPTION: Final = "event_notification_subscription_"
CALLBACK_SCOPES: Final = tuple(_CALLBACK + act for act in ("create", "read", "update", "delete"))
SUBSCRIPTION_SCOPES: Final = tuple(_SUBSCRIPTION + act for act in ("create", "read"))


@dataclass(frozen=True, slots=True)
class Callback:
    """An address of ours. The signature key is told once, when it is made."""

    id: str
    url: str
    is_verified: bool
    signature_key: str | None = field(default=None, repr=False)


class Notifications:
    """Callbacks and subscriptions of the account."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def create_callback(self, name: str, url: str, *, batch_size: int = 1000) -> Callback:
        """Make `url` known; it gets its handshake at once, maybe before this returns."""
        body = [{"callbackName": name, "url": url, "maxBatchSize": batch_size}]
        path = "/platform/v1/ens-callbacks"
        answer = self._caller.rest(
            "create callback",
            "POST",
            path,
            scope=_CALLBACK + "create",
            body=body,
            is_repeatable=False,
            is_secret=True,
        )
        (made,) = _listed(answer, "create callback") or [{}]
        if not made.get("signatureKey"):
            raise UnreadableAnswer("REST create callback", "no signature key")
        return _callback(made)

    def callbacks(self) -> list[Callback]:
        """Every address that is known."""
        path = "/platform/v1/ens-callbacks"
        answer = self._caller.rest("callbacks", "GET", path, scope=_CALLBACK + "read", is_secret=True)
        return [_callback(one) for one in _listed(answer, "callbacks")]

    def verify(self, callback_id: str, verification_key: str) -> None:
        """Answer a handshake with what it brought."""
        body = {"callbackId": callback_id, "verificationKey": verification_key}
        path = "/platform/v1/ens-verify"
        self._caller.rest("verify", "POST", path, scope=_CALLBACK + "update", body=body, is_secret=True)

    def delete_callback(self, callback_id: str) -> None:
        path = f"/platform/v1/ens-callbacks/{callback_id}"
        self._caller.rest("delete callback", "DELETE", path, scope=_CALLBACK + "delete")

    def subscriptions(self, callback_id: str) -> list[str]:
        """The ids of what an address is told."""
        path = f"/platform/v1/ens-subscriptions-by-cb/{callback_id}"
        answer = self._caller.rest("subscriptions", "GET", path, scope=_SUBSCRIPTION + "read")
        return [str(one.get("subscriptionId", "")) for one in _listed(answer or [], "subscriptions")]

    def subscribe(self, callback_id: str, name: str, kinds: Sequence[str]) -> str:
        """Ask for events of these kinds, such as `EngagementEvents.EmailUnsubscribe`; the subscription's id."""
        body = [{"callbackId": callback_id, "subscriptionName": name, "eventCategoryTypes": list(kinds)}]
        path = "/platform/v1/ens-subscriptions"
        answer = self._caller.rest(
            "subscribe", "POST", path, scope=_SUBSCRIPTION + "create", body=body, is_repeatable=False
        )
        (made,) = _listed(answer, "subscribe") or [{}]
        return str(made.get("subscriptionId", ""))


def _listed(answer: Any, verb: str) -> list[dict[str, Any]]:
    if not isinstance(answer, list):
        raise UnreadableAnswer(f"REST {verb}")
    return answer


def _callback(one: dict[str, Any]) -> Callback:
    return Callback(
        id=str(one.get("callbackId", "")),
        url=str(one.get("url", "")),
        is_verified=str(one.get("status", "")).casefold() == "verified",
        signature_key=one.get("signatureKey"),
    )
