"""`manage.py reset_second_factor`: somebody lost their device and their recovery codes."""

from typing import Any

from django.core.management.base import CommandError

from portal import set_up
from portal.command_line import HAND_OVER, PortalCommand, operator, set_up_path
from portal.exit_codes import USAGE
from portal.models import User


class Command(PortalCommand):
    help = (
        "Take every second factor and the password of a user away, and print a link with which they set up new ones, "
        "once. Make sure first that it is them who asks. Recorded in the event trail."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("username")

    def handle(self, *, username: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.", returncode=USAGE)
        code = set_up.reset(user, actor=operator())
        if code is None:
            self.stdout.write(
                f"{username} has no second factor now; after the provider they set up a new one."
            )
        else:
            self.stdout.write(set_up_path(code))
            self.stderr.write(HAND_OVER)
