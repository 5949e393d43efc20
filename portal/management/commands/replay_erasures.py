"""`manage.py replay_erasures`: tells a restored older database of erasures and opt-outs since its backup."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from portal import erasure_ledger
from portal.command_line import PortalCommand, operator
from portal.exit_codes import FINISHED_WITH_REJECTS, FIX_THE_DATA
from tokens.erasure import replay
from tokens.erasure.ledger import LedgerDamaged, LedgerError
from tokens.erasure.replay import Replayed


class Command(PortalCommand):
    help = (
        "After a restore, before anybody calls: erases again whom the erasure ledger names, and puts opt-outs back that"
        " the backup did not have. Run twice, it is as once. Exit code 3 when something is left to people."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what is missing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        ledger = erasure_ledger.ledger()
        if not ledger.path.exists():
            raise CommandError(
                f"There is no erasure ledger at {ledger.path}: ERASURE_LEDGER_PATH names it.",
                returncode=FIX_THE_DATA,
            )
        if dry_run:
            self._say_what_is_missing()
            return
        lost: list[str] = []
        try:
            done = replay.replay(_whole(ledger.read(), lost), actor=operator())
        except LedgerError as error:
            raise CommandError(str(error), returncode=FIX_THE_DATA) from None
        damage = "".join(lost)
        self.stdout.write(json.dumps(asdict(done) | {"damage": damage}) if options["json"] else _words(done))
        if done.failed:
            said = f"{len(done.failed)} records make no sense: {', '.join(done.failed[:10])}."
            damage = f"{damage} {said}".strip()
        if damage:
            raise CommandError(f"{damage} What could be read was replayed.", returncode=FIX_THE_DATA)
        if done.renewals or done.strangers:
            raise SystemExit(FINISHED_WITH_REJECTS)

    def _say_what_is_missing(self) -> None:
        lost: list[str] = []
        try:
            found = replay.missing(_whole(erasure_ledger.ledger().read(), lost))
        except LedgerError as error:
            raise CommandError(str(error), returncode=FIX_THE_DATA) from None
        for record in found:
            self.stdout.write(f"{record['kind']} {record['id']} of enterprise {record['eid']}")
        self.stdout.write(f"{len(found)} records of the ledger are missing in this database.")
        if lost:
            raise CommandError("".join(lost), returncode=FIX_THE_DATA)


def _whole(records: Any, lost: list[str]) -> Any:
    """The records that can be read; what is said of the others at the end goes into `lost`."""
    try:
        yield from records
    except LedgerDamaged as error:
        lost.append(str(error))


def _words(done: Replayed) -> str:
    gone = ", ".join(f"{count} {name}" for name, count in done.destroyed.items() if count)
    said = f"{done.erasures} people erased again{f' ({gone})' if gone else ''}, {done.opt_outs} opt-outs put back;"
    lines = [f"{said} {done.known} records were there."]
    if done.renewals:
        said = f"{len(done.renewals)} times somebody had consented anew since the backup, which needs two people again:"
        lines.append(f"{said} until then they stay blocked. Consent events: {', '.join(done.renewals)}")
    if done.strangers:
        said = f"This database has no enterprise with the EID {', '.join(done.strangers)}:"
        lines.append(f"{said} make it, and run this again.")
    lines.append("Each erasure is verified by the workers within minutes: see Erasures in the portal.")
    return "\n".join(lines)
