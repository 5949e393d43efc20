"""The one encrypted field: opaque when read, strict when written, closed to everything else (decision 2)."""

import copy
import json
import pickle
from typing import Any

import pytest
from django.core import serializers
from django.core.exceptions import FieldError
from django.db import DatabaseError, connection, models, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Upper
from django.forms import modelform_factory
from django.template import Context, Template

from tests.tokens.cast import ANA, BORIS, an_enterprise, email, hold, mapping_of
from tokens.crypto import envelope
from tokens.crypto.errors import CannotOpen, NotSealed
from tokens.crypto.fields import MASK, Clear, Sealed, SealedTextField
from tokens.crypto.keyset import DataKey, Purpose
from tokens.models import AttributeSet, Contact, Enterprise, Mapping

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise()


@pytest.fixture
def ana(acme: Enterprise) -> Mapping:
    return mapping_of(acme, ANA)


@pytest.fixture
def boris(acme: Enterprise) -> Mapping:
    return mapping_of(acme, BORIS)


def stored(mapping: Mapping) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM tokens_mapping WHERE id = %s", [mapping.pk])
        return bytes(cursor.fetchone()[0])


def plant(mapping: Mapping, planted: bytes) -> Mapping:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tokens_mapping SET value = %s WHERE id = %s", [planted, mapping.pk])
    return Mapping.objects.get(pk=mapping.pk)


def refused(mapping: Mapping) -> bool:
    with pytest.raises(CannotOpen) as caught:
        mapping.value.open()
    assert "@" not in str(caught.value)
    return True


# -- what is read -----------------------------------------------------------------------------------------------
def test_a_value_opens_on_purpose(ana: Mapping) -> None:
    assert isinstance(ana.value, Sealed)
    assert ana.value.open() == ANA


def test_nothing_shows_a_value_by_accident(ana: Mapping) -> None:
    shown = [str(ana.value), repr(ana.value), f"{ana.value}", f"{ana.value!r}"]
    shown.append(Template("{{ ana.value }}").render(Context({"ana": ana})))
    shown += [str(Clear(ANA)), repr(Clear(ANA)), repr(ana.__dict__["value"])]
    assert set(shown) == {MASK}


@pytest.mark.parametrize("copying", [pickle.dumps, copy.deepcopy, json.dumps])
def test_neither_a_sealed_nor_a_clear_value_can_be_serialised(ana: Mapping, copying: Any) -> None:
    for value in (ana.value, Clear(ANA), ana):
        with pytest.raises(TypeError):
            copying(value)


def test_values_read_without_their_row_stay_closed(ana: Mapping) -> None:
    for [value] in Mapping.objects.values_list("value"):
        assert str(value) == MASK
        with pytest.raises(NotSealed):
            value.open()
    annotated = Mapping.objects.annotate(copy=F("value")).get(pk=ana.pk)
    with pytest.raises(NotSealed):
        annotated.copy.open()  # type: ignore[attr-defined]


def test_a_dump_holds_ciphertext_and_does_not_load_as_text(ana: Mapping) -> None:
    dump = serializers.serialize("json", Mapping.objects.all())  # what dumpdata does
    assert "ana@" not in dump.lower()
    assert stored(ana).hex() in dump
    with pytest.raises(serializers.base.DeserializationError):
        list(serializers.deserialize("json", dump))


def test_a_deferred_value_opens_too(ana: Mapping) -> None:
    assert Mapping.objects.only("id").get(pk=ana.pk).value.open() == ANA
    assert Mapping.objects.only("value").get(pk=ana.pk).value.open() == ANA


# -- what is written --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text", [ANA, "", F("token"), Value(ANA), Concat(F("token"), Value("x")), Upper(Value(ANA)), b"bytes", 7]
)
def test_text_and_expressions_are_refused(ana: Mapping, text: Any) -> None:
    with pytest.raises(NotSealed), transaction.atomic():
        Mapping.objects.filter(pk=ana.pk).update(value=text)
    ana.value = text
    with pytest.raises(NotSealed), transaction.atomic():
        ana.save()
    assert Mapping.objects.get(pk=ana.pk).value.open() == ANA


def test_bulk_update_keeps_sealed_values_and_refuses_clear_ones(ana: Mapping, boris: Mapping) -> None:
    before = [stored(ana), stored(boris)]
    Mapping.objects.bulk_update([ana, boris], ["value"])
    assert [stored(ana), stored(boris)] == before
    for wrong in (Clear("x@mail.example"), "x@mail.example", Value("x"), F("token")):
        ana.value = wrong
        with pytest.raises(NotSealed), transaction.atomic():
            Mapping.objects.bulk_update([ana, boris], ["value"])
    assert [stored(ana), stored(boris)] == before


def test_a_case_expression_cannot_plant_a_value(ana: Mapping) -> None:
    planted = models.Case(models.When(pk=ana.pk, then=Value(b"planted", models.BinaryField())))
    with pytest.raises(NotSealed), transaction.atomic():
        Mapping.objects.filter(pk=ana.pk).update(value=planted)


def test_saving_a_row_again_keeps_its_ciphertext(ana: Mapping) -> None:
    before = stored(ana)
    ana.save(update_fields=["value"])
    Mapping.objects.get(pk=ana.pk).save(update_fields=["value"])
    assert stored(ana) == before


def test_a_clear_value_is_sealed_on_its_way(acme: Enterprise) -> None:
    contact = Contact.objects.create(enterprise=acme, subscriber_key="SUB-1")
    made = AttributeSet(id="01900000-0000-7000-8000-000000000001", enterprise=acme, contact=contact)
    made.payload = Clear('[{"name":"FirstName","value":"Ana"}]')
    made.save()
    assert made.payload.open() == '[{"name":"FirstName","value":"Ana"}]'
    [again] = AttributeSet.objects.bulk_create(
        [
            AttributeSet(
                id="01900000-0000-7000-8000-000000000002",
                enterprise=acme,
                contact=contact,
                payload=Clear("2"),
            )
        ]
    )
    assert AttributeSet.objects.get(pk=again.pk).payload.open() == "2"


def test_a_row_without_its_identity_cannot_seal(acme: Enterprise) -> None:
    with pytest.raises(NotSealed):
        Contact.objects.create(enterprise=acme, subscriber_key="SUB-2").attribute_sets.create(
            enterprise=acme, payload=Clear("x")
        )


def test_a_value_of_another_row_is_refused(ana: Mapping, boris: Mapping) -> None:
    ana.value = boris.value
    with pytest.raises(NotSealed):
        ana.save()


@pytest.mark.parametrize("change", [{"token": "other@tok.example"}, {"kind": 2}])
def test_what_a_value_is_bound_to_cannot_change(ana: Mapping, change: dict[str, Any]) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        Mapping.objects.filter(pk=ana.pk).update(**change)


def test_no_form_takes_or_shows_a_sealed_value(ana: Mapping) -> None:
    form = modelform_factory(Mapping, fields="__all__")
    assert "value" not in form.base_fields
    shown = form(instance=ana).as_p()
    assert 'name="value"' not in shown
    assert "mail.example" not in shown.lower()


@pytest.mark.parametrize("pasted", ["hex", "text"])
def test_pasted_ciphertext_does_not_come_back_in_clear(ana: Mapping, pasted: str) -> None:
    text = stored(ana).hex() if pasted == "hex" else stored(ana).decode("latin-1")
    field = Mapping._meta.get_field("value")
    with pytest.raises(NotSealed):
        field.clean(text, ana)


# -- what somebody did to the table ---------------------------------------------------------------------------
def test_a_value_moved_to_another_row_is_refused(ana: Mapping, boris: Mapping) -> None:
    assert refused(plant(ana, stored(boris)))


def test_a_value_moved_to_another_enterprise_is_refused(ana: Mapping) -> None:
    other = an_enterprise("Other")
    theirs = mapping_of(other, ANA)
    assert refused(plant(theirs, stored(ana)))


def test_a_value_moved_to_another_column_is_refused(acme: Enterprise, ana: Mapping) -> None:
    contact = Contact.objects.create(enterprise=acme, subscriber_key="SUB-1")
    made = AttributeSet.objects.create(
        id="01900000-0000-7000-8000-000000000001", enterprise=acme, contact=contact, payload=Clear("x")
    )
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tokens_attributeset SET payload = %s", [stored(ana)])
    with pytest.raises(CannotOpen):
        AttributeSet.objects.get(pk=made.pk).payload.open()


def test_a_value_of_another_kind_is_refused(acme: Enterprise) -> None:
    first, second = hold(acme, email(ANA), email(BORIS))
    assert refused(
        plant(Mapping.objects.get(pk=first.mapping_id), stored(Mapping.objects.get(pk=second.mapping_id)))
    )


@pytest.mark.parametrize(
    "planted", [b"evil@mail.example", b"", b"\x01", b"\x01\x00\x00\x00\x01evil@mail.example"]
)
def test_planted_plaintext_is_refused(ana: Mapping, planted: bytes) -> None:
    assert refused(plant(ana, planted))


def test_an_altered_value_is_refused(ana: Mapping) -> None:
    sealed = stored(ana)
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 0x40
        assert refused(plant(ana, bytes(altered)))


def test_a_value_under_another_key_id_is_refused(ana: Mapping) -> None:
    sealed = stored(ana)
    own_key = int.from_bytes(sealed[1:5], "big")
    of_others = set(DataKey.objects.values_list("id", flat=True)) - {own_key}
    for key_id in {0, own_key + 1_000_000, 2**32 - 1} | of_others:
        assert refused(plant(ana, sealed[:1] + key_id.to_bytes(4, "big") + sealed[envelope.HEADER_BYTES :]))


# -- what cannot be asked ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "lookup",
    [
        "value",
        "value__exact",
        "value__in",
        "value__contains",
        "value__gt",
        "value__regex",
        "value__startswith",
    ],
)
def test_looking_for_a_value_is_an_error(ana: Mapping, lookup: str) -> None:
    with pytest.raises(FieldError):
        Mapping.objects.filter(**{lookup: ANA}).exists()


def test_only_whether_there_is_a_value_may_be_asked(ana: Mapping) -> None:
    assert Mapping.objects.filter(value__isnull=False).get() == ana
    assert not Mapping.objects.filter(value__isnull=True).exists()


def test_a_sealed_field_is_neither_unique_nor_indexed() -> None:
    for wrong in ({"unique": True}, {"db_index": True}):
        field: Any = SealedTextField(purpose=Purpose.VALUE, **wrong)
        field.set_attributes_from_name("value")
        field.model = Mapping
        assert [found.id for found in field.check()] == ["tokens.E001"]
