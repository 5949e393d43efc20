"""Access requests: the pack of a person is made for a case, and taken as often as it is needed until it expires.

With masks an officer makes it alone. In clear it is an act that a second person approves (docs/approvals.md), and
who asked for it is the only one who may take it. Making and taking are events upon the mapping, so the next pack
says who took this one.
"""

import datetime
from typing import Any, Final

import uuid_utils.compat
from django.db import transaction
from django.utils import timezone

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.free_text import refuse_clear_values
from audit.trail import Actor, Target
from audit.vocabulary import Action, ApprovedAct
from tokens.errors import PackExpired, PackOfAnother
from tokens.models import AccessPack, Mapping

DAYS: Final = 7


@transaction.atomic
def make(mapping: Mapping, *, case: str, actor: Actor, clear: bool = False) -> AccessPack:
    """A pack for a case, recorded. In clear only approvals call this: ask with `ask_for_clear`.

    Raises ClearValueInText.
    """
    refuse_clear_values(case)
    pack = AccessPack.objects.create(
        id=uuid_utils.compat.uuid7(),
        enterprise_id=mapping.enterprise_id,
        mapping=mapping,
        case=case,
        clear=clear,
        made_by_id=actor.id,
        made_by_name=actor.name,
        expires_at=timezone.now() + datetime.timedelta(days=DAYS),
    )
    _record(Action.PACK_MADE, pack, actor)
    return pack


def ask_for_clear(mapping: Mapping, *, case: str, reason: str, actor: Actor) -> Outcome:
    """Ask a second person for a pack with clear values; a sandbox gives it at once. Raises ApprovalError."""
    refuse_clear_values(case)
    asked = {"mapping": mapping.pk, "case": case}
    return perform_or_request(ApprovedAct.CLEAR_PACK, asked, reason=reason, actor=actor)


@transaction.atomic
def take(pack: AccessPack, *, form: str, actor: Actor) -> None:
    """Record that `actor` takes the pack as html or json. Raises PackExpired and PackOfAnother, and then nothing."""
    if pack.expires_at <= timezone.now():
        raise PackExpired
    if pack.clear and pack.made_by_id != actor.id:
        raise PackOfAnother
    _record(Action.PACK_TAKEN, pack, actor, form=form)


def _record(action: Action, pack: AccessPack, actor: Actor, **details: Any) -> None:
    trail.record(
        action,
        actor=actor,
        enterprise_id=pack.enterprise_id,
        target=Target("mapping", str(pack.mapping_id), pack.mapping.token),
        details={"case": pack.case, "values": "in clear" if pack.clear else "masked", "pack": str(pack.pk)}
        | details,
    )


# -- in clear: approved ---------------------------------------------------------------------------------------
def _plan(parameters: dict[str, Any]) -> Plan:
    mapping = Mapping.objects.select_for_update().filter(pk=parameters["mapping"]).first()
    if mapping is None or mapping.value is None:
        raise CannotBeDone("the person was erased, so there is no clear value")
    return Plan(
        enterprise_id=mapping.enterprise_id,
        target=Target("mapping", str(mapping.pk), mapping.token),
        difference=(
            ("values in the access pack", "masked", "in clear"),
            ("case", "", parameters["case"]),
        ),
        blast_radius="one person's address or number, attributes and evidence of consent leave the portal in clear",
        affected=1,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> AccessPack:
    mapping = Mapping.objects.get(pk=parameters["mapping"])
    return make(mapping, case=parameters["case"], actor=actor, clear=True)


def register() -> None:
    """Make the act known to approvals: who may answer access requests asks, who may search people decides."""
    acts.register(Executor(ApprovedAct.CLEAR_PACK, "people.pack", "people.search", _plan, _carry_out))
