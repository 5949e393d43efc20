"""Finding a person by exact clear value or token, and the exchanges that touched them."""

import datetime
import uuid

import pytest
import uuid_utils.compat
from django.db import connection
from django.utils import timezone

from audit import payload_log
from audit.models import Api, Direction, Outcome
from audit.payload_log import Exchange
from tests.tokens.cast import ANA, ANAS_PHONE, BORIS, OLGA, an_enterprise, email, hold, mapping_of, mobile
from tokens.consent.opt_outs import record_opt_out
from tokens.crypto import key_making, keyring
from tokens.crypto.keyset import DataKey, IndexVersion, Purpose
from tokens.formats.kinds import Kind
from tokens.formats.reasons import InvalidValue
from tokens.models import ConsentEvent, Enterprise, Mapping
from tokens.models.mappings import State
from tokens.vault import contacts, find

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise()


def exchange(enterprise: Enterprise, *, links: list[int] = [], blind_indexes: list[bytes] = []) -> uuid.UUID:  # noqa: B006
    entry = Exchange(
        id=uuid_utils.compat.uuid7(),
        at=timezone.now(),
        direction=Direction.INBOUND,
        api=Api.RESOLVE,
        status=200,
        outcome=Outcome.COMPLETE,
        enterprise_id=enterprise.pk,
        links=links,
        blind_indexes=blind_indexes,
    )
    payload_log.record(entry)
    return entry.id


def opt_out(enterprise: Enterprise, raw: str) -> ConsentEvent:
    return record_opt_out(
        enterprise,
        kind=Kind.EMAIL,
        raw_value=raw,
        source=ConsentEvent.Source.OFFICER,
        source_id=str(uuid.uuid4()),
        occurred_at=timezone.now() - datetime.timedelta(days=1),
        actor=OLGA,
    )


@pytest.mark.parametrize("pasted", [ANA, "  ANA@MAIL.EXAMPLE ", "ana@mail.example"])
def test_a_person_is_found_by_any_spelling_of_the_address(acme: Enterprise, pasted: str) -> None:
    ana = mapping_of(acme, ANA)
    found = find.search(acme, pasted)
    assert found is not None
    assert found.mapping == ana
    assert found.kind == Kind.EMAIL


def test_a_number_is_found_as_people_write_it() -> None:
    acme = an_enterprise(default_region="US")
    ana = mapping_of(acme, ANAS_PHONE)
    for pasted in ("+1 (317) 555-0101", "13175550101", "317 555 0101", "001 317 555 0101"):
        found = find.search(acme, pasted)
        assert found is not None
        assert found.mapping == ana


def test_of_two_readings_of_a_number_the_one_on_record_is_found() -> None:
    acme = an_enterprise(default_region="US")
    for known in ("+6595550123", "+16595550123"):
        mapping = mapping_of(acme, known)
        found = find.search(acme, "6595550123")
        assert found is not None
        assert found.mapping == mapping
        Mapping.objects.filter(pk=mapping.pk).update(state=State.SUPERSEDED)


def test_a_token_is_found_in_any_case(acme: Enterprise) -> None:
    for mapping in (mapping_of(acme, ANA), mapping_of(acme, ANAS_PHONE)):
        found = find.search(acme, f" {mapping.token.upper()} ")
        assert found is not None
        assert found.mapping == mapping


def test_nobody_is_found_by_a_part_or_in_another_enterprise(acme: Enterprise) -> None:
    ana = mapping_of(acme, ANA)
    for pasted in ("ana", "@mail.example", "ana@", ana.token[:-1], "%", "", "\x00", "ana@mail.example'"):
        found = find.search(acme, pasted)
        assert found is None or found.mapping is None
    other = find.search(an_enterprise("Other"), ANA)
    assert other is not None
    assert not other.is_known
    assert find.by_token(an_enterprise("Third"), ana.token) is None


def test_what_is_no_value_of_that_kind_is_refused(acme: Enterprise) -> None:
    with pytest.raises(InvalidValue):
        find.by_value(acme, Kind.MOBILE, ANA)


def test_the_contacts_of_a_value_come_with_it_the_primary_first(acme: Enterprise) -> None:
    [held] = hold(acme, mobile(ANAS_PHONE))
    known = contacts.upsert(acme, [contacts.Person("SUB-B"), contacts.Person("SUB-A")])
    contacts.link(acme, [(held.mapping_id, one.contact_id) for one in known])
    found = find.search(acme, ANAS_PHONE)
    assert found is not None
    assert [link.contact.subscriber_key for link in found.links] == ["SUB-B", "SUB-A"]
    assert found.links[0].is_primary


def test_an_opt_out_is_seen_by_value_and_by_token_and_without_any_mapping(acme: Enterprise) -> None:
    ana = mapping_of(acme, ANA)
    for raw in (ANA, BORIS):
        event = opt_out(acme, raw)
        found = find.search(acme, raw)
        assert found is not None
        assert found.consent.opt_outs == (event,)
        assert found.is_known
    by_token = find.by_token(acme, ana.token)
    assert by_token is not None
    assert by_token.consent.is_blocked


def test_an_erased_person_is_still_found(acme: Enterprise) -> None:
    ana = mapping_of(acme, ANA)
    opt_out(acme, ANA)
    Mapping.objects.filter(pk=ana.pk).update(state=State.ERASED, value=None)
    for pasted in (ANA, ana.token):
        found = find.search(acme, pasted)
        assert found is not None
        assert found.mapping == ana
        assert found.consent.is_blocked


def test_a_superseded_mapping_is_found_by_its_token_and_the_new_one_by_the_value(acme: Enterprise) -> None:
    old = mapping_of(acme, ANA)
    Mapping.objects.filter(pk=old.pk).update(state=State.SUPERSEDED)
    new = mapping_of(acme, ANA)
    by_value, by_token = find.search(acme, ANA), find.search(acme, old.token)
    assert by_value is not None
    assert by_token is not None
    assert (by_value.mapping, by_token.mapping) == (new, old)


def test_a_person_is_found_under_an_older_index_version(acme: Enterprise) -> None:
    ana = mapping_of(acme, ANA)
    event = opt_out(acme, ANA)
    DataKey.objects.filter(enterprise=acme, purpose=Purpose.INDEX).update(is_primary=False)
    key = key_making.make_key(acme.pk, Purpose.INDEX)
    IndexVersion.objects.create(enterprise=acme, number=2, normalisation=1, key=key)
    keyring.forget_all()
    found = find.search(acme, ANA)
    assert found is not None
    assert found.mapping == ana
    assert found.consent.opt_outs == (event,)


def test_exchanges_are_found_by_contact_and_by_blind_index_the_newest_first(acme: Enterprise) -> None:
    ana = mapping_of(acme, ANA)
    [known] = contacts.upsert(acme, [contacts.Person("SUB-A")])
    [link] = contacts.link(acme, [(ana.pk, known.contact_id)]).values()
    index = keyring.keyring(acme.pk).blind_index(Kind.EMAIL, "ana@mail.example")
    before_she_was_known = exchange(acme, blind_indexes=[b"x" * 32, index])
    exchange(acme, links=[link.link_id + 1], blind_indexes=[b"y" * 32])
    exchange(an_enterprise("Other"), links=[link.link_id], blind_indexes=[index])
    resolved = exchange(acme, links=[link.link_id - 1, link.link_id])
    found = find.search(acme, ANA)
    assert found is not None
    assert [entry.pk for entry in find.exchanges_of(acme, found)] == [resolved, before_she_was_known]
    assert find.exchanges_of(acme, ana).count() == 2
    assert [entry.pk for entry in find.exchanges_of(acme, ana).filter(id__lt=resolved)] == [
        before_she_was_known
    ]


def test_exchanges_of_a_value_without_a_mapping_are_found_too(acme: Enterprise) -> None:
    index = keyring.keyring(acme.pk).blind_index(Kind.EMAIL, BORIS)
    entry = exchange(acme, blind_indexes=[index])
    found = find.by_value(acme, Kind.EMAIL, BORIS)
    assert [one.pk for one in find.exchanges_of(acme, found)] == [entry]


def test_a_search_leaves_no_clear_value_in_the_statements(acme: Enterprise, settings: object) -> None:
    mapping_of(acme, ANA)
    connection.force_debug_cursor = True
    connection.queries_log.clear()
    try:
        find.search(acme, ANA)
        hold(acme, email(ANA), mobile(ANAS_PHONE))
        opt_out(acme, BORIS)
        statements = " ".join(query["sql"] for query in connection.queries).lower()
    finally:
        connection.force_debug_cursor = False
    assert "tokens_mapping" in statements
    for secret in ("ana@mail", "boris@", "3175550101"):
        assert secret not in statements


def test_what_was_found_does_not_show_its_index() -> None:
    found = find.by_value(an_enterprise(), Kind.EMAIL, ANA)
    assert "blind_indexes" not in repr(found)
