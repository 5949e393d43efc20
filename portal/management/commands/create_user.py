"""`manage.py create_user`: somebody who signs in to the portal, or more roles for somebody who does."""

import json
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import transaction

from audit.approvals.errors import ApprovalError
from audit.models import ApprovalRequest
from audit.trail import Actor
from portal import people, role_grants, set_up
from portal.command_line import HAND_OVER, PortalCommand, choose_enterprise, operator, set_up_path
from portal.exit_codes import APPROVAL_NEEDED, USAGE
from portal.models import User
from portal.roles import Role
from tokens.models import Enterprise


class Command(PortalCommand):
    help = (
        "Make a user of the portal and give them roles. A user who is there already keeps the password and is given "
        "the roles that are missing. Once two people can decide on roles, those outside sandboxes wait for approval."
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
            "--password-stdin",
            action="store_true",
            help="read a password from stdin instead of making a link with which the person chooses one",
        )
        parser.add_argument(
            "--reason", default="asked on the command line", help="why, for the second person who approves it"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, username: str, role: list[str], **options: Any) -> None:
        with transaction.atomic():
            waiting = self._make(username, role, options)
        if waiting:
            self.stderr.write(
                "The roles wait for approval by a second person, in the portal: "
                + ", ".join(f"/admin/approvals/{one}/" for one in waiting)
            )
            sys.exit(APPROVAL_NEEDED)

    def _make(self, username: str, role: list[str], options: dict[str, Any]) -> list[str]:
        """The ids of the requests that wait."""
        enterprise = None if options["everywhere"] else choose_enterprise(options["enterprise"])
        actor, made = operator(), ""
        user = User.objects.filter(username=username).first()
        if user is None:
            given = sys.stdin.readline().rstrip("\n") if options["password_stdin"] else None
            user = self._create(username, given, actor, options)
            made = set_up.make_link(user, actor=actor) if given is None else ""
        waiting = [
            str(asked.pk) for one in role if (asked := self._grant(user, Role(one), enterprise, options))
        ]
        facts = {"username": username, "roles": role, "enterprise": enterprise.eid if enterprise else "*"}
        facts |= {"set_up": set_up_path(made)} if made else {}
        facts |= {"approvals": waiting} if waiting else {}
        self._print(facts, options)
        return waiting

    def _grant(
        self, user: User, role: Role, enterprise: Enterprise | None, options: dict[str, Any]
    ) -> ApprovalRequest | None:
        """The request that waits, if the role is not granted at once: to who holds it already, nothing is done."""
        if user.memberships.filter(role=role, enterprise=enterprise).exists():
            return None
        if not role_grants.somebody_can_decide(enterprise):
            people.grant(user, role, enterprise=enterprise, actor=operator())
            return None
        try:
            outcome = role_grants.grant(
                user, role, enterprise=enterprise, reason=options["reason"], actor=operator()
            )
        except ApprovalError as error:
            raise CommandError(str(error), returncode=USAGE) from None
        return outcome.waits_for

    def _print(self, facts: dict[str, Any], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(facts))
            return
        for label, value in facts.items():
            self.stdout.write(f"{label:<11} {' '.join(value) if isinstance(value, list) else value}")
        if "set_up" in facts:
            self.stderr.write(HAND_OVER)

    def _create(self, username: str, password: str | None, actor: Actor, options: dict[str, Any]) -> User:
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
