"""`manage.py declare_restore`: says that an older database was restored on purpose, after which sealing goes on."""

import json
from functools import partial
from typing import Any

from django.core.management.base import CommandError

from audit.approvals.errors import CannotBeDone
from audit.seals.declaration import declare_restore
from audit.seals.errors import SealError
from portal import restore_declarations, sealing
from portal.command_line import PortalCommand, operator
from portal.exit_codes import APPROVAL_NEEDED, FIX_THE_DATA
from portal.restore_declarations import NeedsApproval


class Command(PortalCommand):
    help = (
        "Sealing stops when the database does not hold the newest checkpoint that is known outside of it. This records "
        "that the database was restored to an older state, by whom and why, once a second person approved it; the "
        "record is sealed first."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--reason", required=True, help="why, with the number of the case")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, reason: str, **options: Any) -> None:
        sequencer, actor = sealing.sequencer(), operator()
        guard = partial(restore_declarations.approved, origin=sequencer.key.verifier.name, actor=actor)
        try:
            event_id = declare_restore(sequencer, actor=actor, reason=reason, allowed=guard)
        except SealError as error:
            raise CommandError(str(error), returncode=FIX_THE_DATA) from None
        except CannotBeDone as error:
            raise CommandError(f"Nothing can be asked for: {error}", returncode=FIX_THE_DATA) from None
        except NeedsApproval as needed:
            raise CommandError(
                f"A second person must approve this, until {needed.waits_for.expires_at:%H:%M} UTC: in the portal at"
                f" /admin/approvals/{needed.waits_for.pk}/. Then run the same command again.",
                returncode=APPROVAL_NEEDED,
            ) from None
        if options["json"]:
            self.stdout.write(json.dumps({"event": str(event_id)}))
        else:
            self.stdout.write(f"Declared and sealed as event {event_id}. Sealing goes on.")
