"""A worker that was taken over changes nothing, and one erasure that goes wrong holds up no other."""

import datetime
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal import erasure_ledger
from tests.tokens.api import cast
from tests.tokens.erasure.conftest import YEAR, approved, is_done, now, worked_until
from tests.tokens.erasure.test_races import once_before
from tokens.erasure import bulk_files, deletes, destroying, work, worker
from tokens.models import ContactDelete, Enterprise, Erasure, Mapping

State = Erasure.State
STEPS = (
    Action.ERASURE_BEGUN,
    Action.ERASURE_DELETED,
    Action.ERASURE_DESTROYED,
    Action.ERASURE_VERIFIED,
)


def person(enterprise: Enterprise, name: str = "ana") -> Mapping:
    token = cast.a_person(enterprise, f"{name}@mail.example", f"SUB-{name}")
    return Mapping.objects.select_related("enterprise").get(token=token)


def deleted_by_hand(mapping: Mapping) -> Erasure:
    """Its deletes are over, and no worker has seen it yet."""
    erasure = approved(mapping)
    erasure.deletes.update(
        state=ContactDelete.State.DELETED,
        proof=ContactDelete.Proof.SECOND_PERSON,
        deleted_at=timezone.now(),
    )
    Erasure.objects.exclude(pk=erasure.pk).update(next_try_at=timezone.now() + YEAR)  # of other tests
    return erasure


def taken_over_at(owner: Any, name: str, erasure: Erasure, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the second worker counted, who had it from right before the first one's call of a function to its end."""
    counted: dict[str, Any] = {}

    def by_another() -> None:
        Erasure.objects.filter(pk=erasure.pk).update(lease_until=timezone.now() - YEAR)
        counted.update(worked_until(erasure, is_done).destroyed)

    once_before(owner, name, by_another, patch)
    for _ in range(5):
        Erasure.objects.filter(pk=erasure.pk).update(next_try_at=timezone.now())
        worker.work_for(seconds=60)
        erasure_ledger.copy()
    assert counted
    return counted


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (deletes, "finish"),
        (bulk_files, "sweep"),
        (destroying, "destroy"),
        (destroying, "others_may_still_write"),
    ],
)
def test_who_was_taken_over_changes_nothing(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    ana = person(acme)
    erasure = deleted_by_hand(ana)
    counted = taken_over_at(owner, name, erasure, monkeypatch)
    assert (now(erasure).state, now(erasure).destroyed) == (State.DONE, counted)
    assert counted["clear values"] == 1
    told = AuditEvent.objects.filter(target_type="mapping", target_id=str(ana.pk)).order_by("id")
    assert tuple(told.values_list("action", flat=True)) == STEPS


def test_without_the_fence_one_that_is_done_would_be_undone(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = person(acme)
    monkeypatch.setattr(work, "note", lambda erasure, *fields, was=None: erasure.save(update_fields=fields))
    erasure = deleted_by_hand(ana)
    taken_over_at(destroying, "destroy", erasure, monkeypatch)
    told = AuditEvent.objects.filter(target_type="mapping", target_id=str(ana.pk))
    assert told.count() > len(STEPS)


def test_what_can_write_is_asked_by_the_clock_of_the_database_once_the_destruction_is_committed(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[datetime.datetime] = []
    monkeypatch.setattr(
        destroying, "others_may_still_write", lambda since: asked.append(since) or len(asked) < 3
    )
    committed: list[datetime.datetime] = []
    destroy = destroying.destroy

    def destroyed(erasure: Erasure) -> dict[str, int]:
        counts = destroy(erasure)
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            committed.extend(cursor.fetchone())
        return counts

    monkeypatch.setattr(destroying, "destroy", destroyed)
    worked_until(deleted_by_hand(person(acme)), is_done)
    # The first moment after the commit holds for every try: a later one would wait for ever new transactions.
    assert (len(asked), len(set(asked)), asked[0] > committed[0]) == (3, 1, True)


def test_an_error_that_nobody_foresaw_is_noted_and_the_others_go_on(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = deleted_by_hand(person(acme)), deleted_by_hand(person(acme, "ben"))
    finish = deletes.finish

    def finished(erasure: Erasure) -> None:
        if erasure.pk == first.pk:
            raise Mapping.DoesNotExist
        finish(erasure)

    monkeypatch.setattr(deletes, "finish", finished)
    for erasure in (first, second):
        Erasure.objects.filter(pk=erasure.pk).update(next_try_at=timezone.now() - YEAR)
    worker.work_for(seconds=60)
    assert (now(first).state, now(first).trouble) == (State.BLOCKED, "DoesNotExist")
    assert now(first).next_try_at > timezone.now()
    assert now(second).state == State.DELETED
