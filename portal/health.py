"""Liveness and readiness, for supervisors and load balancers. Neither tells anything but the state of this server."""

from collections.abc import Callable
from typing import Final

import structlog
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit import partitions
from audit.seals import status
from tokens.crypto.errors import CryptoError
from tokens.crypto.keyset import DataKey
from tokens.crypto.root_keys import provider

log = structlog.get_logger(__name__)


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers. It does not look further: restarting it would not bring a database back."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether calls can be answered and logged, now and next month; 503 with the reasons when not."""
    reasons = {}
    for name, check in CHECKS.items():
        try:
            reason = check()
        except Exception as error:  # noqa: BLE001 - whatever is wrong, it is not ready
            reason = f"the check failed: {type(error).__name__}"
            log.warning("readiness", check=name, error=type(error).__name__)
        if reason:
            reasons[name] = reason
        if name == "database" and reason:
            break  # everything else asks it
    if reasons:
        reply = JsonResponse({"status": "not ready", "reasons": reasons}, status=503)
        reply["Retry-After"] = "5"
        return reply
    return JsonResponse({"status": "ready"} | _warnings())


def _warnings() -> dict[str, dict[str, str]]:
    """What somebody should mend although every call is answered and logged."""
    found = {"seals": status.lateness()}
    warned = {name: said for name, said in found.items() if said}
    return {"warnings": warned} if warned else {}


def database() -> str:
    """The database answers as the app's role."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def log_partitions() -> str:
    """The payload log and the event trail have a partition for this month and the next."""
    this_month = timezone.now().date().replace(day=1)
    missing = partitions.missing([this_month, partitions.month_after(this_month)])
    return f"missing: {', '.join(missing)} (is the maintenance process running?)" if missing else ""


# One data key of each root key that wrapped any: its fingerprint stands in the first bytes.
ONE_OF_EACH_ROOT_KEY: Final = """
SELECT DISTINCT ON (substring(wrapped FOR 5)) * FROM tokens_datakey
WHERE wrapped IS NOT NULL ORDER BY substring(wrapped FOR 5), id DESC
"""


def keyring() -> str:
    """The root keys open the stored data keys."""
    try:
        for key in DataKey.objects.raw(ONE_OF_EACH_ROOT_KEY):
            provider().unwrap(bytes(key.wrapped or b""), key.context())
    except CryptoError as error:
        return f"the root keys do not open the stored data keys: {type(error).__name__}"
    return ""


class Migrations:
    """Every migration of this code is applied. Once they are, they stay so while this process lives."""

    def __init__(self) -> None:
        self._are_applied = False

    def __call__(self) -> str:
        if not self._are_applied:
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if plan:
                return f"{len(plan)} migrations are not applied: run manage.py migrate"
            self._are_applied = True
        return ""


CHECKS: Final[dict[str, Callable[[], str]]] = {
    "database": database,
    "migrations": Migrations(),
    "log partitions": log_partitions,
    "keyring": keyring,
}
