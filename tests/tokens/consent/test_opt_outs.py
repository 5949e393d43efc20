"""Recording an opt-out: event, suppression and trail, once for each event of its source (decision 9)."""

import datetime
import random
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.models import AuditEvent, SealQueueEntry
from tests.conftest import OwnDatabase
from tests.tokens.cast import ANA, ANAS_PHONE, BORIS, OLGA, an_enterprise, mapping_of
from tests.tokens.racing import race
from tokens.consent.opt_outs import OptOut, Recorded, record_opt_out, record_opt_outs
from tokens.crypto import key_making, keyring
from tokens.crypto.keyset import DataKey, IndexVersion, Purpose
from tokens.errors import AmbiguousNumber, BadOptOut, SourceIdReused, UnknownToken
from tokens.formats.kinds import Kind
from tokens.formats.reasons import InvalidValue
from tokens.models import ConsentEvent, Enterprise, Mapping, Suppression
from tokens.models.mappings import State
from tokens.vault import find

YESTERDAY = datetime.datetime(2026, 11, 20, 9, 30, tzinfo=datetime.UTC)
database = pytest.mark.django_db


def opt_out(enterprise: Enterprise, **changes: Any) -> ConsentEvent:
    said: dict[str, Any] = {
        "kind": Kind.EMAIL,
        "raw_value": ANA,
        "source": ConsentEvent.Source.OFFICER,
        "source_id": "letter 1",
        "occurred_at": YESTERDAY,
        "actor": OLGA,
    } | changes
    return record_opt_out(enterprise, **said)


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise()


def is_blocked(enterprise: Enterprise, raw: str = ANA) -> bool:
    """As Resolve asks it: by the blind indexes of the mapping."""
    mapping = mapping_of(enterprise, raw)
    indexes = [mapping.blind_index_0, mapping.blind_index_1]
    return Suppression.objects.filter(
        enterprise=enterprise, kind=mapping.kind, blind_index__in=indexes
    ).exists()


@database
def test_it_blocks_from_then_on_and_leaves_an_event_and_a_trail(acme: Enterprise) -> None:
    assert not is_blocked(acme)
    event = opt_out(acme, evidence="She wrote to us.", law="GDPR")
    assert is_blocked(acme)
    assert (event.actor_id, event.occurred_at, event.law) == (OLGA.id, YESTERDAY, "GDPR")
    assert ConsentEvent.objects.get(pk=event.pk).evidence.open() == "She wrote to us."
    trail = AuditEvent.objects.get(action="consent.opted-out")
    assert (trail.actor_id, trail.enterprise_id, trail.target_id) == (OLGA.id, acme.pk, str(event.pk))
    assert trail.details["channel"] == "email"


@database
def test_neither_event_nor_trail_hold_the_person_in_clear(acme: Enterprise) -> None:
    opt_out(acme, evidence=f"From: {ANA}")
    with connection.cursor() as cursor:
        for table in ("tokens_consentevent", "tokens_suppression", "audit_auditevent"):
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM {table} t")
            text = cursor.fetchone()[0].lower()
            assert "ana@" not in text
            assert b"ana@".hex() not in text


@database
def test_somebody_whom_nobody_knows_can_opt_out_before_they_have_a_token(acme: Enterprise) -> None:
    opt_out(acme, raw_value=BORIS)
    assert not Mapping.objects.exists()
    assert is_blocked(acme, BORIS)


@database
def test_an_opt_out_concerns_its_channel_and_enterprise_alone(acme: Enterprise) -> None:
    opt_out(acme, kind=Kind.MOBILE, raw_value=ANAS_PHONE)
    assert is_blocked(acme, ANAS_PHONE)
    assert not is_blocked(acme, ANA)
    assert not is_blocked(an_enterprise("Other"), ANAS_PHONE)


@database
def test_by_mapping_also_an_erased_one_can_opt_out(acme: Enterprise) -> None:
    ana = mapping_of(acme, ANA)
    Mapping.objects.filter(pk=ana.pk).update(state=State.ERASED, value=None)
    opt_out(acme, raw_value=None, mapping=Mapping.objects.get(pk=ana.pk))
    assert is_blocked(acme)


@database
def test_the_block_outlives_erasure_and_renewal(acme: Enterprise) -> None:
    ana = mapping_of(acme, ANA)
    opt_out(acme, raw_value=None, mapping=ana)
    Mapping.objects.filter(pk=ana.pk).update(state=State.ERASED, value=None)
    Mapping.objects.filter(pk=ana.pk).update(state=State.SUPERSEDED)
    assert mapping_of(acme, ANA).pk != ana.pk
    assert is_blocked(acme)


@database
@pytest.mark.parametrize("given_by", ["value", "mapping"])
def test_it_blocks_under_every_live_index_version(acme: Enterprise, given_by: str) -> None:
    ana = mapping_of(acme, ANA)
    DataKey.objects.filter(enterprise=acme, purpose=Purpose.INDEX).update(is_primary=False)
    key = key_making.make_key(acme.pk, Purpose.INDEX)
    # This process has not heard of version 2 yet.
    IndexVersion.objects.create(enterprise=acme, number=2, normalisation=1, key=key)
    assert len(keyring.keyring(acme.pk).live_versions()) == 1
    event = opt_out(acme, **({"raw_value": None, "mapping": ana} if given_by == "mapping" else {}))
    assert set(Suppression.objects.values_list("index_version", flat=True)) == {1, 2}
    assert event.index_version == 2
    assert is_blocked(acme)


# -- narrower scopes --------------------------------------------------------------------------------------------
@database
def test_a_narrower_scope_is_recorded_and_does_not_block_resolve(acme: Enterprise) -> None:
    event = opt_out(acme, scope=ConsentEvent.Scope.BUSINESS_UNIT, scope_id="500000002")
    assert not is_blocked(acme)
    found = find.by_value(acme, Kind.EMAIL, ANA)
    assert found.consent.opt_outs == (event,)
    assert not found.consent.is_blocked


@database
@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": ConsentEvent.Scope.BUSINESS_UNIT},
        {"scope_id": "500000002"},
        {"source_id": ""},
        {"raw_value": None},
    ],
)
def test_what_is_incomplete_is_refused(acme: Enterprise, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadOptOut):
        opt_out(acme, **wrong)


@database
def test_a_mapping_of_another_enterprise_or_channel_is_refused(acme: Enterprise) -> None:
    for mapping in (mapping_of(an_enterprise("Other"), ANA), mapping_of(acme, ANAS_PHONE)):
        with pytest.raises(BadOptOut):
            opt_out(acme, raw_value=None, mapping=mapping)


@database
def test_a_number_of_a_machine_begins_with_its_country_whatever_the_enterprises_own(acme: Enterprise) -> None:
    acme.default_region = "US"
    opt_out(acme, kind=Kind.MOBILE, raw_value="6595550123")
    assert is_blocked(acme, "+6595550123")
    assert not is_blocked(acme, "+16595550123")


@database
@pytest.mark.parametrize(
    ("typed", "home"), [("0151 23456789", "DE"), ("4915123456789", "DE"), ("+4915123456789", "US")]
)
def test_a_number_that_somebody_typed_is_read_as_they_meant_it(
    acme: Enterprise, typed: str, home: str
) -> None:
    opt_out(acme, kind=Kind.MOBILE, raw_value=typed, home=home)
    assert is_blocked(acme, "+4915123456789")


@database
def test_a_typed_number_that_can_be_two_peoples_is_refused_until_it_has_a_plus(acme: Enterprise) -> None:
    with pytest.raises(AmbiguousNumber, match="plus") as caught:
        opt_out(acme, kind=Kind.MOBILE, raw_value="6595550123", home="US")
    assert "659" not in str(caught.value)
    opt_out(acme, kind=Kind.MOBILE, raw_value="+1 6595550123", home="US")
    assert is_blocked(acme, "+16595550123")
    assert not is_blocked(acme, "+6595550123")


@database
def test_a_token_with_a_slip_is_not_taken_for_somebodys_address(acme: Enterprise) -> None:
    with pytest.raises(UnknownToken, match="slip"):
        opt_out(acme, raw_value=f" {'q' * 26}@{acme.token_domain.upper()}")
    assert not ConsentEvent.objects.exists()


@database
def test_by_mapping_a_number_stays_what_it_is(acme: Enterprise) -> None:
    """Its digits must not be read as dialled at home."""
    acme.default_region = "DE"
    acme.save(update_fields=["default_region"])
    boris = mapping_of(acme, "+4915123456789")
    opt_out(acme, raw_value=None, kind=Kind.MOBILE, mapping=Mapping.objects.get(pk=boris.pk), home="DE")
    assert Suppression.objects.count() == 1
    assert is_blocked(acme, "+4915123456789")


@database
def test_what_is_no_address_is_refused_without_being_repeated(acme: Enterprise) -> None:
    with pytest.raises(InvalidValue) as caught:
        opt_out(acme, raw_value="ana at mail")
    assert "ana" not in str(caught.value)


# -- once ---------------------------------------------------------------------------------------------------------
@database
def test_what_a_source_sends_twice_counts_once(acme: Enterprise) -> None:
    first = opt_out(acme)
    again = opt_out(acme, raw_value=ANA.upper(), evidence="sent again")
    assert again == first
    assert ConsentEvent.objects.count() == Suppression.objects.count() == 1
    assert AuditEvent.objects.filter(action="consent.opted-out").count() == 1


@database
@pytest.mark.parametrize(
    "other",
    [
        {"raw_value": BORIS},
        {"kind": Kind.MOBILE, "raw_value": ANAS_PHONE},
        {"scope": "short-code", "scope_id": "1"},
    ],
)
def test_an_id_that_was_used_for_something_else_is_an_error_and_no_opt_out_is_lost_in_silence(
    acme: Enterprise, other: dict[str, Any]
) -> None:
    opt_out(acme)
    with pytest.raises(SourceIdReused):
        opt_out(acme, **other)


@database
def test_sources_and_enterprises_number_their_events_as_they_like(acme: Enterprise) -> None:
    first = opt_out(acme)
    assert opt_out(acme, source=ConsentEvent.Source.BOUNCE) != first
    assert opt_out(an_enterprise("Other")) != first


@database
@settings(max_examples=12)
@given(st.data())
def test_any_order_and_repetition_of_what_sources_send_gives_the_same_state(data: st.DataObject) -> None:
    acme = an_enterprise()
    scopes = [("enterprise", ""), ("business-unit", "500000002"), ("short-code", "46356")]
    sent = [
        {"source_id": str(n), "raw_value": raw, "scope": scope, "scope_id": scope_id}
        for n, (raw, (scope, scope_id)) in enumerate(
            [(ANA, s) for s in scopes] + [(BORIS, s) for s in scopes]
        )
    ]
    chosen = data.draw(st.lists(st.sampled_from(sent), max_size=12))
    for said in chosen:
        opt_out(acme, **said)
    for raw in (ANA, BORIS):
        ids = {said["source_id"] for said in chosen if said["raw_value"] == raw}
        state = find.by_value(acme, Kind.EMAIL, raw).consent
        assert {event.source_id for event in state.opt_outs} == ids
        assert state.is_blocked == is_blocked(acme, raw) == bool(ids & {"0", "3"})


def test_events_are_never_changed_not_even_by_the_owner(own_database: OwnDatabase) -> None:
    event = opt_out(an_enterprise())
    for alias in ("default", "owner"):
        for act in ("UPDATE tokens_consentevent SET action = 'opt-in'", "DELETE FROM tokens_consentevent"):
            with pytest.raises(DatabaseError), transaction.atomic(using=alias):
                connections[alias].cursor().execute(act)
    assert ConsentEvent.objects.get().action == event.action == ConsentEvent.Action.OPT_OUT


def test_many_who_record_the_same_sets_at_once_in_any_order_record_each_event_once(
    own_database: OwnDatabase,
) -> None:
    """Events and people are locked in an order of their own, so nobody waits in a circle."""
    acme = an_enterprise()

    def source(dice: random.Random) -> list[Recorded]:
        said = [
            OptOut(kind=Kind.EMAIL, raw_value=f"p{number % 7}@mail.example", source="file", source_id=f"line {number}",
                   occurred_at=YESTERDAY)
            for number in dice.sample(range(40), 40)
        ]  # fmt: skip
        return [one for at in (0, 20) for one in record_opt_outs(acme, said[at : at + 20], actor=OLGA)]

    recorded, errors = race(12, source)
    assert errors == []
    assert ConsentEvent.objects.count() == len({one.event_id for found in recorded for one in found}) == 40
    assert sum(one.is_new for found in recorded for one in found) == 40
    trail = list(AuditEvent.objects.filter(action="consent.opted-out").values_list("pk", flat=True))
    assert len(trail) == SealQueueEntry.objects.using("owner").filter(entry_id__in=trail).count() == 40
    assert Suppression.objects.count() == 7
