"""A logged exchange is rebuilt byte for byte while its parts live, and says what was destroyed afterwards."""

import pytest
from django.db import connections

from audit.models import PayloadEntry
from tests.tokens.api.cast import MarketingCloud, ask, entry_of
from tokens.log.rebuild import Proof, masked, rebuild
from tokens.log.recording import Side
from tokens.models import AttributeSet, Mapping
from tokens.models.mappings import State

BODY = b'{ "tokens":[{"tokenRequestId":"r-1","token":"%b", "colour":"red"}], "sendKey" : "s-1"}'


@pytest.fixture
def entry(caller: MarketingCloud, ana: str) -> PayloadEntry:
    response = caller.post("/api/v1/tokens/resolve", BODY % ana.encode())
    assert response.status_code == 200
    return entry_of(response)


def test_both_bodies_come_back_exactly_and_are_proven(
    entry: PayloadEntry, caller: MarketingCloud, ana: str
) -> None:
    exchange = rebuild(entry)
    assert exchange.request.exact == BODY % ana.encode()
    assert b'"tokenValue":"ana@mail.example"' in (exchange.response.exact or b"")
    assert (exchange.request.proof, exchange.response.proof) == (Proof.PROVEN, Proof.PROVEN)


def test_a_page_sees_masks_only(entry: PayloadEntry) -> None:
    shown = masked(entry)
    text = "".join(segment.text for segment in shown[Side.RESPONSE])
    assert "a•••@m•••.example" in text
    assert "ana@mail.example" not in text
    assert "Ana" not in text
    assert "red" not in "".join(segment.text for segment in shown[Side.REQUEST])


def test_what_was_erased_reads_destroyed(entry: PayloadEntry) -> None:
    Mapping.objects.update(state=State.ERASED, value=None)
    exchange = rebuild(entry)
    assert exchange.request.proof is Proof.PROVEN
    assert exchange.response.proof is Proof.DESTROYED
    assert exchange.response.exact is None
    assert [hole.kind.value for hole in exchange.response.missing] == ["m"]
    assert "destroyed" in "".join(segment.text for segment in masked(entry)[Side.RESPONSE])


def test_erased_attributes_read_destroyed(entry: PayloadEntry) -> None:
    AttributeSet.objects.update(payload=None)
    assert rebuild(entry).response.proof is Proof.DESTROYED


def test_a_body_that_was_put_together_otherwise_is_not_proven(entry: PayloadEntry) -> None:
    entry.response_digest = bytes(32)
    assert rebuild(entry).response.proof is Proof.ALTERED


def test_a_value_that_was_tampered_with_reads_damaged(entry: PayloadEntry) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("UPDATE tokens_mapping SET value = set_byte(value, 20, get_byte(value, 20) # 1)")
    exchange = rebuild(entry)
    assert exchange.response.proof is Proof.DAMAGED
    assert exchange.response.exact is None
    assert "does not open" in "".join(segment.text for segment in masked(entry)[Side.RESPONSE])


def test_residue_does_not_open_in_another_entry(
    entry: PayloadEntry, caller: MarketingCloud, ana: str
) -> None:
    other = entry_of(caller.resolve(ask(ana, colour="blue")))
    other.residue = entry.residue
    assert rebuild(other).request.proof is Proof.DAMAGED


def test_nothing_clear_stands_in_reprs(entry: PayloadEntry) -> None:
    assert "ana@" not in repr(rebuild(entry))
