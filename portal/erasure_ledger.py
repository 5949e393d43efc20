"""Where this installation keeps its erasure ledger, and the job that writes it."""

from pathlib import Path

from django.conf import settings

from tokens.erasure import copying
from tokens.erasure.ledger import FileLedger


def ledger() -> FileLedger:
    """The erasure ledger outside the database."""
    return FileLedger(Path(settings.ERASURE_LEDGER_PATH))


def copy() -> int:
    """The job of the maintenance process."""
    return copying.copy(ledger())
