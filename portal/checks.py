"""Django system checks of the portal."""

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import Error

from audit.evidence_rights import weaknesses
from portal.database_roles import TRIGGERS, changeable, forbidden


def app_cannot_change_evidence(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """`check --deploy`: the role of DATABASE_URL has no way to change evidence. A database that is away is no error."""
    try:
        found = weaknesses(forbidden(), changeable(), TRIGGERS)
    except Error as error:
        said = f"Whether the app could change evidence was not verified: {type(error).__name__}."
        return [checks.Info(said, hint="Run it where DATABASE_URL answers.", id="portal.I001")]
    return [checks.Error(weakness.says, hint=weakness.mend, id="portal.E001") for weakness in found]
