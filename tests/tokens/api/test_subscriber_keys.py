"""Who is meant by a token: the contact of the subscriber key that came with it, or the primary one (decision 1)."""

from typing import Any

import pytest
from django.utils import timezone

from tests.tokens.api.cast import MarketingCloud, a_person, ask, entry_of
from tokens.models import Contact, ContactMapping, Enterprise

NUMBER = "447700900123"
MUM = (NUMBER, "SUB-MUM", (("FirstName", "Mo"),))
KID = (NUMBER, "SUB-KID", (("FirstName", "Kit"),))
STRANGER = ("447700900999", "SUB-STRANGER", (("FirstName", "Sam"),))


@pytest.fixture
def shared(enterprise: Enterprise) -> str:
    """The token of a number that mum, who came first, and kid share; a stranger has another."""
    token = a_person(enterprise, *MUM)
    assert a_person(enterprise, *KID) == token
    a_person(enterprise, *STRANGER)
    return token


def link_of(key: str) -> int:
    return ContactMapping.objects.get(contact__subscriber_key=key).pk


def names(response: Any) -> list[str]:
    return [one["value"] for one in response.json()["resolvedTokens"][0]["attributes"]]


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_the_primary_contact_is_meant(
    caller: MarketingCloud, shared: str, key: str | None
) -> None:
    response = caller.resolve(ask(shared, subscriberKey=key))
    assert names(response) == ["Mo"]
    assert entry_of(response).links == [link_of("SUB-MUM")]


def test_a_linked_key_means_its_contact(caller: MarketingCloud, shared: str) -> None:
    response = caller.resolve(ask(shared, subscriberKey="SUB-KID"))
    assert names(response) == ["Kit"]
    assert entry_of(response).links == [link_of("SUB-KID")]
    assert entry_of(response).anomalies == []


@pytest.mark.parametrize("key", ["SUB-STRANGER", "SUB-NOBODY", "two\nlines", "x" * 5000])
def test_any_other_key_gets_the_value_without_attributes(
    caller: MarketingCloud, shared: str, key: str
) -> None:
    response = caller.resolve(ask(shared, subscriberKey=key))
    assert response.json()["resolvedTokens"] == [
        {"tokenRequestId": "r-1", "tokenValue": NUMBER, "attributes": []}
    ]
    entry = entry_of(response)
    assert entry.anomalies == [[0, "key_not_linked"]]
    assert entry.links == [link_of("SUB-MUM")]


def test_keys_with_line_breaks_do_not_shift_other_items(caller: MarketingCloud, shared: str) -> None:
    response = caller.resolve(
        ask(shared, "a", subscriberKey="x\ny"), ask(shared, "b", subscriberKey="SUB-KID"), ask(shared, "c")
    )
    attributes = {one["tokenRequestId"]: one["attributes"] for one in response.json()["resolvedTokens"]}
    assert attributes == {
        "a": [],
        "b": [{"name": "FirstName", "value": "Kit"}],
        "c": [{"name": "FirstName", "value": "Mo"}],
    }


def test_the_key_of_an_erased_contact_is_unresolved(caller: MarketingCloud, shared: str) -> None:
    Contact.objects.filter(subscriber_key="SUB-KID").update(erased_at=timezone.now())
    response = caller.resolve(ask(shared, subscriberKey="SUB-KID"))
    assert response.json()["unresolvedTokens"] == [
        {"tokenRequestId": "r-1", "message": "Erased contact; nothing is sent to it."}
    ]
    assert names(caller.resolve(ask(shared))) == ["Mo"]


def test_a_contact_whose_erasure_began_is_unresolved(caller: MarketingCloud, shared: str) -> None:
    ContactMapping.objects.filter(pk=link_of("SUB-MUM")).update(blocked_at=timezone.now())
    assert caller.resolve(ask(shared)).json()["resolvedTokens"] == []
    assert caller.resolve(ask(shared, subscriberKey="SUB-MUM")).json()["resolvedTokens"] == []
    assert names(caller.resolve(ask(shared, subscriberKey="SUB-KID"))) == ["Kit"]


def test_an_erased_primary_contact_is_unresolved_without_a_key(caller: MarketingCloud, shared: str) -> None:
    Contact.objects.filter(subscriber_key="SUB-MUM").update(erased_at=timezone.now())
    assert caller.resolve(ask(shared)).json()["resolvedTokens"] == []


def test_a_mapping_without_contacts_resolves_without_attributes(
    caller: MarketingCloud, enterprise: Enterprise, ana: str
) -> None:
    from tests.tokens.cast import email, hold

    [held] = hold(enterprise, email("lone@mail.example"))
    response = caller.resolve(ask(held.token))
    assert response.json()["resolvedTokens"][0]["attributes"] == []
    assert entry_of(response).links == []
