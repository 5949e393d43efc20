"""`manage.py reset_second_factor`: somebody lost their device and their recovery codes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.command_line import operator
from portal.exit_codes import USAGE
from portal.models import User
from portal.second_factor import enrolment


class Command(BaseCommand):
    help = (
        "Take every second factor of a user away. If their roles need one, the next sign-in sets up a new one: "
        "so make sure first that it is them who asks. Recorded in the event trail."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("username")

    def handle(self, *, username: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.", returncode=USAGE)
        removed = enrolment.reset(user, actor=operator())
        self.stdout.write(f"{username} had {removed} second factor(s), and has none now.")
