"""The token endpoint gives bearer tokens to clients that prove themselves, in any of three forms."""

import datetime
import json
from typing import Any

import pytest
from django.utils import timezone
from oauth2_provider.models import AccessToken

from audit.models import Api, Outcome, PayloadEntry, RefusalCount
from audit.trail import SYSTEM
from tests.tokens.api.cast import OAUTH, MarketingCloud, a_caller, ask, basic, entry_of
from tokens import clients
from tokens.models import Enterprise
from tokens.models.clients import AuthMethod

FORM = "application/x-www-form-urlencoded"
GRANT = "grant_type=client_credentials"


@pytest.fixture
def oauth(enterprise: Enterprise) -> MarketingCloud:
    return a_caller(enterprise, name="Journeys", auth=AuthMethod.OAUTH)


def token_call(caller: MarketingCloud, body: str = GRANT, **headers: str | None) -> Any:
    """A call with the credentials in a Basic header, unless the headers say otherwise."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.post(OAUTH, body.encode(), {"Content-Type": FORM} | named)


def bearer(response: Any) -> dict[str, str | None]:
    assert response.status_code == 200, response.content
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


def test_a_basic_header_gets_a_bearer_token_that_resolves(oauth: MarketingCloud, ana: str) -> None:
    response = token_call(oauth)
    said = response.json()
    assert (said["token_type"], said["expires_in"], said["scope"]) == (
        "Bearer",
        1200,
        "tokens.get tokens.resolve",
    )
    assert response["Cache-Control"] == "no-store"
    assert response["Content-Type"] == "application/json"
    assert len(oauth.resolve(ask(ana), headers=bearer(response)).json()["resolvedTokens"]) == 1


def test_a_form_with_credentials_gets_one(oauth: MarketingCloud) -> None:
    body = f"{GRANT}&client_id={oauth.client.client_id}&client_secret={oauth.secret}"
    assert token_call(oauth, body, Authorization=None).status_code == 200


def test_a_json_body_gets_one(oauth: MarketingCloud) -> None:
    body = {
        "grant_type": "client_credentials",
        "client_id": oauth.client.client_id,
        "client_secret": oauth.secret,
        "scope": None,
        "account_id": 123,
        "more": {"a": []},
    }
    response = oauth.post(OAUTH, body, {"Authorization": None})
    assert response.status_code == 200, response.content


@pytest.mark.parametrize("scope", ["", "&scope=", "&scope=tokens.resolve+tokens.get"])
def test_no_scope_or_an_empty_one_means_all_that_the_client_has(oauth: MarketingCloud, scope: str) -> None:
    granted = token_call(oauth, GRANT + scope).json()["scope"]
    assert set(granted.split()) == {"tokens.resolve", "tokens.get"}


def test_the_token_is_stored_hashed_only(oauth: MarketingCloud) -> None:
    token = token_call(oauth).json()["access_token"]
    stored = AccessToken.objects.get()
    assert stored.token == ""
    assert token not in str(AccessToken.objects.values())


def test_both_live_secrets_work_and_a_retired_one_does_not(oauth: MarketingCloud) -> None:
    second = clients.add_secret(oauth.client, actor=SYSTEM)
    for secret in (oauth.secret, second):
        assert token_call(oauth, Authorization=basic(oauth.client.client_id, secret)).status_code == 200
    clients.retire_secret(oauth.client.secrets.get(slot=1), actor=SYSTEM)
    assert token_call(oauth).status_code == 401


def test_a_narrower_scope_is_granted_and_holds(oauth: MarketingCloud, ana: str) -> None:
    response = token_call(oauth, f"{GRANT}&scope=tokens.get")
    assert response.json()["scope"] == "tokens.get"
    refused = oauth.resolve(ask(ana), headers=bearer(response))
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in refused["WWW-Authenticate"]


def test_a_scope_that_the_client_lacks_is_invalid(enterprise: Enterprise) -> None:
    caller = a_caller(enterprise, auth=AuthMethod.OAUTH, scopes=["tokens.get"])
    response = token_call(caller, f"{GRANT}&scope=tokens.resolve")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_scope")
    entry = entry_of(response)
    assert (entry.api, entry.outcome, entry.error) == (Api.OAUTH, Outcome.REFUSED, "invalid_scope")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=authorization_code&code=x", "unsupported_grant_type"),
        ("grant_type=refresh_token&refresh_token=x", "unsupported_grant_type"),
        ("grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code=x", "unsupported_grant_type"),
        ("scope=tokens.get", "invalid_request"),
        (f"{GRANT}&{GRANT}", "invalid_request"),
    ],
)
def test_only_client_credentials_are_granted(oauth: MarketingCloud, body: str, error: str) -> None:
    response = token_call(oauth, body)
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert not AccessToken.objects.exists()


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"[]", 400),
        ("application/json", b'{"grant_type": 1}', 400),
        ("application/json", b'{"grant_type": "a", "grant_type": "b"}', 400),
        ("application/json", b"{" * 100_000, 400),
        ("application/json", b'{"client_id": "\\ud800"}', 400),
        (FORM, b"client_id=\xff", 400),
        ("application/json", b'{"client_id": "\\u0000", "client_secret": "x"}', 400),
        ("application/json", b'"grant_type"', 400),
        (FORM, b"&".join([b"a%d=1" % n for n in range(5000)]), 400),
        ("text/xml", b"<a/>", 415),
        (FORM, b"a" * 2_000_000, 413),
    ],
)
def test_malformed_bodies_are_refused_as_the_rfc_says(
    oauth: MarketingCloud, content_type: str, body: bytes, status: int
) -> None:
    response = oauth.post(OAUTH, body, {"Content-Type": content_type})
    assert (response.status_code, response.json()["error"]) == (status, "invalid_request")


def test_wrong_credentials_are_invalid_client_and_only_counted(oauth: MarketingCloud) -> None:
    response = token_call(oauth, Authorization=basic(oauth.client.client_id, "wrong"))
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert response["WWW-Authenticate"].startswith("Basic ")
    assert not PayloadEntry.objects.exists()
    assert RefusalCount.objects.get().reason == "invalid_credentials"


def test_no_credentials_are_invalid_client(oauth: MarketingCloud) -> None:
    response = token_call(oauth, Authorization=None)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_a_basic_client_gets_no_token_and_is_named_in_the_log(caller: MarketingCloud) -> None:
    response = token_call(caller)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert entry_of(response).error == "wrong_auth_method"


def test_a_client_that_was_switched_off_gets_none(oauth: MarketingCloud) -> None:
    clients.switch_off(oauth.client, actor=SYSTEM)
    response = token_call(oauth)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert entry_of(response).error == "client_switched_off"


def test_an_address_that_is_not_the_clients_gets_none(enterprise: Enterprise, oauth: MarketingCloud) -> None:
    distant = a_caller(enterprise, name="Distant", auth=AuthMethod.OAUTH, networks=["203.0.113.0/24"])
    response = token_call(distant)
    assert (response.status_code, response.json()["error"]) == (403, "unauthorized_client")
    assert entry_of(response).client_name == "Distant"


def test_get_is_not_allowed(oauth: MarketingCloud) -> None:
    response = oauth.http.get(OAUTH)
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert response.json()["error"] == "invalid_request"


def test_the_call_is_logged_as_facts_without_bodies(oauth: MarketingCloud) -> None:
    response = token_call(oauth)
    entry = entry_of(response)
    assert (entry.api, entry.status, entry.outcome) == (Api.OAUTH, 200, Outcome.COMPLETE)
    assert entry.client_id == oauth.client.client_id
    kept = (entry.request_skeleton, entry.response_skeleton, entry.residue, entry.request_digest)
    assert kept == (None,) * 4
    stored = PayloadEntry.objects.values().get()
    everything = (
        json.dumps({name: str(value) for name, value in stored.items()}) + bytes(entry.header).decode()
    )
    assert response.json()["access_token"] not in everything
    assert oauth.secret not in everything


def test_an_expired_token_is_refused_and_its_client_named(oauth: MarketingCloud, ana: str) -> None:
    headers = bearer(token_call(oauth))
    AccessToken.objects.update(expires=timezone.now() - datetime.timedelta(seconds=1))
    refused = oauth.resolve(ask(ana), headers=headers)
    assert (refused.status_code, refused.json()["error"]) == (401, "expired_token")
    assert 'error="invalid_token"' in refused["WWW-Authenticate"]
    assert entry_of(refused).client_name == "Journeys"


def test_a_revoked_token_is_refused(oauth: MarketingCloud, ana: str) -> None:
    headers = bearer(token_call(oauth))
    AccessToken.objects.get().revoke()
    refused = oauth.resolve(ask(ana), headers=headers)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")


def test_a_bearer_token_ends_with_its_client(oauth: MarketingCloud, ana: str) -> None:
    headers = bearer(token_call(oauth))
    clients.switch_off(oauth.client, actor=SYSTEM)
    assert oauth.resolve(ask(ana), headers=headers).status_code == 401


def test_a_scope_taken_from_the_client_ends_in_its_bearer_tokens_too(oauth: MarketingCloud, ana: str) -> None:
    headers = bearer(token_call(oauth))
    clients.change_client(oauth.client, scopes=["tokens.get"], actor=SYSTEM)
    assert oauth.resolve(ask(ana), headers=headers).status_code == 403


def test_no_other_endpoint_of_the_toolkit_is_routed(oauth: MarketingCloud) -> None:
    for name in (
        "authorize",
        "revoke_token",
        "introspect",
        "applications",
        ".well-known/oauth-authorization-server",
    ):
        assert oauth.http.post(f"/oauth2/{name}").status_code == 404
        assert oauth.http.post(f"/oauth2/{name}/").status_code == 404
