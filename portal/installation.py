"""What the first `migrate` of a database declares once and for all: whether one person alone works here."""

from typing import Any

from django.conf import settings
from django.db import connections

from portal.database_roles import OWNER


def declare_after_migrate(sender: Any, using: str, **kwargs: Any) -> None:
    """Signal handler of post_migrate. A declaration that is there stays, whatever the setting says now."""
    if using != OWNER:
        return
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT to_regclass('audit_installation')")
        if cursor.fetchone() == (None,):  # migrated back to before there was one
            return
        cursor.execute(
            "INSERT INTO audit_installation (id, single_operator) VALUES (1, %s) ON CONFLICT DO NOTHING",
            [settings.SINGLE_OPERATOR],
        )
