"""No log, no answer: whatever keeps an exchange from being logged, no clear value leaves, and it mends itself."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from audit import partitions
from audit.models import PayloadEntry
from tests.conftest import OwnDatabase
from tests.tokens.api import cast
from tests.tokens.api.cast import MarketingCloud, ask, want
from tests.tokens.cast import an_enterprise
from tokens.api import failures
from tokens.log import recording
from tokens.models import Enterprise, Mapping


@pytest.fixture
def enterprise(own_database: OwnDatabase) -> Enterprise:
    """In a database where commits are real."""
    return an_enterprise()


def as_owner(statement: str) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement)


@contextlib.contextmanager
def insert_revoked() -> Iterator[None]:
    role = connections["default"].settings_dict["USER"]
    as_owner(f"REVOKE INSERT ON audit_payloadentry FROM {role}")
    yield
    as_owner(f"GRANT INSERT ON audit_payloadentry TO {role}")


@contextlib.contextmanager
def queue_revoked() -> Iterator[None]:
    """The entry could be written, but not its leaf for the seals."""
    role = connections["default"].settings_dict["USER"]
    as_owner(f"REVOKE INSERT ON audit_sealqueueentry FROM {role}")
    yield
    as_owner(f"GRANT INSERT ON audit_sealqueueentry TO {role}")


@contextlib.contextmanager
def log_locked() -> Iterator[None]:
    owner = connections["owner"]
    owner.set_autocommit(False)
    as_owner("LOCK TABLE audit_payloadentry IN ACCESS EXCLUSIVE MODE")
    yield
    owner.rollback()
    owner.set_autocommit(True)


@contextlib.contextmanager
def partitions_missing() -> Iterator[None]:
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_payloadentry'::regclass"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")
    yield
    partitions.ensure()


@contextlib.contextmanager
def read_only() -> Iterator[None]:
    """As on a standby after a failover."""
    connections["default"].close()
    options = connections["default"].settings_dict["OPTIONS"]
    options["options"] = "-c default_transaction_read_only=on"
    yield
    connections["default"].close()
    del options["options"]


@contextlib.contextmanager
def database_away() -> Iterator[None]:
    settings = connections["default"].settings_dict
    name, settings["NAME"] = settings["NAME"], "nowhere"
    connections["default"].close()
    yield
    settings["NAME"] = name
    connections["default"].close()


FAULTS = [insert_revoked, queue_revoked, log_locked, partitions_missing, read_only, database_away]


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = failures.FOR_THIS_ANSWER.replace("'15s'", "'2s'").replace("'5s'", "'200ms'")
    monkeypatch.setattr(failures, "FOR_THIS_ANSWER", limits)


def unavailable(response: Any) -> None:
    assert response.status_code == 503, response.content
    assert response["Retry-After"] == "5"
    assert response.json() == {
        "error": "unavailable",
        "message": "Try again after the seconds in Retry-After.",
        "requestId": response["X-Request-ID"],
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_log_entry_nothing_is_answered_and_it_recovers(
    caller: MarketingCloud, ana: str, fault: Any
) -> None:
    for call in (
        lambda: caller.resolve(ask(ana)),
        lambda: caller.get_token(want("ana@mail.example")),
        lambda: caller.get_token(want("new@mail.example")),
    ):
        with fault():
            unavailable(call())
        assert call().status_code == 200


@pytest.mark.parametrize("fault", [insert_revoked, log_locked])
def test_nothing_is_minted_without_a_log_entry(caller: MarketingCloud, fault: Any) -> None:
    with fault():
        unavailable(caller.get_token(want("new@mail.example")))
    assert not Mapping.objects.exists()


@pytest.mark.parametrize("fault", [insert_revoked, database_away])
def test_no_bearer_token_is_issued_without_a_log_entry(enterprise: Enterprise, fault: Any) -> None:
    oauth = cast.a_caller(enterprise, auth="oauth")
    with fault():
        response = oauth.post(cast.OAUTH, {"grant_type": "client_credentials"})
    assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
    assert "Retry-After" in response
    assert oauth.post(cast.OAUTH, {"grant_type": "client_credentials"}).status_code == 200


@pytest.mark.parametrize("fault", FAULTS)
def test_a_refusal_is_said_even_if_it_cannot_be_logged(caller: MarketingCloud, fault: Any) -> None:
    caller.resolve()  # the allowlist is known
    with fault():
        response = caller.post(cast.RESOLVE, b"{")
    assert response.status_code == (400 if fault is not database_away else 503)


def test_a_value_that_is_locked_for_too_long_is_unavailable_not_lost(
    caller: MarketingCloud, ana: str
) -> None:
    owner = connections["owner"]
    owner.set_autocommit(False)
    try:
        as_owner("LOCK TABLE tokens_mapping IN ACCESS EXCLUSIVE MODE")
        unavailable(caller.resolve(ask(ana)))
    finally:
        owner.rollback()
        owner.set_autocommit(True)
    assert caller.resolve(ask(ana)).status_code == 200


def test_a_log_that_answers_anyway_is_caught_by_these_tests(
    caller: MarketingCloud, ana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin without the defence: a log that swallows its errors, as a library would."""

    def best_effort(*args: Any) -> None:
        from django.db import transaction

        with contextlib.suppress(Exception), transaction.atomic():
            write(*args)

    write = recording.record
    monkeypatch.setattr(recording, "record", best_effort)
    with insert_revoked():
        response = caller.resolve(ask(ana))
    assert response.status_code == 200
    assert not PayloadEntry.objects.exists()
