"""64 clients race for the same values: one token each, every answer complete, no deadlock (promise P12)."""

import random
import threading
from typing import Any

import pytest
from django.db import OperationalError, transaction

from tests.conftest import OwnDatabase
from tests.tokens.cast import an_enterprise, email, mobile
from tests.tokens.racing import race
from tokens.errors import NoFreeToken
from tokens.models import Contact, ContactMapping, Enterprise, Mapping
from tokens.vault import contacts, mint
from tokens.vault.mint import Wanted

CLIENTS = 64
VALUES = [email(f"person{n}@mail.example") for n in range(150)] + [
    mobile(f"4915100{n:06d}") for n in range(50)
]


def ask_for(enterprise: Enterprise, wanted: list[Wanted]) -> dict[Wanted, str]:
    with transaction.atomic():
        held = mint.get_or_create(enterprise, wanted)
        assert len(held) == len(wanted)
        return {want: one.token for want, one in zip(wanted, held, strict=True)}


@pytest.fixture
def acme(own_database: OwnDatabase) -> Enterprise:
    return an_enterprise()


def test_64_clients_get_one_token_a_value_and_every_answer(acme: Enterprise) -> None:
    def client(dice: random.Random) -> list[dict[Wanted, str]]:
        return [ask_for(acme, dice.sample(VALUES, 60)) for _ in range(4)]

    results, errors = race(CLIENTS, client)
    assert errors == []
    assert len(results) == CLIENTS
    tokens: dict[Wanted, set[str]] = {}
    for answers in results:
        for answer in answers:
            for want, token in answer.items():
                tokens.setdefault(want, set()).add(token)
    assert {len(found) for found in tokens.values()} == {1}
    assert Mapping.objects.count() == len(tokens) == len(VALUES)
    for mapping in Mapping.objects.all():
        [want] = [want for want, found in tokens.items() if found == {mapping.token}]
        assert mapping.value.open() == want.spelling


def test_without_the_second_select_answers_get_lost(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin: whoever loses a race for a value has no answer for it."""
    real, seen = mint._Minting.find, threading.local()

    def only_once(self: Any, keys: Any) -> Any:
        if getattr(seen, "run", None) is self:
            return {}
        seen.run = self
        return real(self, keys)

    monkeypatch.setattr(mint._Minting, "find", only_once)
    monkeypatch.setattr(mint, "ROUNDS", 1)
    emails = VALUES[:150]
    _, errors = race(16, lambda dice: ask_for(acme, emails))
    assert errors
    assert {type(error) for error in errors} == {NoFreeToken}


@pytest.mark.slow
def test_unsorted_clients_would_deadlock(acme: Enterprise, monkeypatch: pytest.MonkeyPatch) -> None:
    """The known-bad twin: transactions that want the same values in another order wait for each other."""
    real = mint._Minting.__init__

    def unsorted(self: Any, enterprise: Enterprise, spellings: dict[Any, str]) -> None:
        real(self, enterprise, spellings)
        self.keys = list(spellings)

    monkeypatch.setattr(mint._Minting, "__init__", unsorted)

    def deadlocks(attempt: int) -> bool:
        emails = [email(f"person{n}.{attempt}@mail.example") for n in range(2000)]
        _, errors = race(8, lambda dice: ask_for(acme, dice.sample(emails, len(emails))))
        return any(isinstance(error, OperationalError) and "deadlock" in str(error) for error in errors)

    assert any(deadlocks(attempt) for attempt in range(20))


def test_racing_clients_agree_on_the_contact_of_a_new_value(acme: Enterprise) -> None:
    def client(dice: random.Random) -> dict[int, str]:
        with transaction.atomic():
            held = mint.get_or_create(acme, dice.sample(VALUES, 40))
            found = contacts.with_primary(acme, held)
            assert found.keys() == {one.mapping_id for one in held}
            return {mapping_id: primary.subscriber_key for mapping_id, primary in found.items()}

    results, errors = race(CLIENTS, client)
    assert errors == []
    keys: dict[int, set[str]] = {}
    for answer in results:
        for mapping_id, key in answer.items():
            keys.setdefault(mapping_id, set()).add(key)
    assert {len(found) for found in keys.values()} == {1}
    assert Contact.objects.count() == ContactMapping.objects.count() == Mapping.objects.count() == len(keys)


def test_racing_for_the_first_contact_leaves_one_primary(acme: Enterprise) -> None:
    """Bulk workers link contacts of their own to mappings that nobody holds yet."""
    held = mint.get_or_create(acme, VALUES)

    def worker(dice: random.Random) -> None:
        people = [contacts.Person(f"SUB-{dice.randrange(10**6):06d}") for _ in range(40)]
        with transaction.atomic():
            known = contacts.upsert(acme, people)
            chosen = dice.sample(held, 40)
            links = contacts.link(
                acme,
                [(one.mapping_id, contact.contact_id) for one, contact in zip(chosen, known, strict=True)],
            )
            assert len(links) == 40

    _, errors = race(32, worker)
    assert errors == []
    linked = set(ContactMapping.objects.values_list("mapping_id", flat=True))
    primaries = list(ContactMapping.objects.filter(is_primary=True).values_list("mapping_id", flat=True))
    assert sorted(primaries) == sorted(linked)
    assert ContactMapping.objects.count() == 32 * 40
