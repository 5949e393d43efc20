"""`manage.py declare_restore`: says that an older database was restored on purpose, after which sealing goes on."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.seals.declaration import declare_restore
from audit.seals.errors import SealError
from portal import sealing
from portal.command_line import operator
from portal.exit_codes import FIX_THE_DATA


class Command(BaseCommand):
    help = (
        "Sealing stops when the database does not hold the newest checkpoint that is known outside of it. This records "
        "that the database was restored to an older state, by whom and why; the record is sealed first."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--reason", required=True, help="why, with the number of the case")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, reason: str, **options: Any) -> None:
        try:
            event_id = declare_restore(sealing.sequencer(), actor=operator(), reason=reason)
        except SealError as error:
            raise CommandError(str(error), returncode=FIX_THE_DATA) from None
        if options["json"]:
            self.stdout.write(json.dumps({"event": str(event_id)}))
        else:
            self.stdout.write(f"Declared and sealed as event {event_id}. Sealing goes on.")
