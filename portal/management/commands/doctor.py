"""`manage.py doctor`: what is wrong with this installation, and how to mend it."""

import json
from dataclasses import asdict
from typing import Any, Final

from portal.command_line import PortalCommand
from portal.doctor import Finding, examine
from portal.exit_codes import FIX_THE_DATA

MARKS: Final = {"ok": "ok   ", "look": "look ", "mend": "MEND "}


class Command(PortalCommand):
    help = "Examine this installation. Exit code 6 when something must be mended."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:
        found = list(examine())
        if options["json"]:
            self.stdout.write(json.dumps({"findings": [asdict(finding) for finding in found]}))
        else:
            for finding in found:
                self.stdout.write(_line(finding))
        if any(finding.level == "mend" for finding in found):
            raise SystemExit(FIX_THE_DATA)


def _line(finding: Finding) -> str:
    line = f"{MARKS[finding.level]} {finding.check}"
    return f"{line}: {finding.says}\n       to mend: {finding.mend}" if finding.says else line
