"""An erased person who consents anew: approved by two, their value may get a new token, and the old one stays retired.

The clear value is gone, so nothing is minted here: the next import or Get Token brings it, and no tombstone is in its
way. Opt-outs stay in force until they are lifted (`tokens.consent.opt_ins`): that is another act of two people.
"""

import datetime
from typing import Any

from django.utils import timezone

from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.free_text import refuse_clear_values
from audit.trail import Actor
from audit.vocabulary import Action, ApprovedAct
from tokens.erasure import asking
from tokens.models import Contact, ContactMapping, Erasure, Mapping
from tokens.models.mappings import State


def ask(
    mapping: Mapping, *, consented_at: datetime.datetime, evidence: str, reason: str, actor: Actor
) -> Outcome:
    """Ask a second person to let the erased value of `mapping` have a new token; in a sandbox it may at once.

    `evidence` says where the consent is filed. Raises ApprovalError and ClearValueInText.
    """
    refuse_clear_values(evidence)
    parameters = {
        "mapping": mapping.pk,
        "consented_at": consented_at.isoformat(),
        "evidence": evidence.strip(),
    }
    return perform_or_request(ApprovedAct.RENEW_PERSON, parameters, reason=reason, actor=actor)


def register() -> None:
    """Called once, when the app starts."""
    acts.register(Executor(ApprovedAct.RENEW_PERSON, "people.erase", "people.search", _plan, _carry_out))


def _plan(parameters: dict[str, Any]) -> Plan:
    erasure, mapping = _found(parameters)
    keys = sorted(one.subscriber_key for one in _contacts(erasure))
    return Plan(
        enterprise_id=mapping.enterprise_id,
        target=asking.target(mapping),
        difference=(
            (
                "this address or number",
                "never gets a token again",
                "gets a new token when it is imported or asked for",
            ),
            (f"token {mapping.token}", "retired", "retired for good"),
            *((f"subscriber key {key}", "erased", "can be imported again") for key in keys),
            ("consent given anew (UTC)", "", parameters["consented_at"]),
            ("evidence", "", parameters["evidence"]),
        ),
        blast_radius="One person who was erased can be imported and sent to again. What was destroyed stays destroyed,"
        " and opt-outs that are in force stay so until they are lifted.",
        affected=1,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> Mapping:
    erasure, mapping = _found(parameters)
    Mapping.objects.filter(pk=mapping.pk, state=State.ERASED).update(state=State.SUPERSEDED)
    contacts = _contacts(erasure)
    Contact.objects.filter(pk__in=[one.pk for one in contacts]).update(erased_at=None)
    # Get Token names the primary of a mapping that is not superseded: this one names nobody any more.
    ContactMapping.objects.filter(mapping=mapping).update(is_primary=False)
    asking.record(
        Action.ERASURE_RENEWED,
        erasure,
        actor,
        consented_at=parameters["consented_at"],
        evidence=parameters["evidence"],
    )
    return mapping


def _contacts(erasure: Erasure) -> list[Contact]:
    """Those that no later erasure is about: theirs is another consent, and they may be under way."""
    later = Erasure.objects.filter(
        enterprise=erasure.enterprise_id, pk__gt=erasure.pk, contacts__overlap=erasure.contacts
    )
    taken = {contact for contacts in later.values_list("contacts", flat=True) for contact in contacts}
    free = set(erasure.contacts) - taken
    return list(Contact.objects.filter(pk__in=free, erased_at__isnull=False).order_by("pk"))


def _found(parameters: dict[str, Any]) -> tuple[Erasure, Mapping]:
    """The erasure, locked with what it erased. Raises CannotBeDone."""
    rows = Mapping.objects.select_for_update(of=("self",)).select_related("enterprise")
    mapping = rows.filter(pk=parameters["mapping"]).first()
    if mapping is None or mapping.state != State.ERASED:
        raise CannotBeDone("this value is not erased")
    erasures = Erasure.objects.filter(mappings__contains=[mapping.pk]).select_related("mapping")
    erasure = erasures.order_by("-pk").first()
    if erasure is None or erasure.done_at is None:
        raise CannotBeDone("its erasure is not verified yet: wait until it is")
    consented_at = datetime.datetime.fromisoformat(parameters["consented_at"])
    if not erasure.blocked_at < consented_at <= timezone.now():
        raise CannotBeDone("renewed consent is given after the erasure began, and not in the future")
    if not parameters["evidence"]:
        raise CannotBeDone("say where the consent is filed")
    return erasure, mapping
