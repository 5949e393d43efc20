"""Works the events that Marketing Cloud sent: an unsubscribe there is an opt-out here.

Each event is worked in a transaction of its own, which marks it so; one that fails, for whatever reason, stays for a
later look and sinks behind those that failed less often: no event holds up those of other people.
"""

import json
import re
from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.consent.opt_outs import record_opt_out
from tokens.errors import UnknownToken
from tokens.formats.kinds import Kind
from tokens.formats.lookalikes import canonical_token
from tokens.formats.reasons import InvalidValue
from tokens.models import CloudEvent, ConsentEvent, Mapping

UNSUBSCRIBED: Final = "EngagementEvents.EmailUnsubscribe"
MARKETING_CLOUD: Final = Actor("marketing-cloud", "Marketing Cloud")
AT_ONCE: Final = 500
_MID: Final = re.compile(r"[0-9]{1,20}")
_log = structlog.get_logger(__name__)


def work_events() -> int:
    """Work up to AT_ONCE of what waits, the least tried and then the oldest first; how many were worked.

    Raises only when the database is away.
    """
    waiting = CloudEvent.objects.filter(worked_at=None).order_by("tries", "pk").values_list("pk", flat=True)
    worked = 0
    for key in list(waiting[:AT_ONCE]):
        try:
            worked += _work(key)
        except Exception as error:  # noqa: BLE001 - only the name of it: its text may hold what the event says
            CloudEvent.objects.filter(pk=key).update(tries=F("tries") + 1)
            _log.error("cloud-event.failed", cloud_event=str(key), code=type(error).__name__)
    return worked


@transaction.atomic
def _work(key: Any) -> bool:
    rows = CloudEvent.objects.select_for_update(skip_locked=True, of=("self",)).select_related("enterprise")
    event = rows.filter(pk=key, worked_at=None).first()
    if event is None:
        return False  # another worker has it
    if event.category == UNSUBSCRIBED:
        _hear(event, json.loads(event.event.open()))
    # What it said stands in the payload log, under its rules; kept here too it would outlive retention and erasure.
    event.event, event.worked_at = None, timezone.now()
    event.save(update_fields=["event", "worked_at"])
    return True


def _hear(event: CloudEvent, said: dict[str, Any]) -> None:
    address = _address_in(said)
    try:
        if address is None:
            raise UnknownToken
        _opt_out(event, address, _unit_of(said))
    except (UnknownToken, InvalidValue):
        trail.record(
            Action.CLOUD_EVENT_UNMATCHED,
            actor=MARKETING_CLOUD,
            enterprise_id=event.enterprise_id,
            target=Target("cloud-event", str(event.pk)),
        )


def _opt_out(event: CloudEvent, address: str, unit: str) -> None:
    """Record it of the mapping whose token `address` is, else of the clear address: not every list is tokenized.

    Raises UnknownToken or InvalidValue.
    """
    mapping = _mapping_of(event, address)
    record_opt_out(
        event.enterprise,
        kind=Kind.EMAIL,
        mapping=mapping,
        raw_value=address if mapping is None else None,
        source=ConsentEvent.Source.MARKETING_CLOUD,
        source_id=bytes(event.digest).hex(),
        occurred_at=min(event.occurred_at, timezone.now()),
        scope=ConsentEvent.Scope.BUSINESS_UNIT if unit else ConsentEvent.Scope.ENTERPRISE,
        scope_id=unit,
        actor=MARKETING_CLOUD,
    )


def _unit_of(said: dict[str, Any]) -> str:
    """The business unit that the event is for; nothing means the whole enterprise, also where none can be read.

    Resolve can't know a unit's recipients, and Marketing Cloud keeps them from its mail itself.
    """
    unit = str(said.get("mid", ""))
    return unit if _MID.fullmatch(unit) else ""


def _address_in(said: dict[str, Any]) -> str | None:
    info = said.get("info")
    address = info.get("to") if isinstance(info, dict) else None
    return address if isinstance(address, str) else None


def _mapping_of(event: CloudEvent, address: str) -> Mapping | None:
    """The mapping whose token the event names: in Marketing Cloud the address is the token."""
    held = Mapping.objects.filter(
        enterprise=event.enterprise_id, kind=Kind.EMAIL, token=canonical_token(address)
    )
    return held.select_related("enterprise").first()
