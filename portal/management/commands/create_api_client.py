"""`manage.py create_api_client`: a client of the token API, with its secret shown this once."""

import json
from typing import Any

from django.core.management.base import CommandError

from portal.command_line import PortalCommand, choose_enterprise, operator
from portal.exit_codes import USAGE
from tokens import exempt_clients
from tokens.clients import create_client, network
from tokens.errors import BadClient
from tokens.models.clients import FOR_MARKETING_CLOUD, AuthMethod, Scope
from tokens.open_clients import check_new_client


class Command(PortalCommand):
    help = "Make an API client and print its credentials. The secret can't be shown again."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--name", required=True, help="what people call it, such as 'Marketing Cloud'")
        parser.add_argument("--auth", required=True, choices=AuthMethod.values)
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            help="may be repeated; by default the two that Marketing Cloud needs",
        )
        parser.add_argument(
            "--allow",
            action="append",
            default=[],
            metavar="CIDR",
            help="may be repeated; needed unless the enterprise is a sandbox, where the default is from anywhere",
        )
        parser.add_argument("--enterprise", metavar="EID", help="may be left out while there is only one")
        parser.add_argument(
            "--transactional",
            action="store_true",
            help="opt-outs do not block it at Resolve; in a sandbox only, elsewhere a second person approves it",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, name: str, auth: str, allow: list[str], **options: Any) -> None:
        enterprise = choose_enterprise(options["enterprise"])
        try:
            check_new_client(enterprise, [network(text) for text in allow])
            exempt_clients.check_new_client(enterprise, transactional=options["transactional"])
            client, secret = create_client(
                enterprise,
                name=name,
                auth=auth,
                scopes=options["scope"] or FOR_MARKETING_CLOUD,
                networks=allow,
                transactional=options["transactional"],
                actor=operator(),
            )
        except BadClient as error:
            raise CommandError(str(error), returncode=USAGE) from None
        facts = {
            "client_id": client.client_id,
            "client_secret": secret,
            "auth": client.auth,
            "scopes": client.scopes,
        }
        if options["json"]:
            self.stdout.write(json.dumps(facts))
            return
        for label, value in facts.items():
            self.stdout.write(f"{label:<14} {' '.join(value) if isinstance(value, list) else value}")
        self.stderr.write("Keep the secret now: it is not stored and can't be shown again.")
