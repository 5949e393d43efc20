"""A residue key made inside a transaction that rolls back must not be the one that others seal under."""

import datetime

from django.db import connection, transaction

from tests.conftest import OwnDatabase
from tests.tokens.cast import an_enterprise
from tokens.crypto import envelope, key_making, keyring
from tokens.crypto.keyset import DataKey, Purpose
from tokens.models import Enterprise

PLACE = envelope.place("audit.PayloadEntry", "residue", 1, "id")


def an_enterprise_without_day_keys() -> Enterprise:
    acme = an_enterprise()
    DataKey.objects.filter(enterprise=acme, purpose=Purpose.RESIDUE).update(is_primary=False)
    return acme


def sealed_in_a_transaction_that_rolls_back(acme: Enterprise) -> None:
    with transaction.atomic():
        keyring.keyring(acme.pk).seal(Purpose.RESIDUE, b"lost with the transaction", PLACE)
        transaction.set_rollback(True)


def test_what_is_sealed_after_a_rollback_opens_in_every_process(own_database: OwnDatabase) -> None:
    acme = an_enterprise_without_day_keys()
    sealed_in_a_transaction_that_rolls_back(acme)
    sealed = keyring.keyring(acme.pk).seal(Purpose.RESIDUE, b"kept", PLACE)
    keyring.forget_all()  # another process
    assert keyring.keyring(acme.pk).open(sealed, PLACE) == b"kept"


def test_outside_of_a_transaction_a_missing_day_key_is_made_too(own_database: OwnDatabase) -> None:
    acme = an_enterprise_without_day_keys()
    sealed = keyring.keyring(acme.pk).seal(Purpose.RESIDUE, b"x", PLACE)
    assert DataKey.objects.get(pk=envelope.key_id_of(sealed)).is_primary


def test_made_in_the_callers_transaction_the_key_would_be_lost(
    own_database: OwnDatabase, monkeypatch: object
) -> None:
    """The known-bad twin: the key vanishes with the transaction, and the process goes on sealing under it."""

    def make_day_key_in_the_callers_transaction(enterprise_id: int, day: datetime.date) -> None:
        key = key_making._new(enterprise_id, Purpose.RESIDUE, day)
        with connection.cursor() as cursor:
            cursor.execute(key_making.INSERT_DAY_KEY, [enterprise_id, key.purpose, day, key.uid, key.wrapped])

    monkeypatch.setattr(  # type: ignore[attr-defined]
        key_making, "make_day_key_apart", make_day_key_in_the_callers_transaction
    )
    acme = an_enterprise_without_day_keys()
    sealed_in_a_transaction_that_rolls_back(acme)
    sealed = keyring.keyring(acme.pk).seal(Purpose.RESIDUE, b"kept", PLACE)
    assert not DataKey.objects.filter(pk=envelope.key_id_of(sealed)).exists()
