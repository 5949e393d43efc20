"""Putting an SFTP server to use takes a second person, except in a sandbox: what it hands over becomes opt-outs."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.trail import Actor
from audit.vocabulary import Action, ApprovedAct
from tokens.errors import BadTransfer
from tokens.file_transfer.host_keys import HostKey
from tokens.file_transfer.verbs import IDENTITY, record, target_of
from tokens.models import FileTransfer


@transaction.atomic
def use(transfer: FileTransfer, *, reason: str, actor: Actor) -> Outcome:
    """Fetch from `transfer` from now on. Raises BadTransfer, and as asking for approval does."""
    if not has_passed(transfer):
        raise BadTransfer("test it first: only a server whose test passed is put to use")
    parameters = {"transfer": str(transfer.pk), **_facts(transfer)}
    return perform_or_request(ApprovedAct.USE_TRANSFER, parameters, reason=reason, actor=actor)


def has_passed(transfer: FileTransfer) -> bool:
    """Whether every step of its last test passed."""
    return bool(transfer.test) and all(step["state"] == "passed" for step in transfer.test)


def register() -> None:
    """Called once, when the app starts."""
    acts.register(
        Executor(ApprovedAct.USE_TRANSFER, "connections.manage", "connections.view", _plan, _carry_out)
    )


def _facts(transfer: FileTransfer) -> dict[str, Any]:
    return {name: getattr(transfer, name) for name in IDENTITY} | {
        "host_key": HostKey.parse(transfer.host_key).fingerprint
    }


def _plan(parameters: dict[str, Any]) -> Plan:
    transfer = _asked_for(parameters)
    return Plan(
        enterprise_id=transfer.enterprise_id,
        target=target_of(transfer),
        difference=(
            ("in use", "no", "yes"),
            *((name.replace("_", " "), "", str(value)) for name, value in _facts(transfer).items()),
        ),
        blast_radius="The portal signs in there every minute and takes each new file of the folder for an extract of "
        "the No Token Queue: its keywords block people at once. Nothing is written or deleted there.",
        affected=1,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> FileTransfer:
    transfer = _asked_for(parameters)
    transfer.in_use_since = timezone.now()
    transfer.save(update_fields=["in_use_since"])
    record(Action.TRANSFER_USED, transfer, actor, _facts(transfer))
    return transfer


def _asked_for(parameters: dict[str, Any]) -> FileTransfer:
    rows = FileTransfer.objects.select_for_update(of=("self",)).select_related("enterprise")
    transfer = rows.filter(pk=parameters["transfer"]).first()
    if transfer is None:
        raise CannotBeDone("there is no such server")
    if transfer.in_use_since is not None:
        raise CannotBeDone("it is in use already")
    if not has_passed(transfer):
        raise CannotBeDone("its test has not passed since it was changed")
    if {"transfer": str(transfer.pk), **_facts(transfer)} != parameters:
        raise CannotBeDone("it leads elsewhere now, or shows another key")
    return transfer
