"""Calls come from allowed addresses: the union of all lists first, the client's own list once it is known."""

import time
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import PayloadEntry, RefusalCount
from audit.trail import SYSTEM
from tests.tokens.api.cast import MarketingCloud, a_caller, ask, entry_of
from tokens import clients
from tokens.api import allowlist
from tokens.api.caller import parse_address
from tokens.models import Enterprise

HOME, AWAY, OTHERS = "203.0.113.7", "198.51.100.7", "192.0.2.7"


@pytest.fixture
def stack(enterprise: Enterprise) -> MarketingCloud:
    """Marketing Cloud, which calls from one network only."""
    return a_caller(enterprise, networks=["203.0.113.0/24", "2001:db8:7::/48"])


def call(who: MarketingCloud, address: str, *items: dict[str, Any], **meta: str) -> Any:
    return who.post("/api/v1/tokens/resolve", {"tokens": list(items)}, REMOTE_ADDR=address, **meta)


def test_a_call_from_its_network_is_answered(stack: MarketingCloud, ana: str) -> None:
    assert call(stack, HOME, ask(ana)).status_code == 200
    assert call(stack, "2001:db8:7::1", ask(ana)).status_code == 200
    assert call(stack, f"::ffff:{HOME}", ask(ana)).status_code == 200


def test_a_stranger_is_refused_before_credentials_and_body_are_looked_at(stack: MarketingCloud) -> None:
    class Unread:
        def read(self, *args: object) -> bytes:
            raise AssertionError("the body was read")

        readline = read

    unread = {"wsgi.input": Unread(), "CONTENT_LENGTH": "100"}
    with CaptureQueriesContext(connection) as queries:
        response = stack.http.generic("POST", "/api/v1/tokens/resolve", REMOTE_ADDR=AWAY, **unread)
    assert (response.status_code, response.json()["error"]) == (403, "address_not_allowed")
    assert not any("tokens_clientsecret" in query["sql"] for query in queries)
    assert not PayloadEntry.objects.exists()
    assert RefusalCount.objects.get().network == "198.51.100.0/24"


def test_a_client_is_held_to_its_own_list_and_named(stack: MarketingCloud, enterprise: Enterprise) -> None:
    other = a_caller(enterprise, name="Other", networks=["192.0.2.0/24"])
    response = call(stack, OTHERS)
    assert (response.status_code, response.json()["error"]) == (403, "address_not_allowed")
    entry = entry_of(response)
    assert (entry.client_name, entry.remote_address) == ("Marketing Cloud", OTHERS)
    assert call(other, OTHERS).status_code == 200


def test_a_client_without_networks_calls_from_anywhere_and_opens_the_union(
    stack: MarketingCloud, enterprise: Enterprise
) -> None:
    assert call(stack, AWAY).status_code == 403
    anywhere = a_caller(enterprise, name="Anywhere")
    allowlist.union.forget()
    assert call(anywhere, AWAY).status_code == 200
    # The other one is still held to its own list, now that its credentials are looked at.
    assert entry_of(call(stack, AWAY)).error == "address_not_allowed"


def test_a_client_that_was_switched_off_does_not_widen_the_union(
    stack: MarketingCloud, enterprise: Enterprise
) -> None:
    other = a_caller(enterprise, name="Other", networks=["192.0.2.0/24"])
    clients.switch_off(other.client, actor=SYSTEM)
    assert call(stack, OTHERS).status_code == 403
    assert not PayloadEntry.objects.exists()


def test_an_address_that_cannot_be_known_is_in_no_list(stack: MarketingCloud) -> None:
    for remote in ("", "garbage"):
        assert call(stack, remote).status_code == 403


def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    stack: MarketingCloud, settings: pytest.FixtureRequest
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]  # type: ignore[attr-defined]
    assert call(stack, "10.0.0.1", HTTP_X_FORWARDED_FOR=HOME).status_code == 200
    assert call(stack, AWAY, HTTP_X_FORWARDED_FOR=HOME).status_code == 403
    assert call(stack, "10.0.0.1", HTTP_X_FORWARDED_FOR=f"{HOME}, {AWAY}").status_code == 403


def test_the_union_is_read_at_most_every_two_seconds(
    stack: MarketingCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    union, address = allowlist.Union(), parse_address(AWAY)
    assert not union.holds(address)
    clients.allow_network(stack.client, cidr="198.51.100.0/24", actor=SYSTEM)
    with CaptureQueriesContext(connection) as queries:
        assert not union.holds(address)
    assert len(queries) == 0
    now += 2
    with CaptureQueriesContext(connection) as queries:
        assert union.holds(address)
    assert len(queries) == 1


def test_without_any_client_credentials_decide(db: None) -> None:
    assert allowlist.Union().holds(None)
