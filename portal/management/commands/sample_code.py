"""`manage.py sample_code`: an authenticator app for the users of a trial, in place of a phone."""

import time
from typing import Any, Final

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.management.base import CommandError

from portal import sample_data
from portal.command_line import PortalCommand, operator
from portal.exit_codes import USAGE
from portal.models import User
from portal.second_factor import codes, enrolment, sealing

# A mark in an authenticator's data.
SET_UP_HERE: Final = "set_up_by_sample_code"


class Command(PortalCommand):
    help = (
        "Print the code that signs a user of a trial in, and set their second factor up if they have none. "
        "Only in a trial with the embedded database, and never for who has an authenticator of their own."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("username", nargs="?", default=sample_data.ADMIN)

    def handle(self, *, username: str, **options: Any) -> None:
        if not settings.EMBEDDED or settings.PRODUCTION:
            raise CommandError("This is for trials with the embedded database only.", returncode=USAGE)
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(
                f"There is no user {username!r} here. `make run` makes the sample users.", returncode=USAGE
            )
        if not _is_of_the_trial(user):
            raise CommandError(f"{username!r} has an authenticator of their own.", returncode=USAGE)
        self.stdout.write(next_code(user))


def _is_of_the_trial(user: User) -> bool:
    """Whether nobody's own app is asked: a sample user, or whose only app was set up here or not at all."""
    if user.get_username() in (sample_data.ADMIN, *sample_data.USERNAMES):
        return True
    held = list(Authenticator.objects.filter(user=user))
    return all(one.data.get(SET_UP_HERE) for one in held)


def next_code(user: User) -> str:
    """A code that was not used yet; waits for the next one where it must."""
    app = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()
    if app is None:
        app = _set_up(user)
    step = max(int(time.time()) // codes.PERIOD_SECONDS, app.data.get(codes.LAST_STEP, 0) + 1)
    ahead = step - codes.STEPS_EITHER_SIDE
    while int(time.time()) // codes.PERIOD_SECONDS < ahead:
        time.sleep(0.5)
    return codes.code_at(sealing.secret_of(app), step)


def _set_up(user: User) -> Authenticator:
    secret = enrolment.new_app_secret()
    # The step before, so that the code of this one is still there for the sign-in.
    before = int(time.time()) // codes.PERIOD_SECONDS - 1
    app = enrolment.add_app(user, secret, codes.code_at(secret, before), actor=operator())
    app.data[SET_UP_HERE] = True
    app.save(update_fields=["data"])
    return app
