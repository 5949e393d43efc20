"""Lifting opt-outs: later consent of the person, with evidence, that a second person approved (decision 9).

The opt-in is an event like every other. It names the opt-outs that it lifts: those in force which the person had asked
for before they consented anew. One that arrives late, or was asked for since, stays in force. Plain triggers of the
database hold both rules for the app's own role (`tokens.consent.triggers`).
"""

import datetime
import uuid
from typing import Any, Final

import uuid_utils.compat
from django.utils import timezone

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.free_text import names_a_person
from audit.models import ApprovalRequest
from audit.trail import Actor, Target
from audit.vocabulary import Action, ApprovedAct
from tokens.consent import unsubscribes
from tokens.consent.blind import mapping_of, of_mapping
from tokens.consent.state import ConsentState, state_of
from tokens.crypto.fields import Clear
from tokens.errors import BadOptIn
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Suppression

NONE: Final = datetime.timedelta()
# The time zone of a file is a guess of people (docs/no-token-queue.md), and many files tell the day alone, which
# counts from its first moment: a person who consented that morning may have opted out that evening.
MARGIN: Final = {
    ConsentEvent.Source.NO_TOKEN_QUEUE.value: datetime.timedelta(hours=12),
    ConsentEvent.Source.FILE.value: datetime.timedelta(hours=36),
    ConsentEvent.Source.BOUNCE.value: datetime.timedelta(hours=36),
}


def ask(
    opt_out: ConsentEvent, *, consented_at: datetime.datetime, evidence: str, reason: str, actor: Actor
) -> Outcome:
    """Ask a second person to lift this opt-out and every other of the person's channel that is older than the consent.

    `evidence` says where the consent is filed, without a clear value. Raises BadOptIn and ApprovalError; a sandbox's is
    lifted at once.
    """
    if not evidence.strip():
        raise BadOptIn("say where the consent is filed")
    if names_a_person(evidence):
        raise BadOptIn("the evidence holds an address or a number of a person: name the file or case instead")
    lifts = [one.pk for one in _older(state_of_person(opt_out), consented_at)]
    if opt_out.pk not in lifts or consented_at > timezone.now():
        raise BadOptIn(
            "consent lifts what was asked for before it, by twelve hours where the No Token Queue tells the time, by 36"
            " where a file does, and is not in the future"
        )
    parameters = {
        "opt_out": str(opt_out.pk),
        "lifts": [str(one) for one in lifts],
        "consented_at": consented_at.isoformat(),
        "evidence": evidence.strip(),
    }
    return perform_or_request(ApprovedAct.LIFT_OPT_OUT, parameters, reason=reason, actor=actor)


def state_of_person(event: ConsentEvent) -> ConsentState:
    """What is in force for the person and channel of an event."""
    return state_of(event.enterprise, Kind(event.kind), _digests(event))


def register() -> None:
    """Called once, when the app starts."""
    acts.register(
        Executor(ApprovedAct.LIFT_OPT_OUT, "unsubscribes.create", "unsubscribes.view", _plan, _carry_out)
    )


def _plan(parameters: dict[str, Any]) -> Plan:
    opt_out, lifted, state = _found(parameters)
    stays = (
        "stays blocked: there is a later opt-out" if _blocked_after(state, lifted) else "is resolved again"
    )
    kind = Kind(opt_out.kind).label
    return Plan(
        enterprise_id=opt_out.enterprise_id,
        target=Target("consent-event", str(opt_out.pk)),
        difference=(
            *(
                (f"opt-out {one.pk}, asked {one.occurred_at:%Y-%m-%d %H:%M} UTC", "in force", "lifted")
                for one in lifted
            ),
            ("consent given anew (UTC)", "", f"{parameters['consented_at']}"),
            ("evidence", "", parameters["evidence"]),
        ),
        blast_radius=f"The {kind} of one person of {opt_out.enterprise.name} {stays}.",
        affected=len(lifted),
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> ConsentEvent:
    opt_out, lifted, state = _found(parameters)
    event = ConsentEvent.objects.create(
        id=uuid_utils.compat.uuid7(),
        enterprise=opt_out.enterprise,
        kind=opt_out.kind,
        action=ConsentEvent.Action.OPT_IN,
        index_version=opt_out.index_version,
        blind_index=opt_out.blind_index,
        scope=ConsentEvent.Scope.ENTERPRISE,
        source=ConsentEvent.Source.OFFICER,
        source_id=_source_id(parameters),
        evidence=Clear(parameters["evidence"]),
        lifts=[one.pk for one in lifted],
        actor_id=actor.id,
        actor_name=actor.name,
        occurred_at=datetime.datetime.fromisoformat(parameters["consented_at"]),
    )
    if not _blocked_after(state, lifted):
        _suppressions(opt_out).delete()
    for one in lifted:
        unsubscribes.end_lifted(one, actor=actor)
    details = {"lifts": [str(one.pk) for one in lifted], "occurred_at": parameters["consented_at"]}
    trail.record(
        Action.OPTED_IN,
        actor=actor,
        enterprise_id=event.enterprise_id,
        target=Target("consent-event", str(event.pk)),
        details=details,
    )
    return event


def _found(parameters: dict[str, Any]) -> tuple[ConsentEvent, list[ConsentEvent], ConsentState]:
    """The opt-out, those that the consent lifts, and what is in force. Locks what Resolve blocks by."""
    rows = ConsentEvent.objects.select_related("enterprise").defer("evidence")
    opt_out = rows.filter(pk=uuid.UUID(parameters["opt_out"]), action=ConsentEvent.Action.OPT_OUT).first()
    if opt_out is None:
        raise CannotBeDone("there is no such opt-out")
    # Who records an opt-out meanwhile waits for this lock, or is seen below. In the order in which sets are written,
    # since while an index key is replaced a person has two rows, and each would wait for the other.
    list(_suppressions(opt_out).order_by("blind_index").select_for_update())
    state = state_of_person(opt_out)
    consented_at = datetime.datetime.fromisoformat(parameters["consented_at"])
    lifted = _older(state, consented_at)
    if opt_out.pk not in {one.pk for one in lifted}:
        raise CannotBeDone("the opt-out is not in force any more")
    if [str(one.pk) for one in lifted] != parameters["lifts"]:
        raise CannotBeDone("there is another opt-out of this person since: ask anew")
    return opt_out, lifted, state


def _older(state: ConsentState, consented_at: datetime.datetime) -> list[ConsentEvent]:
    """What was asked for before the person consented anew."""
    return [one for one in state.opt_outs if one.occurred_at + MARGIN.get(one.source, NONE) < consented_at]


def _blocked_after(state: ConsentState, lifted: list[ConsentEvent]) -> bool:
    gone = {one.pk for one in lifted}
    return ConsentState(tuple(one for one in state.opt_outs if one.pk not in gone)).is_blocked


def _suppressions(event: ConsentEvent) -> Any:
    return Suppression.objects.filter(
        enterprise=event.enterprise_id, kind=event.kind, blind_index__in=_digests(event)
    )


def _digests(event: ConsentEvent) -> list[bytes]:
    """The person's blind indexes, as far as they are known: those of their mapping, or that of the event."""
    own = bytes(event.blind_index)
    mapping = mapping_of(event)
    return sorted({own, *(of_mapping(mapping).digests if mapping else ())})


def _source_id(parameters: dict[str, Any]) -> str:
    """The request that was approved: an approval lifts once. In a sandbox there is none."""
    approved = ApprovalRequest.objects.filter(
        act=ApprovedAct.LIFT_OPT_OUT, state=ApprovalRequest.State.APPROVED, parameters=parameters
    )
    found = approved.order_by("-pk").values_list("pk", flat=True).first()
    return f"approval:{found}" if found else f"sandbox:{uuid_utils.compat.uuid7()}"
