"""What to mend while Marketing Cloud still tries, by the log's reason for giving no token."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit.models import Api, Outcome, PayloadEntry, RefusalCount
from audit.partitions import first_id_at
from tokens.formats.reasons import Reason
from tokens.log.recording import Anomaly
from tokens.no_token_queue.chains import UNREADABLE

# (what is wrong, what mends it within the window)
_BY_REASON: Final[dict[str, tuple[str, str]]] = {
    Anomaly.UNKNOWN_TOKEN_TYPE: (
        "it asked for a tokenType that the contract does not have",
        "Only Email and MobileNumber are known. Look at the request: is it Marketing Cloud that calls?",
    ),
    Anomaly.TOKEN_AS_CLEAR_VALUE: (
        "a token was sent where a clear value belongs",
        "No try will help. Find who stores tokens where Marketing Cloud takes them for addresses.",
    ),
    Anomaly.NO_FREE_TOKEN: (
        "the country of the number has run out of tokens",
        "Give the country longer tokens on the enterprise's page: the next try gets one.",
    ),
    Anomaly.REPEATED_ID_DIFFERS: (
        "its tokenRequestId was taken by another value in the same call",
        "The next try answers it if it comes alone. Otherwise look at the request.",
    ),
    "internal_error": (
        "the server failed",
        "Find the request id in the server's log and restart the web server: the next try may be answered.",
    ),
    "unavailable": (
        "the database was away",
        "Bring PostgreSQL back before the window ends: /readyz tells when it answers.",
    ),
    "body_too_large": ("the call was larger than the limit", "Raise the limit of bodies, or of the proxy before us."),
    "too_many_items": ("the call held more than 500 items", "Nothing to mend here: tell Salesforce."),
    UNREADABLE: ("the call could not be read", "Look at the request in the log: does a proxy change it on its way?"),
}  # fmt: skip
_REFUSED: Final[dict[str, str]] = {
    "address_not_allowed": "Marketing Cloud calls from an address that is not on the allowlist: add it to the client.",
    "insufficient_scope": "The client may not ask for tokens: give it the scope tokens.get.",
    "invalid_credentials": "The client's secret is wrong in Marketing Cloud: store the current one there.",
    "switched_off": "The client is switched off: switch it on.",
}
_NO_NUMBER: Final = (
    "it is no valid number or address",
    "No try will help: look for it in the next extract, and unsubscribe the person by hand.",
)
_FAULTY: Final = (
    "the call was refused",
    "Look at the request in the log: the answer says what is wrong with it.",
)


def what_to_mend(reason: str) -> tuple[str, str]:
    """(what is wrong, what mends it)."""
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    return _NO_NUMBER if reason in set(Reason) else _FAULTY


@dataclass(frozen=True, slots=True)
class Unread:
    """Calls of a client that were refused before their body was read: whose they are nobody knows."""

    client: str
    error: str
    times: int
    latest: datetime

    @property
    def mend(self) -> str:
        """What to do about it."""
        return _REFUSED.get(self.error, "Look at these calls in the log.")


def of_strangers(since: datetime) -> int:
    """Refused calls of Get Token by callers that could not be named, in the hours since then: of no enterprise."""
    hour = since.replace(minute=0, second=0, microsecond=0)
    rows = RefusalCount.objects.filter(api=Api.GET_TOKEN, hour__gte=hour)
    return sum(rows.values_list("count", flat=True))


def refused_unread(
    enterprise_ids: Sequence[int], since: datetime, until: datetime | None = None
) -> list[Unread]:
    """Refused calls of Get Token without a body, by client and reason, the most frequent first."""
    rows = PayloadEntry.objects.filter(
        enterprise_id__in=enterprise_ids,
        pk__gte=first_id_at(since),
        api=Api.GET_TOKEN,
        outcome__in=[Outcome.REFUSED, Outcome.FAILED],
        request_skeleton__isnull=True,
    )
    if until is not None:
        rows = rows.filter(pk__lt=first_id_at(until))
    found: Counter[tuple[str, str]] = Counter()
    latest: dict[tuple[str, str], datetime] = {}
    for client, error, at in rows.order_by("pk").values_list("client_name", "error", "at")[:2_000]:
        found[client, error] += 1
        latest[client, error] = at
    return [Unread(*key, times, latest[key]) for key, times in found.most_common()]
