"""Who may call: credentials, scopes and switches, with answers that tell a stranger nothing."""

import statistics
import time
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import Outcome, PayloadEntry, RefusalCount
from audit.trail import SYSTEM
from tests.tokens.api.cast import GET, RESOLVE, MarketingCloud, a_caller, ask, basic, entry_of, want
from tests.tokens.cast import an_enterprise
from tokens import clients
from tokens.api.authentication import client_of_secret
from tokens.models import ApiClient, Enterprise
from tokens.models.clients import AuthMethod


def refused(response: Any, status: int, code: str) -> Any:
    assert (response.status_code, response.json()["error"]) == (status, code), response.content
    return response


def test_without_credentials_both_ways_are_offered(caller: MarketingCloud, ana: str) -> None:
    response = refused(caller.resolve(ask(ana), headers={"Authorization": None}), 401, "unauthenticated")
    assert response["WWW-Authenticate"].startswith("Basic realm=")
    assert ", Bearer realm=" in response["WWW-Authenticate"]


@pytest.mark.parametrize(
    "authorization",
    ["Digest username=x", "Basic", "Bearer", "basic", "Token abc", "Basic,Basic", "\u00e9", "  "],
)
def test_what_is_no_credential_is_refused(caller: MarketingCloud, ana: str, authorization: str) -> None:
    response = caller.resolve(ask(ana), headers={"Authorization": authorization})
    assert response.status_code == 401
    assert "WWW-Authenticate" in response


@pytest.mark.parametrize(
    "credentials",
    [
        "Basic !!!",
        "Basic bm9jb2xvbg==",
        "Basic /////w==",
        "Basic OnBhc3M=",
        "Basic AAA6AAA=",
        basic("nobody", "secret"),
        basic("nobody\0", "secret"),
        basic("' OR 1=1 --", ""),
    ],
)
def test_unreadable_or_unknown_basic_credentials_are_invalid(
    caller: MarketingCloud, ana: str, credentials: str
) -> None:
    response = caller.resolve(ask(ana), headers={"Authorization": credentials})
    assert refused(response, 401, "invalid_credentials")["WWW-Authenticate"].startswith("Basic ")


def test_a_wrong_secret_is_invalid_and_only_counted(caller: MarketingCloud, ana: str) -> None:
    wrong = basic(caller.client.client_id, "wrong")
    refused(caller.resolve(ask(ana), headers={"Authorization": wrong}), 401, "invalid_credentials")
    assert not PayloadEntry.objects.exists()
    counted = RefusalCount.objects.get()
    assert (counted.api, counted.reason, counted.network, counted.count) == (
        "resolve",
        "invalid_credentials",
        "127.0.0.0/24",
        1,
    )


def test_unknown_client_and_wrong_secret_get_the_same_answer(caller: MarketingCloud, ana: str) -> None:
    answers = [
        caller.resolve(ask(ana), headers={"Authorization": basic(client_id, "wrong")})
        for client_id in (caller.client.client_id, "nobody")
    ]
    first, second = ({**one.json(), "requestId": ""} for one in answers)
    assert first == second
    headers = [{name: v for name, v in one.items() if name != "X-Request-ID"} for one in answers]
    assert headers[0] == headers[1]


def test_unknown_client_and_wrong_secret_cost_the_same(caller: MarketingCloud) -> None:
    known, unknown = caller.client.client_id, "nobody"
    for client_id in (known, unknown):
        with CaptureQueriesContext(connection) as queries:
            assert client_of_secret(client_id, "wrong") is None
        assert len(queries) == 1
    times: dict[str, list[float]] = {known: [], unknown: []}
    for _ in range(300):
        for client_id, measured in times.items():
            began = time.perf_counter()
            client_of_secret(client_id, "wrong")
            measured.append(time.perf_counter() - began)
    slow, fast = sorted(map(statistics.median, times.values()), reverse=True)
    # A password hasher, or no comparison at all for the unknown, is beyond this by far.
    assert slow / fast < 1.25


def test_the_decoys_secret_does_not_open_the_door(caller: MarketingCloud) -> None:
    assert client_of_secret(caller.client.client_id, caller.secret) is not None
    assert client_of_secret("nobody", caller.secret) is None
    assert client_of_secret("", caller.secret) is None


def test_without_any_client_nobody_is_known(db: None) -> None:
    assert client_of_secret("nobody", "secret") is None


def test_two_secrets_live_side_by_side_until_one_is_retired(caller: MarketingCloud, ana: str) -> None:
    second = clients.add_secret(caller.client, actor=SYSTEM)
    new = basic(caller.client.client_id, second)
    assert caller.resolve(ask(ana)).status_code == 200
    assert caller.resolve(ask(ana), headers={"Authorization": new}).status_code == 200
    clients.retire_secret(caller.client.secrets.get(slot=1), actor=SYSTEM)
    refused(caller.resolve(ask(ana)), 401, "invalid_credentials")
    assert caller.resolve(ask(ana), headers={"Authorization": new}).status_code == 200


def test_a_secret_of_another_client_does_not_fit(caller: MarketingCloud, ana: str) -> None:
    other = a_caller(an_enterprise("Other"))
    swapped = basic(caller.client.client_id, other.secret)
    refused(caller.resolve(ask(ana), headers={"Authorization": swapped}), 401, "invalid_credentials")


def test_a_client_that_was_switched_off_is_named_in_the_log(caller: MarketingCloud, ana: str) -> None:
    a_caller(caller.client.enterprise, name="Somebody else")
    clients.switch_off(caller.client, actor=SYSTEM)
    response = refused(caller.resolve(ask(ana)), 401, "client_switched_off")
    assert "WWW-Authenticate" in response
    entry = entry_of(response)
    assert (entry.client_name, entry.outcome) == ("Marketing Cloud", Outcome.REFUSED)
    assert entry.request_skeleton is None
    clients.switch_on(caller.client, actor=SYSTEM)
    assert caller.resolve(ask(ana)).status_code == 200


def test_an_oauth_client_cannot_use_basic(enterprise: Enterprise, ana: str) -> None:
    oauth = a_caller(enterprise, auth=AuthMethod.OAUTH)
    response = refused(oauth.resolve(ask(ana)), 401, "wrong_auth_method")
    assert response["WWW-Authenticate"].startswith("Bearer ")
    assert entry_of(response).client_id == oauth.client.client_id


@pytest.mark.parametrize("token", ["x", "", "a b", "\u00e9", "0" * 5000])
def test_an_unknown_bearer_token_is_invalid(caller: MarketingCloud, ana: str, token: str) -> None:
    response = caller.resolve(ask(ana), headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401
    if token:
        assert 'error="invalid_token"' in response["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("scope", "path", "allowed"),
    [
        ("tokens.resolve", RESOLVE, True),
        ("tokens.resolve", GET, False),
        ("tokens.get", GET, True),
        ("tokens.get", RESOLVE, False),
    ],
)
def test_a_client_calls_only_what_its_scopes_name(
    enterprise: Enterprise, scope: str, path: str, allowed: bool
) -> None:
    caller = a_caller(enterprise, scopes=[scope])
    body = {"tokens": [ask("x@tok.example")], "tokenValues": [want("ana@mail.example")]}
    response = caller.post(path, body)
    if allowed:
        assert response.status_code == 200
        return
    refused(response, 403, "insufficient_scope")
    assert f'scope="{"tokens.get" if path == GET else "tokens.resolve"}"' in response["WWW-Authenticate"]
    entry = entry_of(response)
    assert (entry.error, entry.request_skeleton) == ("insufficient_scope", None)


def test_credentials_are_checked_with_one_statement(caller: MarketingCloud) -> None:
    client_of_secret(caller.client.client_id, caller.secret)
    with CaptureQueriesContext(connection) as queries:
        client_of_secret(caller.client.client_id, caller.secret)
    assert len(queries) == 1


def test_a_client_of_an_enterprise_never_sees_another_enterprises_tokens(caller: MarketingCloud) -> None:
    other = an_enterprise("Other")
    stranger = a_caller(other)
    minted = stranger.get_token(want("ben@mail.example")).json()["tokens"][0]["token"]
    assert caller.resolve(ask(minted)).json()["resolvedTokens"] == []
    assert len(stranger.resolve(ask(minted)).json()["resolvedTokens"]) == 1


def test_secrets_and_tokens_stand_nowhere_in_the_log(caller: MarketingCloud, ana: str) -> None:
    caller.resolve(ask(ana))
    caller.resolve(ask(ana), headers={"Authorization": "Bearer abcdefghijkl"})
    rows = [str(row) for row in PayloadEntry.objects.values()] + [
        str(row) for row in RefusalCount.objects.values()
    ]
    assert not any(caller.secret in row or "abcdefghijkl" in row for row in rows)
    assert ApiClient.objects.filter(client_secret__contains=caller.secret).count() == 0
