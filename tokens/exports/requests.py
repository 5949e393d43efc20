"""Asking for an export and taking it. In clear it is an act that a second person approves (docs/exports.md)."""

import uuid
from typing import Any, Final

import uuid_utils.compat
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from audit import trail
from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.free_text import names_a_person, refuse_clear_values
from audit.trail import SYSTEM, Actor, Target
from audit.vocabulary import Action, ApprovedAct
from tokens.bulk import doorbell
from tokens.errors import ExportNotReady, ExportOfAnother, FilterNamesAPerson
from tokens.exports import filters, rows
from tokens.models import Enterprise, Export, ExportSlice

What, State = Export.What, Export.State
WORK: Final = "tokens.exports.work"


@transaction.atomic
def ask(
    enterprise: Enterprise,
    *,
    what: Export.What,
    form: Export.Form,
    only: dict[str, str],
    case: str,
    actor: Actor,
    clear: bool = False,
    mark: str = "",
) -> Export:
    """Have an export made by the workers. In clear only approvals call this: use `ask_for_clear`.

    Raises ClearValueInText and FilterNamesAPerson.
    """
    refuse_clear_values(case)
    _check_filter(enterprise, what, filters.known(what, only))
    export_id = uuid_utils.compat.uuid7()
    export = Export.objects.create(
        id=export_id, enterprise=enterprise, what=what, form=form, only=filters.known(what, only), clear=clear,
        case=case, requested_by_id=actor.id, requested_by_name=actor.name, mark=mark or _mark(what, export_id),
    )  # fmt: skip
    record(Action.EXPORT_REQUESTED, export, actor, form=export.form, only=export.only)
    transaction.on_commit(lambda: doorbell.ring(export.pk, task=WORK))
    return export


def ask_for_clear(
    enterprise: Enterprise,
    *,
    what: Export.What,
    form: Export.Form,
    only: dict[str, str],
    case: str,
    reason: str,
    actor: Actor,
) -> Outcome:
    """Ask a second person for an export in clear; one of a sandbox is made at once.

    What comes after this moment is not in it, so that its rows are counted and approved as they are.
    Raises ApprovalError, ClearValueInText.
    """
    refuse_clear_values(case)
    asked = {
        "enterprise": enterprise.pk, "what": what.value, "form": form.value, "case": case,
        "only": filters.known(what, only), "mark": _mark(what, uuid_utils.compat.uuid7()),
    }  # fmt: skip
    return perform_or_request(ApprovedAct.CLEAR_EXPORT, asked, reason=reason, actor=actor)


@transaction.atomic
def take(export: Export, *, actor: Actor) -> Export:
    """Record that `actor` takes the file, and count it. Raises ExportNotReady and ExportOfAnother, and then nothing."""
    export = Export.objects.select_for_update(of=("self",)).select_related("enterprise").get(pk=export.pk)
    if export.state != State.READY or export.expires_at is None or export.expires_at <= timezone.now():
        raise ExportNotReady(export.get_state_display())
    if export.clear and export.requested_by_id != actor.id:
        raise ExportOfAnother
    Export.objects.filter(pk=export.pk).update(taken=F("taken") + 1)
    record(Action.EXPORT_TAKEN, export, actor, rows=export.rows, times=export.taken + 1)
    return export


def expire() -> int:
    """Delete the content of exports whose time has passed; how many. A job of maintenance."""
    due = Export.objects.filter(state=State.READY, expires_at__lte=timezone.now())
    for export in due:
        with transaction.atomic():
            if Export.objects.filter(pk=export.pk, state=State.READY).update(state=State.EXPIRED):
                ExportSlice.objects.filter(export=export).update(sealed=None)
                record(Action.EXPORT_EXPIRED, export, SYSTEM, rows=export.rows, times=export.taken)
    return len(due)


def record(action: Action, export: Export, actor: Actor, **details: Any) -> None:
    """An event upon the export."""
    trail.record(
        action,
        actor=actor,
        enterprise_id=export.enterprise_id,
        target=Target("export", str(export.pk), export.get_what_display()),
        details={"case": export.case, "values": "in clear" if export.clear else "masked"} | details,
    )


def _check_filter(enterprise: Enterprise, what: Export.What, only: dict[str, str]) -> None:
    """What somebody wrote into the address of a list must not carry a clear value into the trail.

    What evidence holds already may stand there: users of the portal can be named by their address.
    """
    for name, value in only.items():
        found = rows.filtered(what, enterprise.pk, {name: value})
        if filters.is_free(what, name) and names_a_person(value) and not found.exists():
            raise FilterNamesAPerson


def _mark(what: Export.What, export_id: uuid.UUID) -> str:
    """The greatest key that can be in it: rows that come while it is made are not."""
    if what != What.PEOPLE:
        return str(export_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM tokens_mapping")
        return str(cursor.fetchone()[0])


# -- in clear: approved ---------------------------------------------------------------------------------------
def _plan(parameters: dict[str, Any]) -> Plan:
    enterprise, what = Enterprise.objects.get(pk=parameters["enterprise"]), What(parameters["what"])
    if not rows.SORTS[what].has_clear:
        raise CannotBeDone(f"the {what.label} holds no clear value: it needs no approval")
    count = rows.up_to(what, enterprise.pk, parameters["only"], parameters["mark"]).count()
    if not count:
        raise CannotBeDone("no row matches")
    narrowed = ", ".join(f"{name} {value}" for name, value in parameters["only"].items())
    return Plan(
        enterprise_id=enterprise.pk,
        target=Target("enterprise", str(enterprise.pk), enterprise.name),
        difference=(
            (f"values in the export of {what.label}", "masked", "in clear"),
            ("only", "", narrowed or "everything"),
            ("rows", "", f"{count:,}"),
            ("form", "", parameters["form"]),
            ("case", "", parameters["case"]),
        ),
        blast_radius=f"{count:,} rows leave the portal with clear values",
        affected=count,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> Export:
    return ask(
        Enterprise.objects.get(pk=parameters["enterprise"]),
        what=What(parameters["what"]),
        form=Export.Form(parameters["form"]),
        only=parameters["only"],
        case=parameters["case"],
        actor=actor,
        clear=True,
        mark=parameters["mark"],
    )


def register() -> None:
    """Make the act known to approvals."""
    acts.register(Executor(ApprovedAct.CLEAR_EXPORT, "exports.make", "exports.view", _plan, _carry_out))
