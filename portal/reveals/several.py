"""Several clear values at once: asked for by name, approved by a second person, opened once, each on record first.

The request is bound by its digest to each field that it names, to reason and case. What was approved becomes a grant
for whoever asked. Opening it plans everything again and compares, counts each value against the caps of one person,
commits an event for each, and only then opens them.
"""

import datetime
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import uuid_utils.compat
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.free_text import refuse_clear_values
from audit.models import ApprovalRequest
from audit.trail import Actor, Target
from audit.vocabulary import Action, ApprovedAct
from portal.models import RevealGrant
from portal.reveals import caps, nudges
from portal.reveals.errors import DoesNotOpen, GrantEnded, NotWhatWasApproved, OverHardCap, RevealError
from portal.reveals.reasons import Reason
from portal.reveals.revealing import Why, record_refusal, record_reveal
from portal.reveals.subjects import Subject, attribute_of, attributes_of, value_of
from portal.roles import Permission
from tokens.models import ContactMapping, Enterprise, Mapping

ACT: Final = ApprovedAct.REVEAL_SEVERAL
LIFE: Final = datetime.timedelta(hours=4)
# Seconds on the page: somebody reads and copies many of them.
SHOWN_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Field:
    """One value as a request names it: of a mapping the value itself, or an attribute of a version of a contact's."""

    mapping_id: int
    set_id: str = ""
    position: int = 0

    def as_json(self) -> list[Any]:
        """How it stands in the parameters of the request."""
        return [self.mapping_id, self.set_id, self.position] if self.set_id else [self.mapping_id]


@dataclass(frozen=True, slots=True)
class Opened:
    """What came of one field: its value, or why there is none."""

    subject: Subject
    value: str = field(default="", repr=False)
    why_not: str = ""


def fields_of(mapping: Mapping, *, value: bool, attributes: bool) -> list[Field]:
    """What could be asked for of a person: the value, and each attribute of each contact."""
    found = [Field(mapping.pk)] if value else []
    links = ContactMapping.objects.filter(mapping=mapping).select_related("contact__attributes")
    for link in links.order_by("pk") if attributes else ():
        found += [Field(mapping.pk, str(set_id), position) for set_id, position, _ in attributes_of(link)]
    return found


def most() -> int:
    """How many values one request may name: what one person may open in a day."""
    return int(settings.REVEALS_HARD_CAP)


def ask(enterprise: Enterprise, fields: Iterable[Field], why: Why, *, text: str, actor: Actor) -> Outcome:
    """Ask a second person; in a sandbox the grant is given at once. `text` is for who decides.

    Raises ApprovalError, ClearValueInText.
    """
    refuse_clear_values(why.case)
    parameters = {
        "enterprise": enterprise.pk,
        "fields": [one.as_json() for one in fields],
        "reason": why.reason.value,
        "case": why.case,
    }
    return perform_or_request(ACT, parameters, reason=text, actor=actor)


def waiting(actor: Actor) -> Sequence[RevealGrant]:
    """What was granted to a person and not opened yet."""
    rows = RevealGrant.objects.filter(actor_id=actor.id, opened_at=None, expires_at__gt=timezone.now())
    return list(rows.order_by("pk"))


def subjects_of(parameters: dict[str, Any]) -> list[Subject]:
    """What a grant or a request names, masked. Raises CannotBeDone where something is not there any more."""
    ids = sorted({one[0] for one in parameters["fields"]})
    rows = Mapping.objects.select_for_update(of=("self",)).filter(enterprise=parameters["enterprise"])
    mappings = {one.pk: one for one in rows.filter(pk__in=ids).order_by("pk")}
    found = []
    for mapping_id, *rest in parameters["fields"]:
        mapping = mappings.get(mapping_id)
        subject = _subject(mapping, *rest) if mapping else None
        if subject is None:
            raise CannotBeDone("one of the values was erased or is not there any more")
        found.append(subject)
    return found


def open_all(grant: RevealGrant, *, actor: Actor) -> list[Opened]:
    """Open what was granted, after an event of each value is committed. Raises RevealError; then nothing was opened."""
    subjects = _record(grant, actor)
    return [_opened(subject, actor) for subject in subjects]


def _record(grant: RevealGrant, actor: Actor) -> list[Subject]:
    with transaction.atomic(durable=True):
        grant = RevealGrant.objects.select_for_update().get(pk=grant.pk)
        subjects, asked = _still_granted(grant, actor), grant.parameters
        use = caps.locked(actor.id)
        refused = use.in_a_day + len(subjects) > settings.REVEALS_HARD_CAP
        if refused:
            record_refusal(subjects[0], actor, use)
        else:
            why = Why(Reason(asked["reason"]), asked["case"])
            beside = {
                "several": len(subjects),
                "seconds": SHOWN_SECONDS,
                "approved_by": grant.approved_by_name,
            }
            for number, subject in enumerate(subjects):
                so_far = replace(use, in_a_day=use.in_a_day + number)
                record_reveal(subject, why, actor, so_far, own=nudges.own(subject, actor), **beside)
            RevealGrant.objects.filter(pk=grant.pk).update(opened_at=timezone.now())
    if refused:
        raise OverHardCap
    return subjects


def _still_granted(grant: RevealGrant, actor: Actor) -> list[Subject]:
    if grant.opened_at is not None or grant.expires_at <= timezone.now() or grant.actor_id != actor.id:
        raise GrantEnded
    try:
        subjects = subjects_of(grant.parameters)
        if not _is_approved(grant, actor):
            raise NotWhatWasApproved
    except CannotBeDone:
        raise NotWhatWasApproved from None
    return subjects


def _is_approved(grant: RevealGrant, actor: Actor) -> bool:
    """Whether exactly this was approved for this person. The grant's own row is not enough: the app writes it."""
    if acts.is_sandbox(grant.parameters["enterprise"]):
        return True
    if grant.approval_id is None:
        return False
    digest = acts.digest(ACT, grant.parameters, _plan(grant.parameters))
    return ApprovalRequest.objects.filter(
        pk=grant.approval_id,
        act=ACT,
        state=ApprovalRequest.State.APPROVED,
        requester_id=actor.id,
        digest=digest,
    ).exists()


def _opened(subject: Subject, actor: Actor) -> Opened:
    try:
        return Opened(subject, subject.open())
    except RevealError as error:
        if isinstance(error, DoesNotOpen):
            trail.record(
                Action.ALARM_CANNOT_OPEN,
                actor=actor,
                enterprise_id=subject.enterprise_id,
                target=subject.target,
            )
        return Opened(subject, why_not=str(error))


def _subject(mapping: Mapping, set_id: str = "", position: int = 0) -> Subject | None:
    return attribute_of(mapping, uuid.UUID(set_id), position) if set_id else value_of(mapping)


# -- approved -------------------------------------------------------------------------------------------------
def register() -> None:
    """Called once, when the app starts."""
    acts.register(Executor(ACT, Permission.REVEAL, Permission.VIEW_REVEALS, _plan, _carry_out))


@transaction.atomic
def _plan(parameters: dict[str, Any]) -> Plan:
    subjects, enterprise = subjects_of(parameters), Enterprise.objects.get(pk=parameters["enterprise"])
    if not 0 < len(subjects) <= most():
        raise CannotBeDone(f"a request names at least one value and at most {most()}")
    by_person: dict[Target, list[str]] = {}
    for subject in subjects:
        by_person.setdefault(subject.target, []).append(subject.field)
    people = [(target.name, "masked", ", ".join(fields)) for target, fields in by_person.items()]
    alone = next(iter(by_person)) if len(by_person) == 1 else None
    return Plan(
        enterprise_id=enterprise.pk,
        target=alone or Target("enterprise", str(enterprise.pk), enterprise.name),
        difference=(
            *people,
            ("reason", "", str(Reason(parameters["reason"]).label)),
            ("case", "", parameters["case"]),
        ),
        blast_radius=f"Who asks sees {len(subjects):,} clear values of {len(by_person):,} people on one page, once.",
        affected=len(subjects),
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> RevealGrant:
    approved = ApprovalRequest.objects.filter(
        act=ACT, state=ApprovalRequest.State.APPROVED, parameters=parameters, requester_id=actor.id
    )
    asked = approved.order_by("-pk").first()
    return RevealGrant.objects.create(
        id=uuid_utils.compat.uuid7(),
        enterprise_id=parameters["enterprise"],
        actor_id=actor.id,
        actor_name=actor.name,
        parameters=parameters,
        approval_id=asked.pk if asked else None,
        approved_by_name=asked.decided_by_name if asked else "",
        expires_at=timezone.now() + LIFE,
    )
