"""Get-or-create: one token a value, in the order asked, in few statements (decision 5)."""

import datetime
import random
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokens.cast import ANA, ANAS_PHONE, BORIS, BORIS_PHONE, OLGA, an_enterprise, email, hold, mobile
from tokens.consent.opt_outs import record_opt_out
from tokens.crypto import key_making, keyring
from tokens.crypto.keyset import DataKey, IndexVersion, Purpose
from tokens.errors import NoFreeToken
from tokens.formats.kinds import Kind
from tokens.formats.token_mobile import is_valid_number
from tokens.models import ConsentEvent, Enterprise, Mapping, Suppression
from tokens.models.mappings import State
from tokens.vault import mint
from tokens.vault.mint import Wanted

pytestmark = pytest.mark.django_db
DICE = random.Random(40)


@pytest.fixture
def acme() -> Enterprise:
    made = an_enterprise()
    keyring.keyring(made.pk)
    return made


def add_index_version(enterprise: Enterprise, number: int) -> None:
    DataKey.objects.filter(enterprise=enterprise, purpose=Purpose.INDEX).update(is_primary=False)
    key = key_making.make_key(enterprise.pk, Purpose.INDEX)
    IndexVersion.objects.create(enterprise=enterprise, number=number, normalisation=1, key=key)
    keyring.forget_all()
    keyring.keyring(enterprise.pk)


def erase(mapping_id: int) -> None:
    Mapping.objects.filter(pk=mapping_id).update(state=State.ERASED, value=None)


# -- what is answered -------------------------------------------------------------------------------------------
def test_each_value_gets_a_token_in_the_order_asked(acme: Enterprise) -> None:
    held = hold(acme, mobile(BORIS_PHONE), email(BORIS), email(ANA), mobile(ANAS_PHONE))
    opened = [Mapping.objects.get(pk=one.mapping_id).value.open() for one in held]
    assert opened == [BORIS_PHONE, BORIS, ANA, ANAS_PHONE]
    assert all(one.is_new and one.state == State.ACTIVE for one in held)


def test_spellings_of_one_value_share_the_token_and_the_first_is_kept(acme: Enterprise) -> None:
    first, again = hold(acme, email(ANA), email("ANA@MAIL.EXAMPLE"))
    assert first == again
    [later] = hold(acme, email(" ana@mail.example "))
    assert (later.token, later.is_new) == (first.token, False)
    assert Mapping.objects.get(pk=first.mapping_id).value.open() == ANA


def test_tokens_look_like_what_they_stand_for_and_say_nothing_of_it(acme: Enterprise) -> None:
    address, number = hold(acme, email(ANA), mobile(ANAS_PHONE))
    assert address.token.endswith("@" + acme.token_domain)
    assert number.token.startswith("1")
    assert len(number.token) == 15
    assert not is_valid_number(number.token)
    other = an_enterprise("Other")
    assert hold(other, mobile(ANAS_PHONE))[0].token != number.token


def test_an_address_and_a_number_that_read_alike_are_two_values(acme: Enterprise) -> None:
    hold(acme, Wanted(Kind.EMAIL, ANAS_PHONE, ANAS_PHONE), mobile(ANAS_PHONE))
    assert Mapping.objects.filter(enterprise=acme).count() == 2


def test_enterprises_share_nothing(acme: Enterprise) -> None:
    other = an_enterprise("Other")
    [mine], [theirs] = hold(acme, email(ANA)), hold(other, email(ANA))
    assert mine.token != theirs.token
    assert theirs.is_new


def test_an_erased_value_answers_its_retired_token(acme: Enterprise) -> None:
    [before] = hold(acme, email(ANA))
    erase(before.mapping_id)
    [after] = hold(acme, email(ANA))
    assert after == (before.mapping_id, before.token, State.ERASED, False)
    assert Mapping.objects.get(pk=before.mapping_id).value is None


def test_a_superseded_mapping_makes_room_for_a_new_one(acme: Enterprise) -> None:
    [before] = hold(acme, email(ANA))
    Mapping.objects.filter(pk=before.mapping_id).update(state=State.SUPERSEDED)
    [after] = hold(acme, email(ANA))
    assert after.is_new
    assert after.token != before.token


def test_nothing_asked_is_nothing_answered(acme: Enterprise, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert hold(acme) == []


def test_looking_up_mints_nothing(acme: Enterprise) -> None:
    [ana] = hold(acme, email(ANA))
    asked = [(Kind.EMAIL, "ana@mail.example"), (Kind.EMAIL, BORIS), (Kind.MOBILE, ANAS_PHONE)]
    assert mint.known(acme, asked) == {(Kind.EMAIL, "ana@mail.example"): ana._replace(is_new=False)}
    assert Mapping.objects.filter(enterprise=acme).count() == 1


def test_what_is_wanted_does_not_show_in_texts() -> None:
    assert "ana" not in repr(email(ANA)).lower()


# -- what it costs ----------------------------------------------------------------------------------------------
def test_known_values_cost_one_statement_however_many(
    acme: Enterprise, django_assert_num_queries: Any
) -> None:
    wanted = [email(f"person{n}@mail.example") for n in range(500)]
    hold(acme, *wanted)
    with django_assert_num_queries(1):
        assert not any(one.is_new for one in hold(acme, *wanted))


def test_new_addresses_cost_two_statements_and_numbers_one_more(
    acme: Enterprise, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(2):
        hold(acme, *(email(f"person{n}@mail.example") for n in range(500)))
    with django_assert_num_queries(3):
        hold(acme, *(mobile(f"4915100{n:06d}") for n in range(500)))


# -- tokens that are taken --------------------------------------------------------------------------------------
def few_emails(count: int, token_domain: str) -> list[str]:
    """A space of 40 tokens, in the place of 130 bits."""
    return [f"{DICE.randrange(40):026d}@{token_domain}" for _ in range(count)]


def wrongly_answered(enterprise: Enterprise, wanted: list[Wanted]) -> list[Wanted]:
    """Those whose token stands for somebody else."""
    held = hold(enterprise, *wanted)
    return [
        want
        for want, one in zip(wanted, held, strict=True)
        if Mapping.objects.get(enterprise=enterprise, token=one.token).value.open() != want.spelling
    ]


def test_a_drawn_token_that_is_taken_is_drawn_again(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mint, "draw_email_tokens", few_emails)
    monkeypatch.setattr(mint, "ROUNDS", 400)
    for start in range(0, 40, 10):
        assert (
            wrongly_answered(acme, [email(f"person{n}@mail.example") for n in range(start, start + 10)]) == []
        )
    assert Mapping.objects.filter(enterprise=acme).count() == 40


def test_when_every_token_is_taken_the_error_says_so(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mint, "draw_email_tokens", lambda count, domain: [f"same@{domain}"] * count)
    hold(acme, email(ANA))
    with pytest.raises(NoFreeToken, match="longer"), transaction.atomic():
        hold(acme, email(BORIS))


def test_a_mobile_token_is_never_a_number_that_is_known(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_number = "498920180999999"
    hold(acme, mobile(taken_number))
    drawn = iter([taken_number, "498920180999998"])

    def draw(numbers: Sequence[str], *, lengths: Any, taken: set[str]) -> list[str]:
        return [next(token for token in drawn if token not in taken) for _ in numbers]

    monkeypatch.setattr(mint, "draw_mobile_tokens", draw)
    [boris] = hold(acme, mobile(BORIS_PHONE))
    assert boris.token == "498920180999998"


def test_a_country_can_have_shorter_tokens() -> None:
    acme = an_enterprise()
    acme.mobile_token_digits = {"49": 13}
    [german, american] = hold(acme, mobile(BORIS_PHONE), mobile(ANAS_PHONE))
    assert (len(german.token), len(american.token)) == (13, 15)


# -- two versions of the blind index ----------------------------------------------------------------------------
def test_while_two_index_versions_live_old_rows_are_found_and_new_ones_carry_both(acme: Enterprise) -> None:
    [old] = hold(acme, email(ANA))
    add_index_version(acme, 2)
    ana, boris = hold(acme, email(ANA), email(BORIS))
    assert ana.mapping_id == old.mapping_id
    row = Mapping.objects.get(pk=boris.mapping_id)
    assert (row.index_version_0, row.index_version_1) == (2, 1)
    IndexVersion.objects.filter(enterprise=acme, number=1).update(retired_at="2026-01-01T00:00Z")
    keyring.forget_all()
    assert hold(acme, email(BORIS)) == [boris._replace(is_new=False)]


def test_three_versions_may_live_since_tombstones_keep_theirs(acme: Enterprise) -> None:
    [ana] = hold(acme, email(ANA))
    erase(ana.mapping_id)
    add_index_version(acme, 2)
    add_index_version(acme, 3)
    again, boris = hold(acme, email(ANA), email(BORIS))
    assert (again.mapping_id, again.state) == (ana.mapping_id, State.ERASED)
    row = Mapping.objects.get(pk=boris.mapping_id)
    assert (row.index_version_0, row.index_version_1) == (2, 3)


def test_a_process_that_does_not_know_the_new_version_yet_cannot_mint_a_second_token(
    acme: Enterprise,
) -> None:
    stale = keyring.keyring(acme.pk)
    add_index_version(acme, 2)
    [ana] = hold(acme, email(ANA))
    keyring._keyrings[acme.pk] = stale
    assert len(stale.live_versions()) == 1
    assert hold(acme, email(ANA)) == [ana._replace(is_new=False)]


def test_an_opt_out_from_before_a_rotation_blocks_a_value_that_is_minted_after_it(acme: Enterprise) -> None:
    record_opt_out(
        acme,
        kind=Kind.EMAIL,
        raw_value=ANA,
        source=ConsentEvent.Source.OFFICER,
        source_id="1",
        occurred_at=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        actor=OLGA,
    )
    assert list(Suppression.objects.values_list("index_version", flat=True)) == [1]
    add_index_version(acme, 2)
    ana, _ = hold(acme, email(ANA), email(BORIS))
    row = Mapping.objects.get(pk=ana.mapping_id)
    suppressed = {bytes(index) for index in Suppression.objects.values_list("blind_index", flat=True)}
    assert suppressed == {bytes(row.blind_index_0 or b""), bytes(row.blind_index_1 or b"")}


# -- what the database itself holds -----------------------------------------------------------------------------
def test_the_database_refuses_a_second_token_for_a_value(acme: Enterprise) -> None:
    [ana] = hold(acme, email(ANA))
    row = Mapping.objects.get(pk=ana.mapping_id)
    row.pk, row.token, row.value = None, "other@tok.example", None
    row.state = State.ERASED
    with pytest.raises(IntegrityError, match="one_token_for_each_value"), transaction.atomic():
        row.save(force_insert=True)


@pytest.mark.parametrize(("state", "has_value"), [(State.ACTIVE, False), (State.ERASED, True)])
def test_an_active_mapping_has_a_value_and_a_tombstone_none(
    acme: Enterprise, state: State, has_value: bool
) -> None:
    [ana] = hold(acme, email(ANA))
    mapping = Mapping.objects.filter(pk=ana.mapping_id)
    with pytest.raises(IntegrityError), transaction.atomic():
        mapping.update(state=state) if has_value else mapping.update(state=state, value=None)


def test_a_token_is_never_used_again(acme: Enterprise) -> None:
    [ana] = hold(acme, email(ANA))
    erase(ana.mapping_id)
    with connection.cursor() as cursor, pytest.raises(IntegrityError), transaction.atomic():
        cursor.execute(
            "INSERT INTO tokens_mapping (enterprise_id, kind, token, value) SELECT enterprise_id, kind, token, '\\x'"
            " FROM tokens_mapping WHERE id = %s",
            [ana.mapping_id],
        )


@settings(max_examples=40)
@given(batches=st.lists(st.lists(st.integers(0, 12), max_size=12), max_size=6))
def test_whatever_is_asked_each_value_has_exactly_one_token(batches: list[list[int]]) -> None:
    acme = an_enterprise()
    values = [email(f"person{n}@mail.example") for n in range(6)] + [
        mobile(f"4915100{n:06d}") for n in range(7)
    ]
    seen: dict[tuple[Kind, str], str] = {}
    for batch in batches:
        wanted = [values[n] for n in batch]
        for want, one in zip(wanted, hold(acme, *wanted), strict=True):
            assert seen.setdefault((want.kind, want.normalised), one.token) == one.token
    assert Mapping.objects.filter(enterprise=acme).count() == len(seen) == len(set(seen.values()))
