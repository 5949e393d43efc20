"""Sealed values that were altered, moved or planted are never sent: the item is unresolved and an alarm is raised."""

from typing import Any

import pytest
from django.db import connection

from audit.models import AuditEvent, Outcome
from audit.vocabulary import Action
from tests.tokens.api.cast import BEN, MarketingCloud, a_person, ask, entry_of, want
from tests.tokens.cast import an_enterprise
from tokens.log.rebuild import Proof, rebuild
from tokens.models import AttributeSet, Enterprise, Mapping

MESSAGE = "Unavailable; the stored value failed its integrity check."


@pytest.fixture
def ben(enterprise: Enterprise, ana: str) -> str:
    """The token of Ben, whose attributes are not Ana's."""
    return a_person(enterprise, *BEN[:2], (("FirstName", "Ben"),))


def sql(statement: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def swap(table: str, column: str) -> None:
    sql(f"UPDATE {table} SET {column} = other.{column} FROM {table} other WHERE other.id <> {table}.id")


def flip(table: str, column: str, byte: int) -> None:
    sql(f"UPDATE {table} SET {column} = set_byte({column}, {byte}, get_byte({column}, {byte}) # 1)")


def plant(value: bytes) -> None:
    sql("UPDATE tokens_mapping SET value = %s", value)


TAMPERING: dict[str, Any] = {
    "values swapped between rows": lambda: swap("tokens_mapping", "value"),
    "attributes swapped between rows": lambda: swap("tokens_attributeset", "payload"),
    "a bit of the format": lambda: flip("tokens_mapping", "value", 0),
    "a bit of the key id": lambda: flip("tokens_mapping", "value", 4),
    "a bit of the nonce": lambda: flip("tokens_mapping", "value", 10),
    "a bit of the ciphertext": lambda: flip("tokens_mapping", "value", 20),
    "a bit of the tag": lambda: flip("tokens_mapping", "value", 40),
    "a bit of the attributes": lambda: flip("tokens_attributeset", "payload", 30),
    "a value in the attributes' place": lambda: sql(
        "UPDATE tokens_attributeset SET payload = (SELECT value FROM tokens_mapping LIMIT 1)"
    ),
    "emptied attributes": lambda: sql("UPDATE tokens_attributeset SET payload = ''"),
    "cut short": lambda: sql("UPDATE tokens_mapping SET value = substr(value, 1, 30)"),
    "empty": lambda: plant(b""),
    "plaintext": lambda: plant(b"ana@mail.example"),
    "plaintext behind a header": lambda: plant(b"\x01\x00\x00\x00\x01" + b"0" * 12 + b"ana@mail.example" * 2),
}


@pytest.mark.parametrize("tampering", TAMPERING.values(), ids=TAMPERING)
def test_nothing_but_an_unresolved_item_leaves(
    caller: MarketingCloud, ana: str, ben: str, tampering: Any
) -> None:
    tampering()
    response = caller.resolve(ask(ana, "r-1"), ask(ben, "r-2"))
    assert response.status_code == 200
    assert response.json() == {
        "resolvedTokens": [],
        "unresolvedTokens": [{"tokenRequestId": one, "message": MESSAGE} for one in ("r-1", "r-2")],
    }
    entry = entry_of(response)
    assert (entry.outcome, entry.anomalies) == (Outcome.NONE, [[0, "cannot_open"], [1, "cannot_open"]])
    alarm = AuditEvent.objects.get(action=Action.ALARM_CANNOT_OPEN)
    assert (alarm.request_id, alarm.details) == (entry.pk, {"items": 2})
    assert set(alarm.target_id.split(",")) == {str(pk) for pk in Mapping.objects.values_list("pk", flat=True)}
    assert rebuild(entry).response.proof is Proof.PROVEN


def test_the_others_of_the_batch_are_answered(caller: MarketingCloud, ana: str, ben: str) -> None:
    sql("UPDATE tokens_mapping SET value = substr(value, 1, 40) WHERE token = %s", ana)
    said = caller.resolve(ask(ana, "r-1"), ask(ben, "r-2")).json()
    assert [one["tokenRequestId"] for one in said["resolvedTokens"]] == ["r-2"]
    assert said["unresolvedTokens"] == [{"tokenRequestId": "r-1", "message": MESSAGE}]


def test_an_envelope_of_another_enterprise_does_not_open(caller: MarketingCloud, ana: str) -> None:
    a_person(an_enterprise("Other"), "ana@mail.example", "SUB-ANA")
    swap("tokens_mapping", "value")
    assert caller.resolve(ask(ana)).json()["resolvedTokens"] == []


def test_get_token_answers_and_raises_the_alarm(caller: MarketingCloud, ana: str, ben: str) -> None:
    swap("tokens_mapping", "value")
    response = caller.get_token(want("ana@mail.example"))
    assert [token["token"] for token in response.json()["tokens"]] == [ana]
    assert AuditEvent.objects.get(action=Action.ALARM_CANNOT_OPEN).request_id == entry_of(response).pk


def test_a_key_that_was_destroyed_makes_its_values_unresolved(
    caller: MarketingCloud, enterprise: Enterprise, ana: str
) -> None:
    from django.utils import timezone

    from tokens.crypto import keyring
    from tokens.crypto.keyset import DataKey, Purpose

    keys = DataKey.objects.filter(enterprise=enterprise, purpose=Purpose.VALUE)
    keys.update(wrapped=None, destroyed_at=timezone.now())
    keyring.forget_all()
    assert caller.resolve(ask(ana)).json()["unresolvedTokens"][0]["message"] == MESSAGE


def test_erased_attributes_are_no_tampering(caller: MarketingCloud, ana: str) -> None:
    AttributeSet.objects.update(payload=None)
    assert caller.resolve(ask(ana)).json()["resolvedTokens"][0]["attributes"] == []
    assert not AuditEvent.objects.filter(action=Action.ALARM_CANNOT_OPEN).exists()
