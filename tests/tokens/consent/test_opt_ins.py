"""Later consent lifts opt-outs: with evidence, by two people, and never one that was asked for since (P10)."""

import datetime
import uuid
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.approvals import acts, requests
from audit.approvals.requests import Outcome
from audit.models import ApprovalRequest, AuditEvent
from audit.vocabulary import Action
from tests.conftest import OwnDatabase
from tests.tokens.cast import ANA, BORIS, IVAN, OLGA, an_enterprise, mapping_of
from tests.tokens.racing import race
from tokens.consent import opt_ins
from tokens.consent.opt_outs import record_opt_out
from tokens.errors import BadOptIn
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, Suppression, Unsubscribe

database = pytest.mark.django_db
ASKED = datetime.datetime(2026, 11, 10, 9, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
FILED = {"evidence": "double opt-in, file DOI-2026-7", "reason": "She signed up again."}


@pytest.fixture(autouse=True)
def _everybody_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may ask and decide is the portal's matter."""
    monkeypatch.setattr(acts._outside, "may", lambda *_: True)


@pytest.fixture
def acme(db: None) -> Enterprise:
    return an_enterprise()


def opted_out(enterprise: Enterprise, number: int = 1, **changes: Any) -> ConsentEvent:
    said: dict[str, Any] = {
        "kind": Kind.EMAIL,
        "raw_value": ANA,
        "source": ConsentEvent.Source.OFFICER,
        "source_id": f"letter {number}",
        "occurred_at": ASKED,
        "actor": OLGA,
    } | changes
    return record_opt_out(enterprise, **said)


def asked(opt_out: ConsentEvent, *, consented_at: datetime.datetime = ASKED + DAY) -> Outcome:
    return opt_ins.ask(opt_out, consented_at=consented_at, actor=OLGA, **FILED)


def lifted(opt_out: ConsentEvent, *, consented_at: datetime.datetime = ASKED + DAY) -> ApprovalRequest:
    waits = asked(opt_out, consented_at=consented_at).waits_for
    assert waits is not None
    return requests.approve(waits.pk, actor=IVAN)


def is_blocked(opt_out: ConsentEvent) -> bool:
    return Suppression.objects.filter(
        enterprise=opt_out.enterprise_id, kind=opt_out.kind, blind_index=opt_out.blind_index
    ).exists()


@database
def test_nothing_is_lifted_before_a_second_person_approves(acme: Enterprise) -> None:
    opt_out = opted_out(acme)
    waits = asked(opt_out).waits_for
    assert waits is not None
    assert is_blocked(opt_out)
    requests.approve(waits.pk, actor=IVAN)
    assert not is_blocked(opt_out)
    opt_in = ConsentEvent.objects.get(action="opt-in")
    assert (opt_in.lifts, opt_in.source_id) == ([opt_out.pk], f"approval:{waits.pk}")
    assert AuditEvent.objects.filter(action=Action.OPTED_IN, target_id=str(opt_in.pk)).exists()


@database
def test_its_unsubscribe_ends_with_it(acme: Enterprise) -> None:
    opt_out = opted_out(acme)
    lifted(opt_out)
    row = Unsubscribe.objects.get(event=opt_out)
    assert (row.state, row.proof) == (Unsubscribe.State.CLOSED, Unsubscribe.Proof.CONSENT)


@database
def test_every_older_opt_out_of_the_channel_goes_and_no_later_one(acme: Enterprise) -> None:
    mapping_of(acme, ANA)
    older, newer = opted_out(acme, 1), opted_out(acme, 2, occurred_at=ASKED + 2 * DAY)
    other = opted_out(acme, 3, raw_value=BORIS)
    done = lifted(older)
    assert "stays blocked" in done.blast_radius
    assert ConsentEvent.objects.get(action="opt-in").lifts == [older.pk]
    assert is_blocked(newer)
    assert is_blocked(other)
    assert "is resolved again" in lifted(newer, consented_at=ASKED + 3 * DAY).blast_radius
    assert not is_blocked(newer)
    assert is_blocked(other)


@database
def test_an_opt_out_that_arrives_before_the_decision_makes_it_void(acme: Enterprise) -> None:
    opt_out = opted_out(acme)
    waits = asked(opt_out).waits_for
    assert waits is not None
    opted_out(acme, 2)  # asked for before the consent too, and so not what was approved
    assert requests.approve(waits.pk, actor=IVAN).state == ApprovalRequest.State.FAILED
    assert is_blocked(opt_out)


@database
def test_it_can_be_opted_out_again(acme: Enterprise) -> None:
    opt_out = opted_out(acme)
    lifted(opt_out)
    assert is_blocked(opted_out(acme, 2, occurred_at=ASKED + 5 * DAY))


@database
@pytest.mark.parametrize(
    "changes",
    [
        {"evidence": " "},
        {"evidence": f"mail of {ANA}"},
        {"consented_at": ASKED},
        {"consented_at": ASKED - DAY},
        {"consented_at": timezone.now() + DAY},
    ],
)
def test_consent_is_later_evidenced_and_names_nobody(acme: Enterprise, changes: dict[str, Any]) -> None:
    opt_out = opted_out(acme)
    with pytest.raises(BadOptIn) as refused:
        opt_ins.ask(opt_out, **({"consented_at": ASKED + DAY, "actor": OLGA} | FILED | changes))
    assert ANA not in str(refused.value)
    assert not ApprovalRequest.objects.exists()


# -- what the database holds for the app's own role ---------------------------------------------------------
@database
def test_the_app_cannot_take_a_suppression_away_while_an_opt_out_is_in_force(acme: Enterprise) -> None:
    opt_out = opted_out(acme)
    with pytest.raises(DatabaseError, match="in force"), transaction.atomic():
        Suppression.objects.all().delete()
    assert is_blocked(opt_out)


@database
def test_a_temporary_table_of_the_same_name_blinds_no_trigger(acme: Enterprise) -> None:
    opt_out = opted_out(acme)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE tokens_consentevent (LIKE public.tokens_consentevent)")
        with pytest.raises(DatabaseError, match="in force"), transaction.atomic():
            cursor.execute("DELETE FROM tokens_suppression")
        cursor.execute("DROP TABLE pg_temp.tokens_consentevent")
    assert is_blocked(opt_out)


def planted(opt_out: ConsentEvent, **changes: Any) -> ConsentEvent:
    facts: dict[str, Any] = {
        "id": uuid.uuid4(),
        "enterprise_id": opt_out.enterprise_id,
        "kind": opt_out.kind,
        "action": "opt-in",
        "index_version": opt_out.index_version,
        "blind_index": opt_out.blind_index,
        "source": "officer",
        "source_id": "approval:none",
        "occurred_at": ASKED + DAY,
        "lifts": [opt_out.pk],
    }
    return ConsentEvent(**(facts | changes))


@database
def test_the_app_cannot_plant_an_opt_in_without_approval(acme: Enterprise) -> None:
    opt_out, other = opted_out(acme), opted_out(acme, 2, raw_value=BORIS)
    waits = asked(opt_out).waits_for
    assert waits is not None
    for source_id in ("approval:none", f"approval:{waits.pk}", "sandbox:1"):
        with pytest.raises(DatabaseError, match="second person"), transaction.atomic():
            planted(opt_out, source_id=source_id).save(force_insert=True)
    done = requests.approve(waits.pk, actor=IVAN)
    with pytest.raises(DatabaseError, match="second person"), transaction.atomic():
        planted(other, source_id=f"approval:{done.pk}").save(force_insert=True)
    # Neither with strangers beside the one that was approved, nor under the name of another source.
    both = planted(opt_out, source_id=f"approval:{done.pk}", lifts=[opt_out.pk, other.pk])
    with pytest.raises(DatabaseError, match="second person"), transaction.atomic():
        both.save(force_insert=True)
    with pytest.raises(DatabaseError, match="officers"), transaction.atomic():
        planted(opt_out, source_id=f"approval:{done.pk}", source="file").save(force_insert=True)


@database
def test_the_time_of_an_extract_is_a_guess_and_so_a_consent_must_be_clearly_later(acme: Enterprise) -> None:
    opt_out = opted_out(acme, source=ConsentEvent.Source.NO_TOKEN_QUEUE)
    with pytest.raises(BadOptIn, match="twelve hours"):
        asked(opt_out, consented_at=ASKED + datetime.timedelta(hours=11))
    assert asked(opt_out, consented_at=ASKED + datetime.timedelta(hours=13)).waits_for


@database
@pytest.mark.parametrize("source", [ConsentEvent.Source.FILE, ConsentEvent.Source.BOUNCE])
def test_a_file_tells_a_day_and_who_opted_out_that_evening_stays_blocked(
    acme: Enterprise, source: ConsentEvent.Source
) -> None:
    day = ASKED.replace(hour=0)
    opt_out = opted_out(acme, source=source, occurred_at=day)
    for hours in (9, 24, 35):  # she consented that morning, or that day far west of where the file says
        with pytest.raises(BadOptIn, match="36"):
            asked(opt_out, consented_at=day + datetime.timedelta(hours=hours))
    assert asked(opt_out, consented_at=day + datetime.timedelta(hours=37)).waits_for


@database
@pytest.mark.parametrize(
    "changes", [{"kind": 2}, {"occurred_at": ASKED - DAY}, {"lifts": [uuid.UUID(int=7)]}]
)
def test_not_even_in_a_sandbox_an_opt_in_lifts_what_is_not_its_own(changes: dict[str, Any]) -> None:
    opt_out = opted_out(an_enterprise(sandbox=True))
    with pytest.raises(DatabaseError, match="nothing else"), transaction.atomic():
        planted(opt_out, **changes).save(force_insert=True)


@database
def test_rows_are_locked_in_the_order_in_which_sets_write_them(acme: Enterprise) -> None:
    waits = asked(opted_out(acme)).waits_for
    assert waits is not None
    with CaptureQueriesContext(connection) as asked_for:
        requests.approve(waits.pk, actor=IVAN)
    locks = [
        one["sql"]
        for one in asked_for
        if 'FROM "tokens_suppression"' in one["sql"] and "FOR UPDATE" in one["sql"]
    ]
    assert locks
    assert all('ORDER BY "tokens_suppression"."blind_index" ASC' in one for one in locks)


# -- at the same moment -------------------------------------------------------------------------------------
def test_an_opt_out_at_the_moment_of_the_decision_is_never_lost(
    own_database: OwnDatabase,
) -> None:
    acme = an_enterprise()
    for number in range(6):
        spelling = f"p{number}@mail.example"
        opt_out = opted_out(acme, number, raw_value=spelling)
        waits = asked(opt_out).waits_for
        assert waits is not None
        both = iter(
            [
                lambda waits=waits: requests.approve(waits.pk, actor=IVAN),
                lambda number=number, spelling=spelling: opted_out(
                    acme, 100 + number, raw_value=spelling, occurred_at=timezone.now()
                ),
            ]
        )
        assert race(2, lambda _, both=both: next(both)())[1] == []
        assert is_blocked(opt_out)
        assert opt_ins.state_of_person(opt_out).is_blocked
