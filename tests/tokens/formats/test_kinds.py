"""Kinds have one name on the wire, one for the channel, and no others."""

import pytest

from tokens.formats.kinds import Kind


def test_the_wire_names_are_those_of_salesforce() -> None:
    assert (Kind.EMAIL.wire_name, Kind.MOBILE.wire_name) == ("Email", "MobileNumber")
    assert (Kind.EMAIL.channel, Kind.MOBILE.channel) == ("email", "sms")


@pytest.mark.parametrize("kind", Kind)
def test_each_name_leads_back_to_its_kind(kind: Kind) -> None:
    assert Kind.from_wire(kind.wire_name) is kind
    assert Kind.from_channel(kind.channel) is kind


@pytest.mark.parametrize(
    "name", ["email", "EMAIL", "Email ", "Mobile", "mobilenumber", "", None, 1, ["Email"], {}]
)
def test_any_other_spelling_of_a_token_type_is_unknown(name: object) -> None:
    assert Kind.from_wire(name) is None


def test_stored_numbers_never_change() -> None:
    assert (Kind.EMAIL.value, Kind.MOBILE.value) == (1, 2)
