"""How many statements a call costs is pinned: a batch of 500 asks no more than one of 1."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import OwnDatabase
from tests.tokens.api import cast
from tests.tokens.api.cast import MarketingCloud, ask, want
from tests.tokens.cast import an_enterprise
from tokens.models import Enterprise

ANSWERING = ["BEGIN", "SET", "COMMIT"]


@pytest.fixture
def enterprise(own_database: OwnDatabase) -> Enterprise:
    """In a database where commits are real, so that BEGIN and COMMIT are seen."""
    return an_enterprise()


def statements(queries: CaptureQueriesContext) -> list[str]:
    """The first words of what was asked."""
    return [query["sql"].split()[0] for query in queries]


def test_resolve_asks_who_calls_looks_up_and_records(caller: MarketingCloud, ana: str) -> None:
    caller.resolve(ask(ana))
    for batch in ([ask(ana)], [ask(ana, str(number)) for number in range(500)]):
        with CaptureQueriesContext(connection) as queries:
            assert caller.resolve(*batch).status_code == 200
        assert statements(queries) == ["SELECT", "BEGIN", "SET", "SELECT", "WITH", "COMMIT"]


def test_unknown_tokens_add_one(caller: MarketingCloud, ana: str) -> None:
    caller.resolve(ask(ana))
    with CaptureQueriesContext(connection) as queries:
        caller.resolve(*[ask("x@tok.example", str(number)) for number in range(500)])
    assert statements(queries) == ["SELECT", "BEGIN", "SET", "SELECT", "WITH", "WITH", "COMMIT"]


def test_get_token_for_known_values(caller: MarketingCloud, ana: str) -> None:
    caller.get_token(want("ana@mail.example"))
    for batch in ([want("ana@mail.example")], [want("ana@mail.example", str(n)) for n in range(500)]):
        with CaptureQueriesContext(connection) as queries:
            caller.get_token(*batch)
        # Who calls; the enterprise; mappings, primary contacts, spellings; the entry.
        expected = ["SELECT", "BEGIN", "SET", "SELECT", "SELECT", "SELECT", "SELECT", "WITH", "COMMIT"]
        assert statements(queries) == expected


def test_get_token_for_new_values_does_not_grow_with_the_batch(caller: MarketingCloud) -> None:
    caller.get_token(want("first@mail.example"))
    counts = []
    for size in (1, 100):
        batch = [want(f"new-{size}-{number}@mail.example", str(number)) for number in range(size)]
        with CaptureQueriesContext(connection) as queries:
            assert len(caller.get_token(*batch).json()["tokens"]) == size
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 14


def test_a_bearer_token_costs_no_more_than_a_secret(enterprise: Enterprise, ana: str) -> None:
    oauth = cast.a_caller(enterprise, auth="oauth")
    token = oauth.post(cast.OAUTH, {"grant_type": "client_credentials"}).json()["access_token"]
    oauth.headers["Authorization"] = f"Bearer {token}"
    oauth.resolve(ask(ana))
    with CaptureQueriesContext(connection) as queries:
        assert oauth.resolve(ask(ana)).status_code == 200
    assert statements(queries) == ["SELECT", "BEGIN", "SET", "SELECT", "WITH", "COMMIT"]
