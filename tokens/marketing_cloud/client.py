"""All verbs of one business unit in one place."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from tokens.marketing_cloud.access import nobody_keeps_it
from tokens.marketing_cloud.caller import Caller, Patience
from tokens.marketing_cloud.contacts import SMS_READ, Contacts
from tokens.marketing_cloud.data_extensions import DataExtensions
from tokens.marketing_cloud.errors import UnreadableAnswer
from tokens.marketing_cloud.grants import Grant
from tokens.marketing_cloud.notifications import CALLBACK_SCOPES, SUBSCRIPTION_SCOPES, Notifications
from tokens.marketing_cloud.subscribers import READ, WRITE, Subscribers
from tokens.marketing_cloud.tenant import Tenant
from tokens.marketing_cloud.transport import Observer

# What the portal asks Marketing Cloud to do needs these scopes of the package; docs/connections.md says what for.
NEEDED_SCOPES: Final = (
    READ,
    WRITE,
    SMS_READ,
    "data_extensions_read",
    "data_extensions_write",
    *CALLBACK_SCOPES,
    *SUBSCRIPTION_SCOPES,
)


@dataclass(frozen=True, slots=True)
class Whom:
    """For whom the access token acts."""

    mid: str
    eid: str
    stack: str
    scopes: frozenset[str]


class MarketingCloud:
    """A client for one business unit; threads may share it. `observe` is told of every exchange before its use."""

    def __init__(
        self,
        tenant: Tenant,
        grant: Grant,
        *,
        observe: Observer,
        keep_refresh_token: Callable[[str], None] = nobody_keeps_it,
        turn: Callable[[], AbstractContextManager[Grant]] | None = None,
        patience: Patience = Patience(),  # noqa: B008 - it is frozen
    ) -> None:
        self.caller = Caller(
            tenant,
            grant,
            observe=observe,
            keep_refresh_token=keep_refresh_token,
            turn=turn,
            patience=patience,
        )
        self.data_extensions = DataExtensions(self.caller)
        self.subscribers = Subscribers(self.caller)
        self.contacts = Contacts(self.caller)
        self.notifications = Notifications(self.caller)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.caller.close()

    def whom(self) -> Whom:
        """For which business unit and account it acts, and what it may do."""
        answer: Any = self.caller.rest("userinfo", "GET", "/v2/userinfo", scope="")
        organisation = answer.get("organization") if isinstance(answer, dict) else None
        if not isinstance(organisation, dict):
            raise UnreadableAnswer("REST userinfo")
        return Whom(
            mid=str(organisation.get("member_id", "")),
            eid=str(organisation.get("enterprise_id", "")),
            stack=str(organisation.get("stack_key", "")),
            scopes=self.caller.access.token().scopes,
        )
