"""Contacts: one for each subscriber key, the attributes of the highest line, one primary for each mapping."""

import itertools
import uuid
from typing import Any

import pytest
import uuid_utils.compat
from django.db import IntegrityError, transaction
from django.utils import timezone

from tests.tokens.cast import ANA, ANAS_PHONE, BORIS, an_enterprise, email, hold, mobile
from tokens.crypto import key_making, keyring
from tokens.crypto.keyset import DataKey, Purpose
from tokens.errors import BadSubscriberKey, IdentifierAsKey
from tokens.models import AttributeSet, Contact, ContactMapping, Enterprise
from tokens.vault import attributes, contacts
from tokens.vault.contacts import Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Enterprise:
    made = an_enterprise()
    keyring.keyring(made.pk)
    return made


def first_name(key: str) -> str | None:
    attribute_set = Contact.objects.get(subscriber_key=key).attributes
    if attribute_set is None:
        return None
    return (
        str(attribute_set.payload.open()).removeprefix('[{"name":"FirstName","value":"').removesuffix('"}]')
    )


def named(key: str, name: str, line: int = 0) -> Person:
    return Person(key, (("FirstName", name),), line)


def a_job() -> uuid.UUID:
    return uuid_utils.compat.uuid7()


# -- subscriber keys --------------------------------------------------------------------------------------------
def test_each_key_has_one_contact_in_the_order_asked(acme: Enterprise) -> None:
    b, a, again = contacts.upsert(acme, [Person("SUB-B"), Person("SUB-A"), Person("SUB-B")])
    assert b == again
    assert b.is_new
    assert Contact.objects.get(pk=a.contact_id).subscriber_key == "SUB-A"
    [known] = contacts.upsert(acme, [Person("SUB-A")])
    assert known == (a.contact_id, False, False)


def test_keys_differ_by_case_as_marketing_cloud_has_them(acme: Enterprise) -> None:
    upper, lower = contacts.upsert(acme, [Person("SUB-a"), Person("sub-A")])
    assert upper.contact_id != lower.contact_id


def test_enterprises_can_use_the_same_key(acme: Enterprise) -> None:
    [mine] = contacts.upsert(acme, [Person("SUB-1")])
    [theirs] = contacts.upsert(an_enterprise("Other"), [Person("SUB-1")])
    assert mine.contact_id != theirs.contact_id


@pytest.mark.parametrize("key", [ANA, "id:ana@mail.example", "+1 317 555 0101", "+491512345678"])
def test_a_key_that_is_itself_an_identifier_is_refused_with_the_reason(acme: Enterprise, key: str) -> None:
    with pytest.raises(IdentifierAsKey, match="defeats tokenization") as caught:
        contacts.upsert(acme, [Person("SUB-1"), Person(key)])
    assert key not in str(caught.value)
    assert not Contact.objects.filter(enterprise=acme).exists()


def test_an_enterprise_can_accept_such_keys(acme: Enterprise) -> None:
    acme.identifier_keys_allowed = True
    assert contacts.upsert(acme, [Person(ANA)])[0].is_new


@pytest.mark.parametrize("key", ["", "x" * 255, " SUB-1", "SUB\n1", "SUB\x00"])
def test_a_key_that_marketing_cloud_could_not_have_is_refused(acme: Enterprise, key: str) -> None:
    with pytest.raises(BadSubscriberKey):
        contacts.upsert(acme, [Person(key)])


def test_a_derived_key_is_the_same_each_time_and_names_nobody(acme: Enterprise) -> None:
    key = contacts.derived_key(acme, ANA)
    assert key == contacts.derived_key(acme, ANA)
    assert key.startswith("sk-")
    assert key != contacts.derived_key(acme, BORIS) != contacts.derived_key(an_enterprise("Other"), BORIS)
    contacts.check_subscriber_key(acme, key)


# -- attributes -------------------------------------------------------------------------------------------------
def test_the_wire_form_is_what_resolve_sends() -> None:
    pairs = [("LastName", 'Ó "Neill"'), ("FirstName", "Ana")]
    expected = '[{"name":"FirstName","value":"Ana"},{"name":"LastName","value":"Ó \\"Neill\\""}]'
    assert attributes.wire_form(pairs).decode() == expected


def test_in_one_batch_the_highest_line_wins(acme: Enterprise) -> None:
    people = [named("SUB-1", "two", 2), named("SUB-1", "three", 3), named("SUB-1", "one", 1)]
    contacts.upsert(acme, people, job=a_job())
    assert first_name("SUB-1") == "three"


def test_a_line_without_attributes_leaves_them_alone(acme: Enterprise) -> None:
    contacts.upsert(acme, [named("SUB-1", "Ana", 1), Person("SUB-1", None, 2)], job=a_job())
    contacts.upsert(acme, [Person("SUB-1", None, 9)], job=a_job())
    assert first_name("SUB-1") == "Ana"


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
def test_over_chunks_the_highest_line_wins_in_any_order(acme: Enterprise, order: tuple[int, ...]) -> None:
    job = a_job()
    for line in order:
        contacts.upsert(acme, [named("SUB-1", f"line {line}", line)], job=job)
    assert first_name("SUB-1") == "line 3"


def test_a_line_that_says_what_is_known_still_counts(acme: Enterprise) -> None:
    """Line 5 repeats what is on record: line 3, which comes later, must not win over it."""
    contacts.upsert(acme, [named("SUB-1", "Ana", 1)], job=a_job())
    job = a_job()
    contacts.upsert(acme, [named("SUB-1", "Ana", 5)], job=job)
    contacts.upsert(acme, [named("SUB-1", "Anna", 3)], job=job)
    assert first_name("SUB-1") == "Ana"


def test_a_later_job_wins_over_an_earlier_one_whenever_its_chunks_come(acme: Enterprise) -> None:
    earlier, later = a_job(), a_job()
    contacts.upsert(acme, [named("SUB-1", "later", 1)], job=later)
    contacts.upsert(acme, [named("SUB-1", "earlier", 9)], job=earlier)
    assert first_name("SUB-1") == "later"


def test_a_new_version_is_made_only_when_the_content_differs(acme: Enterprise) -> None:
    for name in ("Ana", "Ana", "Anna", "Anna", "Ana"):
        contacts.upsert(acme, [named("SUB-1", name, 1)], job=a_job())
    assert AttributeSet.objects.filter(contact__subscriber_key="SUB-1").count() == 3
    assert first_name("SUB-1") == "Ana"


def test_after_a_rotation_of_the_key_content_is_still_compared(acme: Enterprise) -> None:
    contacts.upsert(acme, [named("SUB-1", "Ana")])
    DataKey.objects.filter(enterprise=acme, purpose=Purpose.ATTRIBUTES).update(is_primary=False)
    key_making.make_key(acme.pk, Purpose.ATTRIBUTES)
    keyring.forget_all()
    contacts.upsert(acme, [named("SUB-1", "Ana")])
    assert AttributeSet.objects.count() == 1


def test_equal_attributes_of_two_people_do_not_look_equal(acme: Enterprise) -> None:
    contacts.upsert(acme, [named("SUB-1", "Ana"), named("SUB-2", "Ana")])
    one, two = AttributeSet.objects.all()
    assert bytes(one.digest or b"") != bytes(two.digest or b"")
    assert one.payload.envelope[-10:] != two.payload.envelope[-10:]


def test_an_erased_contact_keeps_its_key_and_takes_nothing(acme: Enterprise) -> None:
    [known] = contacts.upsert(acme, [Person("SUB-1")])
    Contact.objects.filter(pk=known.contact_id).update(erased_at=timezone.now())
    for person in (Person("SUB-1"), named("SUB-1", "Ana", 1)):
        assert contacts.upsert(acme, [person], job=a_job()) == [(known.contact_id, False, True)]
    assert first_name("SUB-1") is None


# -- links ------------------------------------------------------------------------------------------------------
def test_the_first_contact_linked_is_the_primary_and_stays_it(acme: Enterprise) -> None:
    [shared] = hold(acme, mobile(ANAS_PHONE))
    ana, boris = (one.contact_id for one in contacts.upsert(acme, [Person("SUB-A"), Person("SUB-B")]))
    links = contacts.link(acme, [(shared.mapping_id, boris), (shared.mapping_id, ana)])
    assert links[shared.mapping_id, boris].is_primary
    assert not links[shared.mapping_id, ana].is_primary
    assert contacts.link(acme, [(shared.mapping_id, ana), (shared.mapping_id, boris)]) == links
    assert contacts.primaries(acme, [shared.mapping_id])[shared.mapping_id].subscriber_key == "SUB-B"


def test_the_database_refuses_a_second_primary(acme: Enterprise) -> None:
    [shared] = hold(acme, mobile(ANAS_PHONE))
    ana, boris = (one.contact_id for one in contacts.upsert(acme, [Person("SUB-A"), Person("SUB-B")]))
    contacts.link(acme, [(shared.mapping_id, ana), (shared.mapping_id, boris)])
    with pytest.raises(IntegrityError), transaction.atomic():
        ContactMapping.objects.update(is_primary=True)


def test_a_contact_can_hold_many_values_and_a_value_many_contacts(acme: Enterprise) -> None:
    address, number = hold(acme, email(ANA), mobile(ANAS_PHONE))
    [ana] = contacts.upsert(acme, [Person("SUB-A")])
    [boris] = contacts.upsert(acme, [Person("SUB-B")])
    pairs = [(held.mapping_id, who.contact_id) for held in (address, number) for who in (ana, boris)]
    assert list(contacts.link(acme, pairs)) == pairs
    assert contacts.link(acme, []) == {}


def test_a_value_that_nobody_holds_gets_a_contact_with_a_derived_key(acme: Enterprise) -> None:
    ana, boris = hold(acme, email(ANA), email(BORIS))
    [known] = contacts.upsert(acme, [Person("SUB-B")])
    contacts.link(acme, [(boris.mapping_id, known.contact_id)])
    found = contacts.with_primary(acme, [ana, boris])
    assert found[boris.mapping_id].subscriber_key == "SUB-B"
    assert found[ana.mapping_id].subscriber_key.startswith("sk-")
    assert (found[boris.mapping_id].is_new, found[ana.mapping_id].is_new) == (False, True)
    # Once known, it is answered again, whoever asks.
    known_by_now = found[ana.mapping_id]._replace(is_new=False)
    assert contacts.with_primary(acme, hold(acme, email(ANA))) == {ana.mapping_id: known_by_now}


def test_a_known_value_without_a_contact_gets_one_too(acme: Enterprise) -> None:
    hold(acme, email(ANA))
    [ana] = hold(acme, email(ANA))
    assert contacts.with_primary(acme, [ana])[ana.mapping_id].subscriber_key.startswith("sk-")


# -- what it costs ----------------------------------------------------------------------------------------------
def test_statements_do_not_grow_with_the_batch(acme: Enterprise, django_assert_num_queries: Any) -> None:
    people = [named(f"SUB-{n}", f"Ana {n}", n) for n in range(500)]
    job = a_job()
    with django_assert_num_queries(2):  # contacts, attribute sets
        known = contacts.upsert(acme, people, job=job)
    with django_assert_num_queries(2):  # contacts that are there, their lock
        contacts.upsert(acme, people, job=job)
    with django_assert_num_queries(3):  # the same, and who said so last
        contacts.upsert(acme, people, job=a_job())
    with django_assert_num_queries(4):  # the same, with new sets
        contacts.upsert(acme, [named(f"SUB-{n}", f"Boris {n}", n) for n in range(500)], job=a_job())
    held = hold(acme, *(email(f"person{n}@mail.example") for n in range(500)))
    pairs = [(one.mapping_id, who.contact_id) for one, who in zip(held, known, strict=True)]
    fresh = {one.mapping_id for one in held}
    with django_assert_num_queries(1):
        contacts.link(acme, pairs, fresh=fresh)
    with django_assert_num_queries(1):
        contacts.link(acme, pairs)
    with django_assert_num_queries(1):
        contacts.with_primary(acme, [one._replace(is_new=False) for one in held])
    others = hold(acme, *(email(f"other{n}@mail.example") for n in range(500)))
    with django_assert_num_queries(3):  # who has none, contacts, links
        contacts.with_primary(acme, others)
