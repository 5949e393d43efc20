"""Carries opt-outs by e-mail to Marketing Cloud: look, unsubscribe, read back. Done twice it changes nothing there.
Those of text messages are handed over by people, as a file (sms_files): here they are read back.

Each exchange enters the payload log before its result is used. What Marketing Cloud confirms becomes the proof of the
unsubscribe, and what it reads back as unsubscribed closes it.
"""

import time
from typing import Final

import structlog

from audit.trail import SYSTEM
from tokens.connections.client import client_of, cloud, of_account
from tokens.consent import unsubscribes
from tokens.consent.blind import mapping_of
from tokens.crypto.errors import CryptoError
from tokens.errors import BadConnection, VaultError
from tokens.formats.kinds import Kind
from tokens.marketing_cloud import MarketingCloud, MarketingCloudError, Patience
from tokens.marketing_cloud.errors import CallRefused, ObjectRefused, TooManyCalls
from tokens.marketing_cloud.subscribers import Status
from tokens.models import BusinessUnit, ConsentEvent, ContactMapping, Unsubscribe
from tokens.write_back import outbox
from tokens.write_back.outbox import Claim

# What fails is tried again from the outbox, where a killed worker loses nothing.
QUICKLY: Final = Patience(attempts=2, longest_wait=2, answer_within=30)
REASON: Final = "Opt-out recorded in the token governance portal"
Proof, State = Unsubscribe.Proof, Unsubscribe.State
_log = structlog.get_logger(__name__)


class StillSubscribed(MarketingCloudError):
    """Marketing Cloud took the unsubscribe, and reads back that the person is still subscribed: it is tried again."""


class Unknown(Exception):
    """Marketing Cloud can't be asked about this person: `args[0]` is the code that people see."""


def work(*, seconds: float) -> bool:
    """Work rows of the outbox for about `seconds`; whether there may be more."""
    outbox.fill()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        claimed = outbox.claim()
        if claimed is None:
            return False
        carry_out(claimed)
    return True


def carry_out(claimed: Claim) -> None:
    """Try one row, and note what came of it."""
    row = Unsubscribe.objects.select_related("event", "event__enterprise").get(pk=claimed.unsubscribe_id)
    try:
        if row.state != State.CLOSED:
            _tell(row)
        outbox.finish(claimed)
    except (ObjectRefused, CallRefused) as error:
        _note(claimed, error)
        outbox.leave_to_people(claimed, type(error).__name__)
    except Unknown as unknown:
        outbox.leave_to_people(claimed, unknown.args[0])
    except TooManyCalls as error:
        outbox.try_later(claimed, type(error).__name__, wait=error.retry_after)
    except (MarketingCloudError, BadConnection, CryptoError, VaultError) as error:
        _note(claimed, error)
        outbox.try_later(claimed, type(error).__name__)


def _tell(row: Unsubscribe) -> None:
    if row.event.kind == Kind.MOBILE:
        return _read_texts_back(row)
    links = _links(row.event)
    keys = [link.contact.subscriber_key for link in links]
    with _client(row.event, [link.pk for link in links]) as client:
        known = client.subscribers.statuses(keys)
        if not known:
            raise Unknown("no_such_subscriber")
        for key, status in known.items():
            if status != Status.UNSUBSCRIBED:
                _unsubscribe(client, row.event, key)
        if row.event.scope != ConsentEvent.Scope.ENTERPRISE:
            unsubscribes.prove(row.pk, Proof.WRITTEN_BACK)
            return None  # the status of one business unit can't be read; its answer is the proof
        after = client.subscribers.statuses(keys)
    if set(after.values()) != {Status.UNSUBSCRIBED}:
        raise StillSubscribed  # whatever the calls were answered: nothing is proven
    return _proven(row)


def _read_texts_back(row: Unsubscribe) -> None:
    """Whether the import of the file of text-message opt-outs has ended what is meant: looked at, never written."""
    links = _links(row.event)
    token = links[0].mapping.token
    with _client(row.event, [link.pk for link in links]) as client:
        found = client.contacts.sms_subscriptions(
            subscriber_keys=[link.contact.subscriber_key for link in links]
        )
    code = row.event.scope_id if row.event.scope == ConsentEvent.Scope.SHORT_CODE else ""
    meant = [one for one in found if one.mobile == token and code in ("", one.short_code)]
    if not meant:
        raise Unknown("no_such_subscription")
    if any(one.is_opted_in for one in meant):
        raise StillSubscribed
    _proven(row)


def _proven(row: Unsubscribe) -> None:
    unsubscribes.prove(row.pk, Proof.READ_BACK)
    unsubscribes.close_if_open(row.pk, actor=SYSTEM)


def _unsubscribe(client: MarketingCloud, event: ConsentEvent, key: str) -> None:
    if event.scope == ConsentEvent.Scope.ENTERPRISE:
        client.subscribers.set_status(key, Status.UNSUBSCRIBED)
    else:
        client.subscribers.unsubscribe(key, reason=REASON)


def _links(event: ConsentEvent) -> list[ContactMapping]:
    """The contacts that hold the person's address, each a subscriber in Marketing Cloud."""
    mapping = mapping_of(event)
    links = (
        mapping.links.select_related("contact", "mapping").filter(contact__erased_at=None) if mapping else []
    )
    found = list(links)
    if not found:
        raise Unknown("no_subscriber_key")
    return found


def _client(event: ConsentEvent, links: list[int]) -> MarketingCloud:
    """One that acts for the unit that is meant; for the whole enterprise one of the account itself.

    A connection of a child unit would end that unit's mail only.
    """
    if event.scope == ConsentEvent.Scope.BUSINESS_UNIT:
        unit = BusinessUnit.objects.filter(enterprise=event.enterprise, mid=event.scope_id).first()
        if unit is None:
            raise Unknown("no_such_business_unit")
        return cloud(unit, links=links, patience=QUICKLY)
    found = of_account(event.enterprise)
    if found is None:
        raise Unknown("no_connection_of_the_account")
    return client_of(found, mid=event.enterprise.eid, links=links, patience=QUICKLY)


def _note(claimed: Claim, error: Exception) -> None:
    _log.warning(
        "write-back.failed",
        unsubscribe=str(claimed.unsubscribe_id),
        tries=claimed.tries,
        code=type(error).__name__,
    )
