"""`manage.py create_user`: somebody who signs in to the portal, or more roles for somebody who does."""

import json
import secrets
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from audit.trail import Actor
from portal import people
from portal.command_line import choose_enterprise, operator
from portal.exit_codes import USAGE
from portal.models import User
from portal.roles import Role


class Command(BaseCommand):
    help = (
        "Make a user of the portal and give them roles. A user who is there already keeps the password and is given "
        "the roles that are missing."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--role", action="append", required=True, choices=Role.values, help="may be repeated"
        )
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--enterprise", metavar="EID", help="may be left out while there is only one")
        where.add_argument(
            "--everywhere", action="store_true", help="in every enterprise, those to come included"
        )
        parser.add_argument("--first-name", default="")
        parser.add_argument("--last-name", default="")
        parser.add_argument(
            "--password-stdin", action="store_true", help="read it from stdin instead of making one"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    @transaction.atomic
    def handle(self, *, username: str, role: list[str], **options: Any) -> None:
        enterprise = None if options["everywhere"] else choose_enterprise(options["enterprise"])
        actor, made = operator(), ""
        user = User.objects.filter(username=username).first()
        if user is None:
            given = sys.stdin.readline().rstrip("\n") if options["password_stdin"] else ""
            made = "" if options["password_stdin"] else secrets.token_urlsafe(16)
            user = self._create(username, given or made, actor, options)
        for one in role:
            people.grant(user, Role(one), enterprise=enterprise, actor=actor)
        facts = {"username": username, "roles": role, "enterprise": enterprise.eid if enterprise else "*"}
        facts |= {"password": made} if made else {}
        if options["json"]:
            self.stdout.write(json.dumps(facts))
            return
        for label, value in facts.items():
            self.stdout.write(f"{label:<11} {' '.join(value) if isinstance(value, list) else value}")
        if made:
            self.stderr.write("Hand the password over now; it is to be changed at the first sign-in.")

    def _create(self, username: str, password: str, actor: Actor, options: dict[str, Any]) -> User:
        try:
            return people.create_user(
                username,
                password=password,
                first_name=options["first_name"],
                last_name=options["last_name"],
                actor=actor,
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages), returncode=USAGE) from None
