"""How a start that cannot succeed ends: one line that says what is wrong and how to mend it, exit 2."""

import contextlib
import sys
from collections.abc import Iterator
from typing import NoReturn

from portal.exit_codes import USAGE

__all__ = ["USAGE", "refuse"]


def refuse(what: str, mend: str) -> NoReturn:
    """End the process with exit code 2 and one line on stderr; `what` never holds the setting's value."""
    print(f"token-portal: {what}: {mend}.", file=sys.stderr)
    sys.exit(USAGE)


@contextlib.contextmanager
def refuse_unreachable_database() -> Iterator[None]:
    """Turns the failure to connect into such a line; what fails on a live connection is raised as it is."""
    from django.db import OperationalError

    try:
        yield
    except OperationalError as error:
        # The server names a state for each error of a session; a connection that never came to be has none.
        if getattr(error.__cause__, "sqlstate", None) is not None or "connection" not in str(error):
            raise
        said = str(error).strip().splitlines()[0].rstrip(".")
        refuse(f"the database cannot be reached ({said})", "start it, or correct DATABASE_URL")
