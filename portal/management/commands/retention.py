"""`manage.py retention`: what is kept, what is due, and dropping it once a second person approved."""

import argparse
import json
from typing import Any

from django.core.management.base import CommandError

from audit.approvals.errors import ApprovalError
from audit.models import RecordKind
from audit.retention import gaps, kept, months, orders, policies
from audit.retention.dropping import Dropped
from audit.retention.errors import Busy, RetentionError
from audit.retention.months import Month
from audit.retention.orders import Order
from audit.seals.errors import SealError
from portal import retention
from portal.command_line import PortalCommand, operator
from portal.exit_codes import APPROVAL_NEEDED, FIX_THE_DATA, RETRY_IS_SAFE, USAGE


class Command(PortalCommand):
    help = (
        "How long payload log and event trail are kept, and what is past that. Dropping months and changing a policy "
        "each take a second person: the command asks (exit code 7), and drops when it is run again."
    )

    def add_arguments(self, parser: Any) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        status = verbs.add_parser("status", help="policies, what is due, what was dropped")
        drop = verbs.add_parser("drop", help="drop what was approved; ask for what is due otherwise")
        keep = verbs.add_parser("keep", help="ask to keep a kind for another number of months")
        for verb in (status, drop, keep):
            verb.add_argument("--json", action="store_true", help="print one JSON object")
        drop.add_argument("--month", action="append", metavar="YYYY-MM", help="only this one; repeatable")
        for verb in (drop, keep):
            verb.add_argument(
                "--kind", choices=RecordKind.values, required=verb is keep, help="default: both"
            )
            verb.add_argument("--reason", default="", help="for the second person; no clear values")
        keep.add_argument(
            "--months", required=True, type=_months, help="whole months after a month has ended, or: ever"
        )

    def handle(self, *, verb: str, **options: Any) -> None:
        try:
            {"status": self._status, "drop": self._drop, "keep": self._keep}[verb](options)
        except ApprovalError as error:
            raise CommandError(f"Nothing can be asked for: {error}", returncode=FIX_THE_DATA) from None
        except SealError as error:
            raise CommandError(str(error), returncode=FIX_THE_DATA) from None

    # -- status -----------------------------------------------------------------------------------------------
    def _status(self, options: dict[str, Any]) -> None:
        found = {
            "policies": [_policy(kind) for kind in RecordKind],
            "orders": _orders(),
            "dropped": _dropped(),
        }
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False))
            return
        for policy in found["policies"]:
            self.stdout.write(
                f"{policy['name']}: kept {policies.in_words(policy['months'])}; past that:"
                f" {', '.join(one['month'] for one in policy['due']) or 'nothing'}"
            )
            for one in policy["due"]:
                about = "" if one["exact"] else "about "
                self.stdout.write(
                    f"  {one['month']}: {about}{one['rows']:,} rows, {one['kept']:,} of them kept"
                )
        for order in found["orders"]:
            self.stdout.write(
                f"{order['state']}: {order['kind']} {', '.join(order['months'])} ({order['approval']})"
            )
        for act in found["dropped"]:
            self.stdout.write(
                f"dropped {act['kind']} {act['month']} on {act['at'][:10]}: {act['rows']:,} rows, kept {act['kept']:,}"
                f" (event {act['event']})"
            )

    # -- drop -------------------------------------------------------------------------------------------------
    def _drop(self, options: dict[str, Any]) -> None:
        wanted = _chosen(options)
        refused: list[tuple[Month, RetentionError]] = []

        def note(order: Order, month: Month, error: RetentionError) -> None:
            refused.append((month, error))

        done = list(retention.each(refused=note, only=wanted))
        if options["json"] and (done or refused):
            self.stdout.write(json.dumps({"dropped": [_result(one) for one in done]}))
        elif done:
            self.stdout.write("\n".join(_said(one) for one in done))
        if refused:
            month, error = refused[0]
            code = RETRY_IS_SAFE if all(isinstance(one, Busy) for _, one in refused) else FIX_THE_DATA
            raise CommandError(f"The {month.name}: {error}", returncode=code)
        if not done:
            self._ask(options, wanted)

    def _ask(self, options: dict[str, Any], wanted: list[Month]) -> None:
        """Nothing is approved: ask for what is due, one request for each kind."""
        asked = []
        for kind in RecordKind:
            due = [
                one
                for one in policies.due(kind, today=months.today())
                if one in wanted and _has_something(one)
            ]
            if due:
                outcome = orders.ask(due, reason=options["reason"], actor=operator())
                assert outcome.waits_for is not None
                asked.append(outcome.waits_for)
        if not asked:
            said = json.dumps({"dropped": []}) if options["json"] else "Nothing is past its policy."
            self.stdout.write(said)
            return
        where = ", ".join(f"/admin/approvals/{one.pk}/" for one in asked)
        raise CommandError(
            f"A second person must approve this, until {asked[0].expires_at:%H:%M} UTC: in the portal at {where}."
            " Then the maintenance process drops it within minutes, or run the same command again.",
            returncode=APPROVAL_NEEDED,
        )

    # -- keep -------------------------------------------------------------------------------------------------
    def _keep(self, options: dict[str, Any]) -> None:
        keep = None if options["months"] == 0 else options["months"]
        kind = RecordKind(options["kind"])
        outcome = policies.ask_to_change(kind, keep, reason=options["reason"], actor=operator())
        assert outcome.waits_for is not None
        raise CommandError(
            f"A second person must approve this, until {outcome.waits_for.expires_at:%H:%M} UTC: in the portal at"
            f" /admin/approvals/{outcome.waits_for.pk}/.",
            returncode=APPROVAL_NEEDED,
        )


def _months(text: str) -> int:
    """A number of months, or 0 for ever."""
    if text == "ever":
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("give a number of months, or ever")
    return int(text)


def _chosen(options: dict[str, Any]) -> list[Month]:
    """The months that are meant. Raises CommandError for one that is none, or not there."""
    kinds = [RecordKind(options["kind"])] if options["kind"] else list(RecordKind)
    there = [one for kind in kinds for one in months.present(kind)]
    if not options["month"]:
        return there
    named = [one for one in there if one.label in options["month"]]
    missing = sorted(set(options["month"]) - {one.label for one in named})
    if missing:
        raise CommandError(
            f"There is no such month: {', '.join(missing)}. Months read YYYY-MM; see: manage.py retention status.",
            returncode=USAGE,
        )
    return named


def _policy(kind: RecordKind) -> dict[str, Any]:
    policy = policies.in_force(kind)
    return {
        "kind": kind.value,
        "name": kind.label,
        "months": policy.months,
        "is_default": policy.pk is None,
        "due": [_due(one) for one in policies.due(kind, today=months.today())],
    }


def _due(month: Month) -> dict[str, Any]:
    count = months.count([month])
    return {
        "month": month.label,
        "rows": count.rows,
        "exact": count.is_exact,
        "kept": kept.count(month, kept.holds_on(month)),
    }


def _has_something(month: Month) -> bool:
    found = _due(month)
    return bool(found["rows"] > found["kept"])


def _orders() -> list[dict[str, Any]]:
    approved = [(one.approval, one.months, "approved") for one in orders.open_orders()]
    waiting = [(one, orders.months_of(one), "waits for approval") for one in orders.waiting()]
    return [
        {
            "approval": str(asked.pk),
            "kind": asked.parameters["kind"],
            "months": [one.label for one in wanted],
            "state": state,
        }
        for asked, wanted, state in [*approved, *waiting]
    ]


def _dropped() -> list[dict[str, Any]]:
    return [
        {
            "kind": act.month.kind.value, "month": act.month.label, "at": act.at.isoformat(), "rows": act.rows,
            "kept": act.kept, "event": str(act.event), "approval": act.approval,
        }
        for act in gaps.acts()
    ]  # fmt: skip


def _said(one: Dropped) -> str:
    return f"Dropped the {one.month.name}: {one.rows:,} rows; {one.kept:,} are kept. Sealed as event {one.event}."


def _result(one: Dropped) -> dict[str, Any]:
    return {
        "kind": one.month.kind.value,
        "month": one.month.label,
        "rows": one.rows,
        "kept": one.kept,
        "event": str(one.event),
    }
