"""What a Marketing Cloud account holds, in memory: it starts as it was seeded and ends with the process.

There is one lock. Every call is worked off under it, so that what a test reads afterwards is whole.
"""

import secrets
import string
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from portal.simulator.faults import Faults

EID: Final = "510000001"
CHILD: Final = "510000002"
LIFETIME_SECONDS: Final = 1079
ALL_SCOPES: Final = frozenset(
    [
        "offline", "data_extensions_read", "data_extensions_write", "list_and_subscribers_read",
        "list_and_subscribers_write", "sms_read", "event_notification_callback_create",
        "event_notification_callback_read", "event_notification_callback_update",
        "event_notification_callback_delete", "event_notification_subscription_create",
        "event_notification_subscription_read", "event_notification_subscription_update",
        "event_notification_subscription_delete",
    ]
)  # fmt: skip


@dataclass(slots=True)
class Package:
    """An installed package's API integration: who may ask for tokens, and for what."""

    client_id: str
    client_secret: str = field(repr=False)
    kind: str = "server"  # server, web or public
    scopes: frozenset[str] = ALL_SCOPES
    mids: frozenset[str] = frozenset()  # the units that it may act for; none: every one
    redirect_uris: tuple[str, ...] = ()
    public_key: str | None = field(default=None, repr=False)  # PEM, of the JWT bearer flow


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer, refresh or authorization code that was given out."""

    client_id: str
    mid: str
    scopes: frozenset[str]
    expires_at: float
    redirect_uri: str = ""
    challenge: str = field(default="", repr=False)


@dataclass(slots=True)
class DataExtension:
    """Rows of a business unit. Columns are kept as they were defined; rows by their primary key."""

    key: str
    mid: str
    primary_key: tuple[str, ...]
    columns: tuple[str, ...]
    is_sendable: bool = True
    rows: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)

    def name_of(self, column: str) -> str | None:
        """The column as it was defined, whatever the case; None if there is none."""
        return next((one for one in self.columns if one.casefold() == column.casefold()), None)


@dataclass(slots=True)
class Subscriber:
    """Somebody of All Subscribers. `email` is the token; `unsubscribed` holds the units, the EID for all of them."""

    key: str
    email: str
    unsubscribed: dict[str, str] = field(default_factory=dict)  # MID: reason
    status: str = "Active"


@dataclass(slots=True)
class SmsSubscription:
    """Whether a number (its token) gets messages of a keyword and code."""

    mobile: str
    key: str
    keyword: str = "PROMO"
    short_code: str = "46356"
    opted_in: bool = True


@dataclass(slots=True)
class Callback:
    """An address that gets event notifications."""

    id: str
    name: str
    url: str
    signature_key: str = field(repr=False)
    verification_key: str = field(repr=False)
    verified: bool = False
    batch_size: int = 1000


@dataclass(slots=True)
class World:
    """One account: EID with its units, packages, people and data."""

    subdomain: str = field(default_factory=lambda: "mc" + random_letters(26))
    units: dict[str, str] = field(default_factory=lambda: {EID: "Parent", CHILD: "Child"})
    lifetime: int = LIFETIME_SECONDS
    packages: dict[str, Package] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict, repr=False)
    refresh_tokens: dict[str, Token] = field(default_factory=dict, repr=False)
    codes: dict[str, Token] = field(default_factory=dict, repr=False)
    used_assertions: set[str] = field(default_factory=set, repr=False)
    extensions: dict[tuple[str, str], DataExtension] = field(default_factory=dict)
    row_snapshots: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    async_results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    retrieves: dict[str, list[Any]] = field(default_factory=dict)
    sms: list[SmsSubscription] = field(default_factory=list)
    deletions: dict[int, dict[str, Any]] = field(default_factory=dict)
    callbacks: dict[str, Callback] = field(default_factory=dict)
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    token_server: Any = None  # of portal.simulator.messaging, as are these two
    texts: list[Any] = field(default_factory=list)
    sends: dict[str, Any] = field(default_factory=dict)
    journal: list[dict[str, Any]] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults, repr=False)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    after: list[Callable[[], object]] = field(default_factory=list, repr=False)

    @property
    def eid(self) -> str:
        """The enterprise's own unit, the first one."""
        return next(iter(self.units))

    def add_package(self, **facts: Any) -> Package:
        """A package with random credentials unless they are given."""
        facts.setdefault("client_id", secrets.token_hex(12))
        facts.setdefault("client_secret", secrets.token_urlsafe(24))
        package = Package(**facts)
        self.packages[package.client_id] = package
        return package

    def extension(self, mid: str, key: str) -> DataExtension | None:
        """A data extension of a unit by its external key, whatever the case: some clients lower-case their paths."""
        return self.extensions.get((mid, key.casefold()))

    def expire_tokens(self) -> None:
        """Bearer tokens given out so far are no longer good."""
        self.tokens.clear()

    def expires_in(self, seconds: float) -> float:
        return time.monotonic() + seconds


def random_letters(length: int) -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(length))
