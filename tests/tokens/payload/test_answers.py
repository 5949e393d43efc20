"""Answers and their skeletons are built together, and agree."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tokens.payload.bodies import CANARIES, IDS, KEYS, MAILS, PHONES, TOKENS, shown_canaries
from tokens.payload import (
    Hole,
    HoleKind,
    Issued,
    Residue,
    Resolved,
    Unresolved,
    canonical_literal,
    get_token_answer,
    rebuild,
    references,
    resolve_answer,
)

MISSING = "Invalid token; token does not exist."
ids = st.sampled_from((*IDS, *MAILS, *PHONES, "a\nb", 'say "hi"'))
attribute_sets = {
    f"{number:032x}": msgspec.json.encode([{"name": "FirstName", "value": name}])
    for number, name in enumerate(CANARIES)
}
values = st.text(max_size=30, alphabet=st.characters(exclude_categories=["Cs"])) | st.sampled_from(CANARIES)


@st.composite
def resolved(draw: st.DrawFn) -> Resolved:
    clear_value, mapping_id = draw(values), draw(st.integers(0, 2**63 - 1))
    if draw(st.booleans()):
        return Resolved(draw(ids), clear_value, mapping_id)
    attribute_set = draw(st.sampled_from(list(attribute_sets)))
    return Resolved(draw(ids), clear_value, mapping_id, attribute_sets[attribute_set], attribute_set)


@given(
    st.lists(resolved(), max_size=5, unique_by=lambda item: item.mapping_id),
    st.lists(st.builds(Unresolved, ids, st.just(MISSING)), max_size=3),
)
def test_a_resolve_answer_is_the_contract_and_its_skeleton_gives_it_back(found, missing):
    residue = Residue()
    answer = resolve_answer(found, missing, residue)
    assert msgspec.json.decode(answer.body) == {
        "resolvedTokens": [
            {
                "tokenRequestId": item.request_id,
                "tokenValue": item.clear_value,
                "attributes": msgspec.json.decode(item.attributes),
            }
            for item in found
        ],
        "unresolvedTokens": [
            {"tokenRequestId": item.request_id, "message": item.message} for item in missing
        ],
    }
    literals = {item.mapping_id: canonical_literal(item.clear_value) for item in found}
    slots = Residue.decode(residue.encode())
    rebuilt = rebuild(
        answer.skeleton, mapping_literal=literals.get, attributes=attribute_sets.get, residue=slots
    )
    assert rebuilt.body == answer.body
    assert shown_canaries(answer.skeleton) == []


@given(st.lists(st.builds(Issued, ids, st.sampled_from(TOKENS), st.sampled_from(KEYS)), max_size=5))
def test_a_get_token_answer_is_the_contract_and_its_skeleton_gives_it_back(issued):
    residue = Residue()
    answer = get_token_answer(issued, residue)
    assert msgspec.json.decode(answer.body) == {
        "tokens": [
            {
                "tokenRequestId": item.request_id,
                "token": item.token,
                "subscriberKey": item.subscriber_key,
            }
            for item in issued
        ]
    }
    slots = Residue.decode(residue.encode())
    rebuilt = rebuild(answer.skeleton, mapping_literal={}.get, attributes={}.get, residue=slots)
    assert rebuilt.body == answer.body
    assert shown_canaries(answer.skeleton) == []


def test_both_arrays_are_always_there():
    assert resolve_answer([], [], Residue()).body == b'{"resolvedTokens":[],"unresolvedTokens":[]}'
    assert get_token_answer([], Residue()).body == b'{"tokens":[]}'


def test_each_way_of_destroying_is_named_and_gives_no_bytes():
    residue = Residue()
    only_set = next(iter(attribute_sets))
    item = Resolved("13175550101", "ana.lima@mail.example", 7, attribute_sets[only_set], only_set)
    skeleton = resolve_answer([item], [], residue).skeleton
    literal, slots = canonical_literal("ana.lima@mail.example"), Residue.decode(residue.encode())

    def destroyed(mappings, sets, slots):
        rebuilt = rebuild(skeleton, mapping_literal=mappings.get, attributes=sets.get, residue=slots)
        assert (rebuilt.body is None) == bool(rebuilt.destroyed)
        return rebuilt.destroyed

    assert destroyed({7: literal}, attribute_sets, slots) == ()
    assert destroyed({}, attribute_sets, slots) == (Hole(HoleKind.MAPPING, "7"),)
    assert destroyed({7: literal}, {}, slots) == (Hole(HoleKind.ATTRIBUTES, only_set),)
    assert destroyed({7: literal}, attribute_sets, None) == (Hole(HoleKind.RESIDUE, "0"),)
    assert references(skeleton) == ({7}, {only_set}, {0})


def test_an_echoed_id_shares_its_slot_with_the_request():
    residue = Residue()
    slot = residue.add(b'"13175550101"')
    skeleton = resolve_answer([], [Unresolved("13175550101", MISSING)], residue).skeleton
    assert (references(skeleton).slots, len(residue)) == ({slot}, 1)


def test_attributes_without_a_version_are_refused():
    with pytest.raises(ValueError, match="names no attribute set") as refusal:
        resolve_answer([Resolved("a", "ana.lima@mail.example", 1, b'[{"name":"x"}]')], [], Residue())
    assert "ana" not in str(refusal.value)


def test_no_repr_shows_a_clear_value():
    item = Resolved("13175550101", "ana.lima@mail.example", 7)
    answer = resolve_answer([item], [], Residue())
    rebuilt = rebuild(b'1"ana.lima@mail.example"', mapping_literal={}.get, attributes={}.get, residue=[])
    for thing in (item, answer, rebuilt):
        assert "ana" not in repr(thing)
        assert "ana" not in repr([thing])
