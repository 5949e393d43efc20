"""`manage.py replay_erasures`: tells a restored older database of erasures and opt-outs since its backup."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from portal import erasure_ledger
from portal.command_line import PortalCommand, operator
from portal.exit_codes import FINISHED_WITH_REJECTS, FIX_THE_DATA
from tokens.erasure import replay
from tokens.erasure.ledger import LedgerDamaged, LedgerError, Record
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
        lost: list[str] = []
        try:
            records, cut = _whole(ledger.read(), lost), ledger.cut_lines()
            if dry_run:
                self._say_what_is_missing(replay.missing(records), cut)
                done = Replayed()
            else:
                done = replay.replay(records, actor=operator())
                told = asdict(done) | {"damage": "".join(lost), "cut_lines": cut}
                self.stdout.write(json.dumps(told) if options["json"] else _words(done) + _words_of_cut(cut))
        except LedgerError as error:
            raise CommandError(str(error), returncode=FIX_THE_DATA) from None
        damage = "".join(lost)
        if done.failed:
            damage = (
                f"{damage} {len(done.failed)} records make no sense: {', '.join(done.failed[:10])}.".strip()
            )
        if damage:
            what = "told" if dry_run else "replayed"
            raise CommandError(f"{damage} What could be read was {what}.", returncode=FIX_THE_DATA)
        if done.renewals or done.strangers:
            raise SystemExit(FINISHED_WITH_REJECTS)

    def _say_what_is_missing(self, found: list[Record], cut: list[int]) -> None:
        for record in found:
            self.stdout.write(f"{record['kind']} {record['id']} of enterprise {record['eid']}")
        said = f"{len(found)} records of the ledger are missing in this database."
        self.stdout.write(said + _words_of_cut(cut))


def _whole(records: Any, lost: list[str]) -> Any:
    """The records that can be read; what is said of the others at the end goes into `lost`."""
    try:
        yield from records
    except LedgerDamaged as error:
        lost.append(str(error))


def _words_of_cut(lines: list[int]) -> str:
    if not lines:
        return ""
    numbers = ", ".join(map(str, lines))
    return f"\n{len(lines)} lines were cut short as they were written, and stand whole further down (lines {numbers})."


def _words(done: Replayed) -> str:
    gone = ", ".join(f"{count} {name}" for name, count in done.destroyed.items() if count)
    said = f"{done.erasures} people erased again{f' ({gone})' if gone else ''}, {done.opt_outs} opt-outs put back;"
    lines = [f"{said} {done.known} records were there."]
    if done.begun:
        lines.append(
            f"{done.begun} erasures had been approved and were not over: they are blocked, and go on by themselves."
        )
    if done.renewals:
        said = f"{len(done.renewals)} times somebody had consented anew since the backup, which needs two people again:"
        lines.append(f"{said} until then they stay blocked. Consent events: {', '.join(done.renewals)}")
    if done.strangers:
        said = f"This database has no enterprise with the EID {', '.join(done.strangers)}:"
        lines.append(f"{said} make it, and run this again.")
    lines.append("Each erasure is verified by the workers within minutes: see Erasures in the portal.")
    return "\n".join(lines)
