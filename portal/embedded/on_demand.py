"""`manage.py` outside `make run`: a command that needs the embedded servers gets them, and they end with it."""

import os
from collections.abc import Sequence

from portal.embedded.services import EmbeddedServices

# Commands that read code and settings only; `embedded` looks after the servers itself.
NEED_NO_SERVERS = {
    "", "check", "collectstatic", "compilemessages", "diffsettings", "embedded", "findstatic", "help",
    "makemessages", "makemigrations", "simulate_marketing_cloud", "spectacular", "version",
}  # fmt: skip
HELP = {"-h", "--help", "--version"}
_held: EmbeddedServices | None = None


def hold_for_command(arguments: Sequence[str]) -> None:
    """Holds the servers for this process if DATABASE_URL names none and the command of `arguments` needs them.

    Raises EmbeddedError with one line.
    """
    global _held  # noqa: PLW0603 - the hold is a matter of the process
    command = arguments[1] if len(arguments) > 1 else ""
    if os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE"):
        return
    if command in NEED_NO_SERVERS or HELP & set(arguments):
        return
    services = EmbeddedServices()
    services.start()
    _held = services


def held() -> EmbeddedServices | None:
    """The servers that this process holds, if it does."""
    return _held
