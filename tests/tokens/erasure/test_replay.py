"""Replaying goes to the end of the ledger, whatever stands in it and whatever the older database lacks."""

import uuid
from typing import Any

import pytest

from audit.trail import SYSTEM
from tests.tokens.cast import an_enterprise
from tests.tokens.erasure.scene import a_person, begun
from tokens.erasure import copying, replay
from tokens.models import Erasure, LedgerLine, Mapping, Suppression
from tokens.models.mappings import State

pytestmark = pytest.mark.django_db


def test_records_that_make_no_sense_are_named_and_those_after_them_replayed() -> None:
    acme = an_enterprise()
    whole: dict[str, Any] = {
        "kind": "opt-out", "id": str(uuid.uuid4()), "eid": acme.eid, "channel": 1, "index_version": 1,
        "blind_index": "07" * 32, "scope": "enterprise", "scope_id": "", "source": "officer", "source_id": "1",
        "law": "", "actor_id": "1", "actor_name": "Olga", "occurred_at": "2026-01-01T00:00:00+00:00",
        "received_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    odd = [
        {"id": "1"},
        {"id": 7, "kind": "opt-out", "eid": acme.eid},
        whole | {"id": str(uuid.uuid4()), "kind": "x"},
        {"id": str(uuid.uuid4()), "kind": "opt-out", "eid": acme.eid},
        whole | {"id": str(uuid.uuid4()), "blind_index": "no hex"},
        whole | {"id": str(uuid.uuid4()), "law": "x" * 999},
    ]
    done = replay.replay([*odd, whole], actor=SYSTEM)
    assert (done.opt_outs, done.failed) == (1, [str(one["id"]) for one in odd])
    assert Suppression.objects.filter(enterprise=acme).count() == 1
    assert replay.missing([*odd[:3], whole]) == []


def test_somebody_of_whom_the_backup_has_nothing_at_all_gets_a_receipt() -> None:
    """They held a number that another held too: no value is in the record, and the number came after the backup."""
    acme = an_enterprise()
    shared = a_person(acme, "13175550101", "SUB-ANA")
    erasure = begun(shared)
    [record] = copying.records_of([LedgerLine(kind="erasure", subject=erasure.pk)], "default")
    record |= {"id": str(uuid.uuid4()), "keys": ["SUB-GONE"], "mappings": [], "token": "18005550199"}
    for _ in range(2):
        found = replay._scope_of(acme, record)
        replay._erasure_of(acme, record, found)
    made = Mapping.objects.get(enterprise=acme, token="18005550199")
    assert (made.state, made.value) == (State.SUPERSEDED, None)
    assert Erasure.objects.get(pk=record["id"]).mapping == made
