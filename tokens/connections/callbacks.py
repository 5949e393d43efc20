"""Event notifications: asked for by a person, proven by a handshake, then signed.

Marketing Cloud's handshake is unsigned and can be faster than the answer that names the callback. What it claims is
kept beside the callback that waits, and believed only where its id is the one that Marketing Cloud named to us.

Events of a proven callback are taken whether its connection is in use or not: no opt-out is lost by a pause.
"""

import datetime
import hashlib
import hmac
import json
from base64 import b64decode
from binascii import Error as NotBase64
from typing import Final

import structlog
import uuid_utils.compat
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from audit import trail
from audit.trail import SYSTEM, Actor
from audit.vocabulary import Action
from tokens.connections.client import client_of
from tokens.connections.verbs import target_of
from tokens.crypto.errors import CryptoError
from tokens.crypto.fields import Clear
from tokens.errors import BadConnection, NotInUse
from tokens.marketing_cloud import MarketingCloud, MarketingCloudError, Patience
from tokens.models import Connection, EventCallback

NAME: Final = "Token portal"
WANTED: Final = ("EngagementEvents.EmailUnsubscribe",)
BATCH: Final = 500
# So long a handshake is waited for that comes before its callback has a name, and so many claims are kept meanwhile:
# anybody can claim, and each is kept and logged.
WAITS: Final = datetime.timedelta(minutes=10)
MOST_CLAIMS: Final = 100
LONGEST_CLAIM: Final = 200

_log = structlog.get_logger(__name__)
_PATIENT: Final = Patience(attempts=2, answer_within=20)
_DIGEST_BYTES: Final = 32


def ask_for_events(connection: Connection, url: str, *, actor: Actor) -> EventCallback:
    """Give `url` to Marketing Cloud, outside of transactions. Raises BadConnection or MarketingCloudError."""
    if connection.in_use_since is None:
        raise NotInUse(connection.name)
    if not may_ask(connection):
        raise BadConnection("events were asked for already")
    row = EventCallback.objects.create(
        id=uuid_utils.compat.uuid7(), enterprise=connection.enterprise, connection=connection
    )
    with _cloud(connection) as cloud:
        made = cloud.notifications.create_callback(NAME, url, batch_size=BATCH)
    with transaction.atomic():
        locked = EventCallback.objects.select_for_update().get(pk=row.pk)
        locked.callback_id = made.id
        locked.signature_key = Clear(made.signature_key or "")
        locked.save(update_fields=["callback_id", "signature_key"])
        _record(Action.CALLBACK_MADE, locked, actor)
    return locked


def may_ask(connection: Connection) -> bool:
    """Whether no callback of it is proven, and none still waits for its handshake."""
    asked = Q(verified_at__isnull=False) | Q(made_at__gte=timezone.now() - WAITS) & ~Q(callback_id="")
    return not connection.callbacks.filter(asked).exists()


@transaction.atomic
def take_handshake(callback_id: str, verification_key: str) -> EventCallback | None:
    """Keep what a handshake claims, to be answered by `answer_handshake`; None where nobody waits for it."""
    if not 0 < len(callback_id) <= LONGEST_CLAIM or not 0 < len(verification_key) <= LONGEST_CLAIM:
        return None
    nameless = Q(callback_id="", made_at__gte=timezone.now() - WAITS)
    # One statement: between two, or while the second waits for its lock, a nameless row can get the very name.
    waiting = EventCallback.objects.select_for_update().filter(
        Q(callback_id=callback_id) | nameless, verified_at=None
    )
    rows = list(waiting.order_by("-made_at"))
    named = [row for row in rows if row.callback_id == callback_id]
    kept = [row for row in named or rows if _keep_claim(row, callback_id, verification_key)]
    return kept[0] if kept else None


def _keep_claim(row: EventCallback, callback_id: str, verification_key: str) -> bool:
    """Whether there was room for it. Of a callback that has its name no other claim counts."""
    before = {} if row.callback_id else _claims(row)
    claims = {**before, callback_id: verification_key}
    if len(claims) > MOST_CLAIMS:
        return False
    row.verification_key = Clear(json.dumps(claims))
    row.save(update_fields=["verification_key"])
    return True


def answer_handshakes() -> None:
    """Answer every handshake that waits: a job of the workers, which may be done twice without harm."""
    waiting = EventCallback.objects.filter(verified_at=None, verification_key__isnull=False).exclude(
        callback_id=""
    )
    for row in waiting.select_related("connection__enterprise", "connection__business_unit"):
        try:
            answer_handshake(row)
        except (MarketingCloudError, BadConnection, CryptoError) as error:
            _log.warning("a handshake was not answered", callback=str(row.pk), error=type(error).__name__)


def answer_handshake(row: EventCallback) -> bool:
    """Prove the address and ask for its events, outside of transactions; whether it is proven now."""
    key = _claims(row).get(row.callback_id)
    if key is None or row.connection.in_use_since is None:
        return False
    with _cloud(row.connection) as cloud:
        # It may have been proven by one who was killed before they could note it.
        if not any(one.id == row.callback_id and one.is_verified for one in cloud.notifications.callbacks()):
            cloud.notifications.verify(row.callback_id, key)
        if not cloud.notifications.subscriptions(row.callback_id):
            cloud.notifications.subscribe(row.callback_id, NAME, WANTED)
    with transaction.atomic():
        locked = EventCallback.objects.select_for_update().get(pk=row.pk)
        if locked.verified_at is None:
            locked.verified_at, locked.verification_key = timezone.now(), None
            locked.save(update_fields=["verified_at", "verification_key"])
            _record(Action.CALLBACK_VERIFIED, locked, SYSTEM)
    return True


def signer_of(body: bytes, signature: str) -> EventCallback | None:
    """The callback whose key signed `body`, among those that are proven. None: nobody we know, so nothing is taken.

    Raises CryptoError when no key fits, but one of them could not be opened: then it may have been that one.
    """
    try:
        given = b64decode(signature, validate=True)
    except (NotBase64, ValueError):
        return None
    failure: CryptoError | None = None
    proven = EventCallback.objects.filter(verified_at__isnull=False, signature_key__isnull=False)
    for row in proven.select_related("connection__enterprise"):
        try:
            key = row.signature_key.open()
        except CryptoError as error:
            failure = error
            continue
        if key and hmac.compare_digest(hmac.digest(key.encode(), body, hashlib.sha256), given):
            return row
    if failure is not None and len(given) == _DIGEST_BYTES:
        raise failure
    return None


def _cloud(connection: Connection) -> MarketingCloud:
    unit = connection.business_unit
    return client_of(connection, mid=unit.mid if unit else None, patience=_PATIENT)


def _claims(row: EventCallback) -> dict[str, str]:
    return {} if row.verification_key is None else dict(json.loads(row.verification_key.open()))


def _record(action: Action, row: EventCallback, actor: Actor) -> None:
    trail.record(
        action,
        actor=actor,
        enterprise_id=row.enterprise_id,
        target=target_of(row.connection),
        details={"callback": row.callback_id},
    )
