"""Enterprises and business units are made and changed by verbs that record what they did."""

import json
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from audit.models import AuditEvent
from tests.tokens.cast import IVAN, an_enterprise
from tokens.crypto.keyset import DataKey, Purpose
from tokens.enterprises import (
    change_business_unit,
    change_enterprise,
    create_business_unit,
    create_enterprise,
)
from tokens.errors import BadEnterprise, NotUnique
from tokens.models import BusinessUnit, Enterprise

pytestmark = pytest.mark.django_db


def make(**changes: Any) -> Enterprise:
    said: dict[str, Any] = {
        "eid": "7000001",
        "name": "Acme",
        "token_domain": "tok.acme.example",
        "actor": IVAN,
    }
    return create_enterprise(**(said | changes))


def test_an_enterprise_comes_with_its_keys_and_an_event() -> None:
    acme = make(token_domain="TOK.Acme.example", sandbox=True)
    assert acme.token_domain == "tok.acme.example"
    assert set(DataKey.objects.filter(enterprise=acme).values_list("purpose", flat=True)) == set(
        Purpose.values
    )
    event = AuditEvent.objects.get(action="enterprise.created")
    assert (event.actor_name, event.enterprise_id, event.target_name) == (IVAN.name, acme.pk, "Acme")
    assert event.details == {"eid": "7000001", "token_domain": "tok.acme.example", "sandbox": True}


@pytest.mark.parametrize(
    "wrong",
    [
        {"eid": ""},
        {"name": ""},
        {"token_domain": "localhost"},
        {"token_domain": "-tok.example"},
        {"token_domain": "tok acme.example"},
        {"token_domain": "x" * 90 + ".acme.example"},
        {"default_region": "GER"},
    ],
)
def test_what_no_enterprise_can_be_is_refused_and_nothing_is_left(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadEnterprise), transaction.atomic():
        make(**wrong)
    assert not Enterprise.objects.exists()
    assert not DataKey.objects.exists()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("same", [{"token_domain": "other.example"}, {"eid": "7000002"}])
def test_eid_and_token_domain_are_nobody_elses(same: dict[str, str]) -> None:
    make()
    with pytest.raises(NotUnique):
        make(**same)


def test_a_change_is_recorded_with_before_and_after_and_no_change_is_not() -> None:
    acme = an_enterprise("Acme")
    changed = change_enterprise(acme, name="Acme 2", mobile_token_digits={"43": 14}, actor=IVAN)
    assert (changed.name, changed.mobile_token_digits) == ("Acme 2", {"43": 14})
    event = AuditEvent.objects.get(action="enterprise.changed")
    assert event.details == {"name": ["Acme", "Acme 2"], "mobile_token_digits": [{}, {"43": 14}]}
    change_enterprise(changed, name="Acme 2", actor=IVAN)
    assert AuditEvent.objects.filter(action="enterprise.changed").count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"residue_days": 40},  # takes a second person: tokens.residue
        {"mobile_token_digits": {"43": 99}},
        {"mobile_token_digits": {"x": 14}},
        {"mobile_token_digits": {"43": json.loads("[" * 900 + "]" * 900)}},
        {"mobile_token_digits": {"43": True}},
        {"mobile_token_digits": [15]},
        {"default_region": "XX"},
    ],
)
def test_what_no_enterprise_can_become_is_refused(wrong: dict[str, Any]) -> None:
    acme = an_enterprise()
    with pytest.raises(BadEnterprise):
        change_enterprise(acme, actor=IVAN, **wrong)
    assert not AuditEvent.objects.filter(action="enterprise.changed").exists()


@pytest.mark.parametrize("fixed", [{"eid": "1"}, {"sandbox": True}, {"token_domain": "other.example"}])
def test_what_is_fixed_at_birth_is_refused_by_the_verb_and_by_the_database(fixed: dict[str, Any]) -> None:
    acme = an_enterprise()
    with pytest.raises(BadEnterprise, match="fixed"):
        change_enterprise(acme, actor=IVAN, **fixed)
    with pytest.raises(DatabaseError), transaction.atomic():
        Enterprise.objects.filter(pk=acme.pk).update(**fixed)


# -- business units ---------------------------------------------------------------------------------------------
def test_units_form_a_tree_and_are_recorded() -> None:
    acme = an_enterprise()
    parent = create_business_unit(acme, mid="1", name="Parent", actor=IVAN)
    child = create_business_unit(acme, mid="2", name="Child", parent=parent, actor=IVAN)
    assert list(parent.children.all()) == [child]
    events = AuditEvent.objects.filter(action="business-unit.created").order_by("id")
    assert [event.details for event in events] == [
        {"mid": "1", "name": "Parent", "parent": None},
        {"mid": "2", "name": "Child", "parent": "1"},
    ]


def test_a_mid_is_used_once_in_an_enterprise() -> None:
    acme = an_enterprise()
    create_business_unit(acme, mid="1", name="Parent", actor=IVAN)
    with pytest.raises(NotUnique):
        create_business_unit(acme, mid="1", name="Again", actor=IVAN)
    create_business_unit(an_enterprise("Other"), mid="1", name="Theirs", actor=IVAN)


def test_a_unit_cannot_stand_below_itself_or_in_another_enterprise() -> None:
    acme, other = an_enterprise(), an_enterprise("Other")
    parent = create_business_unit(acme, mid="1", name="Parent", actor=IVAN)
    child = create_business_unit(acme, mid="2", name="Child", parent=parent, actor=IVAN)
    with pytest.raises(BadEnterprise, match="below itself"):
        change_business_unit(parent, name="Parent", parent=child, actor=IVAN)
    with pytest.raises(BadEnterprise, match="another enterprise"):
        create_business_unit(other, mid="3", name="Stray", parent=parent, actor=IVAN)


def test_a_unit_is_renamed_and_moved() -> None:
    acme = an_enterprise()
    first = create_business_unit(acme, mid="1", name="First", actor=IVAN)
    second = create_business_unit(acme, mid="2", name="Second", actor=IVAN)
    change_business_unit(second, name="Second", parent=first, actor=IVAN)
    change_business_unit(second, name="Second", parent=first, actor=IVAN)
    assert BusinessUnit.objects.get(mid="2").parent == first
    event = AuditEvent.objects.get(action="business-unit.changed")
    assert event.details == {"parent_id": [None, first.pk]}


def test_enterprises_are_never_deleted_by_the_app() -> None:
    acme = an_enterprise()
    with pytest.raises((DatabaseError, IntegrityError)), transaction.atomic():
        Enterprise.objects.filter(pk=acme.pk)._raw_delete("default")
