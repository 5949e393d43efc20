"""`manage.py alarms`: whether alarms reach people."""

import sys
from typing import Any

from portal import alarms
from portal.command_line import PortalCommand
from portal.exit_codes import USAGE


class Command(PortalCommand):
    help = "Send a test alarm on every channel (ALARM_EMAILS, ALARM_WEBHOOK), and say how it went."

    def handle(self, **options: Any) -> None:
        results = alarms.test()
        if not results:
            self.stderr.write(
                "Nobody is told of alarms: set ALARM_EMAILS (with EMAIL_URL) or ALARM_WEBHOOK (docs/settings.md)."
            )
            sys.exit(USAGE)
        for channel, trouble in results.items():
            self.stdout.write(f"{channel}: {f'failed, {trouble}' if trouble else 'sent'}")
        if any(results.values()):
            sys.exit(1)
