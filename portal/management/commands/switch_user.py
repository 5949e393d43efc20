"""`manage.py switch_user`: somebody left, or came back."""

from typing import Any

from django.core.management.base import CommandError

from portal import people
from portal.command_line import PortalCommand, operator
from portal.exit_codes import USAGE
from portal.models import User


class Command(PortalCommand):
    help = "Switch a user of the portal off, which ends their sessions at once, or on again."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("username")
        parser.add_argument("state", choices=["off", "on"])

    def handle(self, *, username: str, state: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.", returncode=USAGE)
        (people.switch_off if state == "off" else people.switch_on)(user, actor=operator())
        self.stdout.write(f"{username} is switched {state}.")
