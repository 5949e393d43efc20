"""What commands share: which enterprise is meant, and who is at the keyboard."""

import getpass
import os
from typing import Final

from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from audit.trail import Actor
from portal.access import COMMAND_LINE
from portal.exit_codes import FIX_THE_DATA, USAGE
from tokens.models import Enterprise

HAND_OVER: Final = (
    "Hand over the address of the portal with this path behind it: with it they choose a password and a second "
    "factor, once, within 48 hours."
)


class PortalCommand(BaseCommand):
    """A command of the portal.

    It runs none of Django's system checks: they judge code, not data, so `make check` runs them; they load every page,
    and each command would take a second longer.
    """

    requires_system_checks: list[str] = []


def choose_enterprise(eid: str | None) -> Enterprise:
    """The enterprise of that EID, or the only one there is. Raises CommandError that lists what can be named."""
    found = list(Enterprise.objects.filter(eid=eid) if eid else Enterprise.objects.all()[:2])
    if len(found) == 1:
        return found[0]
    known = ", ".join(Enterprise.objects.order_by("eid").values_list("eid", flat=True)[:20])
    if not known:
        raise CommandError("There is no enterprise yet: make one in the portal.", returncode=FIX_THE_DATA)
    said = f"There is no enterprise {eid!r}" if eid else "There is more than one enterprise"
    raise CommandError(f"{said}: give --enterprise one of {known}.", returncode=USAGE)


def operator() -> Actor:
    """The person who runs a command, by the name of their account on this machine."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"  # an account without a name, as in containers
    return Actor(COMMAND_LINE, name)


def set_up_path(code: str) -> str:
    """Where a set-up link leads; what stands behind the # no browser sends."""
    return f"{reverse('admin:set-up')}#{code}"
