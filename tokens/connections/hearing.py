"""Works the events that Marketing Cloud sent: an unsubscribe there is an opt-out here.

Each event is worked in a transaction of its own, which marks it so; one that fails stays for the next look.
"""

import json
from typing import Any, Final

import structlog
from django.db import transaction
from django.utils import timezone

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.consent.opt_outs import record_opt_out
from tokens.crypto.errors import CryptoError
from tokens.errors import VaultError
from tokens.formats.kinds import Kind
from tokens.formats.lookalikes import canonical_token
from tokens.models import CloudEvent, ConsentEvent, Mapping

UNSUBSCRIBED: Final = "EngagementEvents.EmailUnsubscribe"
MARKETING_CLOUD: Final = Actor("marketing-cloud", "Marketing Cloud")
AT_ONCE: Final = 500
_log = structlog.get_logger(__name__)


def work_events() -> int:
    """Work what came since the last look, the oldest first, up to AT_ONCE; how many were worked."""
    waiting = CloudEvent.objects.filter(worked_at=None).order_by("pk").values_list("pk", flat=True)
    worked = 0
    for key in list(waiting[:AT_ONCE]):
        try:
            worked += _work(key)
        except (CryptoError, VaultError) as error:
            _log.error("cloud-event.failed", event=str(key), code=type(error).__name__)
    return worked


@transaction.atomic
def _work(key: Any) -> bool:
    rows = CloudEvent.objects.select_for_update(skip_locked=True, of=("self",)).select_related("enterprise")
    event = rows.filter(pk=key, worked_at=None).first()
    if event is None:
        return False  # another worker has it
    if event.category == UNSUBSCRIBED:
        _hear(event, json.loads(event.event.open()))
    event.worked_at = timezone.now()
    event.save(update_fields=["worked_at"])
    return True


def _hear(event: CloudEvent, said: dict[str, Any]) -> None:
    mapping = _mapping_of(event, said)
    if mapping is None:
        trail.record(
            Action.CLOUD_EVENT_UNMATCHED,
            actor=MARKETING_CLOUD,
            enterprise_id=event.enterprise_id,
            target=Target("cloud-event", str(event.pk)),
        )
        return
    unit = str(said.get("mid", event.enterprise.eid))
    # The parent's list is that of the whole account; Resolve can't know a child's, and Marketing Cloud keeps it itself.
    narrower = unit != event.enterprise.eid and unit.isdecimal()
    record_opt_out(
        event.enterprise,
        kind=Kind.EMAIL,
        mapping=mapping,
        source=ConsentEvent.Source.MARKETING_CLOUD,
        source_id=bytes(event.digest).hex(),
        occurred_at=min(event.occurred_at, timezone.now()),
        scope=ConsentEvent.Scope.BUSINESS_UNIT if narrower else ConsentEvent.Scope.ENTERPRISE,
        scope_id=unit if narrower else "",
        actor=MARKETING_CLOUD,
    )


def _mapping_of(event: CloudEvent, said: dict[str, Any]) -> Mapping | None:
    """The mapping whose token the event names: in Marketing Cloud the address is the token."""
    info = said.get("info")
    token = info.get("to") if isinstance(info, dict) else None
    if not isinstance(token, str):
        return None
    held = Mapping.objects.filter(
        enterprise=event.enterprise_id, kind=Kind.EMAIL, token=canonical_token(token)
    )
    return held.select_related("enterprise").first()
