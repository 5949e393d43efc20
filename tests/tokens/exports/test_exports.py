"""Exports: masked unless approved, counted, made by whoever holds the newest claim, and gone after some days."""

import datetime
import json
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audit.approvals import requests as approvals
from audit.approvals.errors import CannotBeDone
from audit.models import ApprovalRequest, AuditEvent
from audit.trail import SYSTEM, Actor
from audit.vocabulary import Action
from portal.roles import Role
from tests.portal.desk import cast
from tests.portal.desk.exchanges import logged
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tokens.consent.opt_outs import record_opt_out
from tokens.dossier import timeline
from tokens.dossier.timeline import LineKind
from tokens.errors import ExportNotReady, ExportOfAnother
from tokens.exports import files, requests, rows, worker
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, Export, ExportSlice, Mapping
from tokens.vault import find

pytestmark = pytest.mark.django_db
What, Form, State = Export.What, Export.Form, Export.State
OTTO = Actor("user:99", "otto")


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "ROWS_A_SLICE", 3)


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise("Acme")


@pytest.fixture
def people(acme: Enterprise) -> list[Mapping]:
    """Ana, Ben and five more; Ana opted out."""
    tokens = [api_cast.a_person(acme, *who) for who in (api_cast.ANA, api_cast.BEN, api_cast.CLO)]
    tokens += [api_cast.a_person(acme, f"p{n}@mail.example", f"SUB-{n}") for n in range(4)]
    found = [Mapping.objects.get(token=token) for token in tokens]
    record_opt_out(
        acme, kind=Kind.EMAIL, mapping=found[0], source=ConsentEvent.Source.OFFICER, source_id="1",
        occurred_at=timezone.now(), evidence="Rang at noon.", actor=OTTO,
    )  # fmt: skip
    return found


def asked(acme: Enterprise, what: Export.What = What.PEOPLE, **given: Any) -> Export:
    facts: dict[str, Any] = {"form": Form.JSONL, "only": {}, "case": "C-1", "actor": OTTO} | given
    return requests.ask(acme, what=what, **facts)


def made(acme: Enterprise, what: Export.What = What.PEOPLE, **given: Any) -> Export:
    export = asked(acme, what, **given)
    while worker.work(export.pk, seconds=0):
        pass
    export.refresh_from_db()
    assert export.state == State.READY, export.failure
    return export


def content(export: Export) -> str:
    export = Export.objects.select_related("enterprise").get(pk=export.pk)
    return b"".join(files.stream(export, taken_by="otto", taken_at=timezone.now())).decode()


def lines(export: Export) -> list[dict[str, Any]]:
    first, *found, last = [json.loads(line) for line in content(export).splitlines()]
    assert first["export"]["case"] == "C-1"
    assert last == {"end": {"rows": len(found)}}
    return found


def test_people_are_masked(acme: Enterprise, people: list[Mapping]) -> None:
    export = made(acme)
    assert (export.rows, export.slices) == (7, 3)
    found = lines(export)
    assert [one["token"] for one in found] == [one.token for one in people]
    assert found[0]["value"] == "a•••@m•••.example"
    assert found[0]["subscriber_keys"] == "SUB-ANA"
    assert "mail.example" not in content(export)
    assert "447700900123" not in content(export)
    assert ExportSlice.objects.filter(export=export, subjects=[]).count() == 3


@pytest.mark.parametrize(("what", "count"), [(What.LOG, 5), (What.UNSUBSCRIBES, 1), (What.EVENTS, None)])
def test_other_kinds_of_rows_come_whole_and_masked(
    acme: Enterprise, people: list[Mapping], what: Export.What, count: int | None
) -> None:
    for ago in range(5):
        logged(acme, ago=ago)
    logged(an_enterprise("Rival"))
    expected = count or AuditEvent.objects.filter(enterprise_id=acme.pk).count()
    export = made(acme, what)
    found = lines(export)
    assert len(found) == export.rows == expected
    ids = [one.get("request_id", one.get("id")) for one in found]
    assert ids == sorted(ids)
    for canary in ("ana@mail", "Rang at noon"):
        assert canary not in content(export)
    if what == What.UNSUBSCRIBES:
        assert (found[0]["value"], found[0]["token"]) == ("a•••@m•••.example", people[0].token)


def test_a_filter_narrows_it_and_what_is_no_filter_is_dropped(
    acme: Enterprise, people: list[Mapping]
) -> None:
    assert (
        made(
            acme, only={"kind": str(Kind.MOBILE.value), "nonsense": "1", "state": "x' OR 1", "since": "soon"}
        ).rows
        == 1
    )
    assert made(acme, What.LOG, only={"address": "nowhere", "status": "999"}).rows == 0
    for ago in (10, 3_000, 90_000):
        logged(acme, ago=ago, client_id="c-1" if ago == 10 else "c-2")
    hour_ago = (timezone.now() - datetime.timedelta(hours=1)).isoformat()
    assert made(acme, What.LOG, only={"since": hour_ago}).rows == 2
    assert made(acme, What.LOG, only={"before": hour_ago}).rows == 1
    assert made(acme, What.LOG, only={"client": "c-2", "since": hour_ago}).rows == 1


def test_rows_that_come_while_it_is_made_are_not_in_it(acme: Enterprise, people: list[Mapping]) -> None:
    export = asked(acme)
    assert worker.work(export.pk, seconds=0)
    api_cast.a_person(acme, "late@mail.example", "SUB-LATE")
    while worker.work(export.pk, seconds=0):
        pass
    assert len(lines(export)) == 7


# -- who makes it -------------------------------------------------------------------------------------------
def test_a_worker_that_vanished_leaves_whole_slices_and_the_next_goes_on(
    acme: Enterprise, people: list[Mapping]
) -> None:
    export = asked(acme)
    epoch = worker.claim(export.pk, seconds=0)
    assert epoch
    worker.write_one(export.pk, epoch)
    Export.objects.filter(pk=export.pk).update(lease_until=timezone.now() - datetime.timedelta(seconds=1))
    while worker.work(export.pk, seconds=0):
        pass
    assert [one["token"] for one in lines(export)] == [one.token for one in people]


def test_one_worker_at_a_time(acme: Enterprise, people: list[Mapping]) -> None:
    export = asked(acme)
    assert worker.claim(export.pk)
    assert worker.claim(export.pk) is None
    assert not worker.work(export.pk, seconds=0)
    assert not ExportSlice.objects.exists()


def test_a_worker_that_was_stopped_past_its_lease_writes_nothing(
    acme: Enterprise, people: list[Mapping]
) -> None:
    export = asked(acme)
    stopped = worker.claim(export.pk, seconds=0)
    assert stopped
    other = worker.claim(export.pk, seconds=30)
    assert other
    assert worker.write_one(export.pk, other)
    with pytest.raises(worker.LeaseLost):
        worker.write_one(export.pk, stopped)
    while worker.write_one(export.pk, other):
        pass
    with pytest.raises(worker.LeaseLost):
        worker.write_one(export.pk, stopped)
    assert len(lines(export)) == 7


def test_without_the_epoch_it_would_write_rows_twice(acme: Enterprise, people: list[Mapping]) -> None:
    """The known-bad twin: a worker that goes on from what it remembers, and asks nobody."""
    export = asked(acme)
    remembered = Export.objects.get(pk=export.pk)
    epoch = worker.claim(export.pk)
    assert epoch
    while worker.write_one(export.pk, epoch):
        pass
    again = rows.batch(remembered, worker.ROWS_A_SLICE).rows
    assert again[0][3] == lines(export)[0]["token"]


def test_what_can_not_be_made_fails_after_three_times_by_code(
    acme: Enterprise, people: list[Mapping], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Any:
        raise ValueError("ana@mail.example")

    monkeypatch.setattr(worker.rows, "batch", broken)
    export = asked(acme)
    for _ in range(3):
        assert not worker.work(export.pk, seconds=0)
    export.refresh_from_db()
    assert (export.state, export.failure) == (State.FAILED, "ValueError")
    event = AuditEvent.objects.get(action=Action.EXPORT_FAILED)
    assert "mail.example" not in str(event.details)
    with pytest.raises(ExportNotReady):
        requests.take(export, actor=OTTO)


def test_the_rows_lie_sealed(acme: Enterprise, people: list[Mapping]) -> None:
    made(acme, clear=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(sealed, ''::bytea) FROM tokens_exportslice")
        stored = bytes(cursor.fetchone()[0])
    assert b"mail.example" not in stored
    assert people[0].token.encode() not in stored


# -- in clear -----------------------------------------------------------------------------------------------
def officer(acme: Enterprise, name: str) -> Actor:
    user = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme, name=name)
    return Actor(f"user:{user.pk}", name)


def test_in_clear_takes_a_second_person_who_sees_how_many_rows(
    acme: Enterprise, people: list[Mapping]
) -> None:
    olivia, omar = officer(acme, "olivia"), officer(acme, "omar")
    given: dict[str, Any] = {"what": What.PEOPLE, "form": Form.JSONL, "only": {"kind": "1"}, "case": "C-1"}
    outcome = requests.ask_for_clear(acme, reason="court order", actor=olivia, **given)
    assert outcome.waits_for
    assert not Export.objects.exists()
    waiting = ApprovalRequest.objects.get()
    assert waiting.affected == 6
    assert "6 rows" in waiting.blast_radius
    approvals.approve(waiting.pk, actor=omar)
    export = Export.objects.get()
    while worker.work(export.pk, seconds=0):
        pass
    assert "ana@mail.example" in content(export)
    with pytest.raises(ExportOfAnother):
        requests.take(export, actor=omar)
    requests.take(export, actor=olivia)
    assert AuditEvent.objects.get(action=Action.EXPORT_TAKEN).details["rows"] == 6


def a_clear_export(acme: Enterprise, **only: str) -> ApprovalRequest:
    given: dict[str, Any] = {"what": What.PEOPLE, "form": Form.JSONL, "only": only, "case": "C-1"}
    olivia = officer(acme, "olivia")
    waits = requests.ask_for_clear(acme, reason="court order", actor=olivia, **given).waits_for
    assert waits is not None
    return waits


def test_whoever_comes_after_it_was_asked_for_is_not_in_it(acme: Enterprise, people: list[Mapping]) -> None:
    waits = a_clear_export(acme)
    assert ["rows", "", "7"] in waits.difference
    api_cast.a_person(acme, "late@mail.example", "SUB-LATE")
    assert approvals.approve(waits.pk, actor=officer(acme, "omar")).state == "approved"
    export = Export.objects.get()
    while worker.work(export.pk, seconds=0):
        pass
    assert "late@mail.example" not in content(export)
    assert Export.objects.get().rows == 7


def test_other_rows_than_were_asked_for_are_not_approved(acme: Enterprise, people: list[Mapping]) -> None:
    """The number of rows is bound by the digest: what was asked for seven is not done for six."""
    waits = a_clear_export(acme, state="1")
    Mapping.objects.filter(pk=people[0].pk).update(state=2, value=None)
    done = approvals.approve(waits.pk, actor=officer(acme, "omar"))
    assert (done.state, Export.objects.exists()) == ("failed", False)


def test_who_was_in_it_is_known_when_the_file_is_gone(acme: Enterprise, people: list[Mapping]) -> None:
    export = made(acme, clear=True, only={"kind": str(Kind.MOBILE.value)})
    made(acme, only={})
    Export.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    requests.expire()
    [clo] = [one for one in people if one.kind == Kind.MOBILE]

    def sights(mapping: Mapping) -> list[Any]:
        return [line.what for line in timeline.lines(find.of_mapping(mapping), [LineKind.SIGHT], limit=50)]

    assert sights(clo) == [export]
    assert sights(people[0]) == []


def test_what_holds_no_clear_value_needs_no_approval_and_gets_none(acme: Enterprise) -> None:
    logged(acme)
    with pytest.raises(CannotBeDone):
        requests.ask_for_clear(
            acme, what=What.LOG, form=Form.CSV, only={}, case="C-1", reason="x", actor=officer(acme, "olivia")
        )


# -- taking it ----------------------------------------------------------------------------------------------
def test_each_taking_is_counted_and_recorded(acme: Enterprise, people: list[Mapping]) -> None:
    export = made(acme)
    for _ in range(2):
        requests.take(export, actor=OTTO)
    export.refresh_from_db()
    assert export.taken == 2
    events = AuditEvent.objects.filter(action=Action.EXPORT_TAKEN).order_by("pk")
    assert [(one.actor_name, one.details["times"]) for one in events] == [("otto", 1), ("otto", 2)]


def test_after_its_time_it_can_not_be_taken_and_its_rows_are_gone(
    acme: Enterprise, people: list[Mapping]
) -> None:
    export = made(acme)
    Export.objects.filter(pk=export.pk).update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    with pytest.raises(ExportNotReady):
        requests.take(export, actor=OTTO)
    assert requests.expire() == 1
    export.refresh_from_db()
    assert export.state == State.EXPIRED
    assert not ExportSlice.objects.exclude(sealed=None).exists()
    assert AuditEvent.objects.filter(action=Action.EXPORT_EXPIRED, actor_id=SYSTEM.id).count() == 1
    assert requests.expire() == 0
