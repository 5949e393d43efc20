"""`manage.py make_signing_key`: the key that signs the checkpoints of this installation's log, made once."""

import json
from typing import Any

from django.core.management.base import CommandError

from audit.seals import signing
from audit.seals.errors import SealError
from audit.seals.signing import SigningKey
from portal import sealing
from portal.command_line import PortalCommand
from portal.exit_codes import FIX_THE_DATA, USAGE


class Command(PortalCommand):
    help = (
        "Make the Ed25519 key that signs checkpoints of the audit log, in the file that AUDIT_SIGNING_KEY_PATH names "
        "(mode 0600), and print its public half for auditors. With --show, print that of the key that is there."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--origin", help="name of the log, unique in the world: tokens.example.com/audit", metavar="NAME"
        )
        parser.add_argument("--show", action="store_true", help="make nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, origin: str | None, show: bool, **options: Any) -> None:
        path = sealing.key_path()
        if not origin and not show:
            raise CommandError("Give --origin, the name of the log, or --show.", returncode=USAGE)
        try:
            if not show:
                signing.store(SigningKey.make(origin or ""), path)
            verifier = signing.load(path).verifier
        except SealError as error:
            raise CommandError(str(error), returncode=FIX_THE_DATA) from None
        if options["json"]:
            self.stdout.write(json.dumps({"origin": verifier.name, "vkey": str(verifier), "path": str(path)}))
            return
        self.stdout.write(str(verifier))
        if not show:
            self.stderr.write(
                f"The key is in {path}: back it up apart from the database. Give the line above to auditors."
            )
