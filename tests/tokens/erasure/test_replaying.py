"""What the ledger tells an older database of erasures whose deletes were not over, and of opt-outs."""

import pytest
from django.db import transaction
from django.utils import timezone

from audit.trail import SYSTEM
from tests.tokens.api import cast
from tests.tokens.cast import an_enterprise
from tests.tokens.erasure.conftest import approved, now
from tokens.erasure import copying, replay, worker
from tokens.erasure.ledger import Record
from tokens.models import ContactDelete, Enterprise, Erasure, LedgerLine, Mapping
from tokens.models.mappings import State as MappingState

pytestmark = pytest.mark.django_db
State = Erasure.State


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise()


@pytest.fixture
def ana(acme: Enterprise) -> Mapping:
    token = cast.a_person(acme, "ana@mail.example", "SUB-ANA")
    return Mapping.objects.select_related("enterprise").get(token=token)


def lines_of(erasure: Erasure) -> list[Record]:
    """What the maintenance process would write of it at this moment."""
    return copying.records_of(LedgerLine.objects.filter(subject=erasure.pk).order_by("pk"), "default")


def approved_after_the_backup(mapping: Mapping) -> list[Record]:
    """The ledger's lines of an approved erasure, whose transaction this database never had."""
    with transaction.atomic():
        records = lines_of(approved(mapping))
        transaction.set_rollback(True)
    assert not Erasure.objects.filter(mapping=mapping).exists()
    return records


def test_one_that_was_approved_after_the_backup_is_blocked_again_and_its_deletes_run_first(
    acme: Enterprise, ana: Mapping
) -> None:
    caller = cast.a_caller(acme)
    begun = approved_after_the_backup(ana)
    assert [one["deletes_are_over"] for one in begun] == [False]
    assert replay.missing(begun) == begun
    done = replay.replay([*begun, *begun], actor=SYSTEM)
    assert (done.begun, done.erasures, done.known, replay.missing(begun)) == (1, 0, 1, [])
    assert caller.resolve(cast.ask(ana.token)).json()["resolvedTokens"] == []
    # Marketing Cloud may send until its deletes are over: a STOP finds them, and nothing is destroyed.
    assert Mapping.objects.get(pk=ana.pk).value is not None
    erasure = Erasure.objects.get(mapping=ana)
    worker.work_for(seconds=60)
    assert (now(erasure).state, now(erasure).trouble) == (State.BLOCKED, "NoConnection")
    deleted = {"state": ContactDelete.State.DELETED, "proof": ContactDelete.Proof.SECOND_PERSON}
    assert erasure.deletes.update(**deleted, deleted_at=timezone.now()) == 1
    Erasure.objects.update(next_try_at=timezone.now())
    worker.work_for(seconds=60)
    assert (now(erasure).state, now(erasure).trouble) == (State.DELETED, "ledger")
    assert Mapping.objects.get(pk=ana.pk).state == MappingState.BLOCKED
    [over] = lines_of(erasure)
    assert (over["deletes_are_over"], replay.missing([*begun, over])) == (True, [over])


def test_who_was_not_there_at_all_is_not_minted_anew_either(acme: Enterprise) -> None:
    with transaction.atomic():
        token = cast.a_person(acme, "ben@mail.example", "SUB-BEN")
        records = lines_of(approved(Mapping.objects.select_related("enterprise").get(token=token)))
        transaction.set_rollback(True)
    replay.replay(records, actor=SYSTEM)
    [told] = cast.a_caller(acme).get_token(cast.want("ben@mail.example")).json()["tokens"]
    assert (told["token"], told["subscriberKey"]) == (token, "SUB-BEN")
    assert Erasure.objects.get().deletes.get().state == ContactDelete.State.PENDING
