"""Probes tell whether this process lives, and whether calls can be answered and logged."""

from typing import Any

import pytest
from django.db import connections
from django.test import Client

from audit import partitions
from portal import health
from tests.conftest import OwnDatabase
from tests.tokens.cast import an_enterprise
from tokens.crypto import keyring, root_keys


def probe(path: str) -> Any:
    return Client().get(path)


def as_owner(statement: str) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement)


def test_liveness_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    response = probe("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})
    assert "X-Request-ID" in response


def test_a_migrated_server_is_ready(own_database: OwnDatabase) -> None:
    an_enterprise()
    response = probe("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})
    assert "no-store" in response["Cache-Control"]


def test_a_missing_partition_is_a_reason(own_database: OwnDatabase) -> None:
    next_month = partitions.month_after(health.timezone.now().date())
    name = partitions.name_of("audit_payloadentry", next_month)
    as_owner(f"DROP TABLE {name}")
    response = probe("/readyz")
    assert response.status_code == 503
    assert name in response.json()["reasons"]["log partitions"]
    partitions.ensure()
    assert probe("/readyz").status_code == 200


def test_root_keys_that_open_nothing_are_a_reason(own_database: OwnDatabase, settings: Any) -> None:
    an_enterprise()
    settings.ROOT_KEYS = ["x" * 43 + "="]
    keyring.forget_all()
    try:
        assert "do not open" in probe("/readyz").json()["reasons"]["keyring"]
    finally:
        root_keys.provider.cache_clear()


def test_a_migration_that_is_not_applied_is_a_reason(
    own_database: OwnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(health.CHECKS, "migrations", health.Migrations())
    as_owner("DELETE FROM django_migrations WHERE app = 'tokens'")
    assert "not applied" in probe("/readyz").json()["reasons"]["migrations"]


def test_without_a_database_it_lives_but_is_not_ready(own_database: OwnDatabase) -> None:
    connections["default"].close()
    connections["default"].settings_dict["NAME"] = "nowhere"
    response = probe("/readyz")
    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert list(response.json()["reasons"]) == ["database"]
    assert probe("/healthz").status_code == 200


def test_only_reading_is_allowed() -> None:
    assert Client().post("/healthz").status_code == 405
