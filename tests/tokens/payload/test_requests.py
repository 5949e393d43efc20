"""Cutting requests: the exact bytes come back, and nothing clear is left standing."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, assume, example, find, given, settings
from hypothesis import strategies as st

import tokens.payload.requests as requests_module
from tests.tokens.payload.bodies import (
    CANARIES,
    KEYS,
    MAILS,
    REFERENCES,
    TOKENS,
    get_token_bodies,
    resolve_bodies,
    shown_canaries,
)
from tokens.payload import (
    GetTokenRequest,
    Residue,
    ResolveRequest,
    canonical_literal,
    cut_get_token_request,
    cut_resolve_request,
    cut_unknown,
    rebuild,
    references,
)
from tokens.payload.walk import MAX_HOLES, Shape, Unwalkable, walk

LITERALS = {mapping_id: canonical_literal(value) for value, mapping_id in REFERENCES.items()}
quick = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
hunt = settings(max_examples=5000, phases=[Phase.generate])


def decoded(body, kind):
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def cut_resolve(body, residue, request=None):
    return cut_resolve_request(
        body, request, known_tokens=set(TOKENS), known_subscriber_keys=set(KEYS), residue=residue
    )


def cut_get_token(body, residue, request=None):
    return cut_get_token_request(body, request, references=REFERENCES, residue=residue)


def put_back(skeleton, residue):
    """Through the stored form of the residue, as the log does it."""
    slots = Residue.decode(residue.encode())
    return rebuild(skeleton, mapping_literal=LITERALS.get, attributes={}.get, residue=slots).body


@quick
@given(resolve_bodies)
def test_a_resolve_request_comes_back_byte_for_byte_and_shows_nothing_clear(body):
    residue = Residue()
    skeleton = cut_resolve(body, residue, decoded(body, ResolveRequest))
    assert put_back(skeleton, residue) == body
    assert shown_canaries(skeleton) == []


@quick
@given(get_token_bodies)
def test_a_get_token_request_comes_back_byte_for_byte_and_shows_nothing_clear(body):
    residue = Residue()
    skeleton = cut_get_token(body, residue, decoded(body, GetTokenRequest))
    assert put_back(skeleton, residue) == body
    assert shown_canaries(skeleton) == []


@quick
@given(resolve_bodies, get_token_bodies)
def test_both_ways_cut_the_same_skeleton(resolve, get_token):
    for body, kind, cut in (
        (resolve, ResolveRequest, cut_resolve),
        (get_token, GetTokenRequest, cut_get_token),
    ):
        request = decoded(body, kind)
        assume(request is not None)
        found, walked = Residue(), Residue()
        assert cut(body, found, request) == cut(body, walked)
        assert found.encode() == walked.encode()


@quick
@given(
    st.one_of(
        st.binary(max_size=200), st.text(max_size=200).map(str.encode), st.from_regex(rb'[{}":,a \\[\]]*')
    )
)
@example(b'{"sendKey":"\\ud800"}')
@example(b'{"tokens":[{"token":"\xff"}]}')
@example(b"\xef\xbb\xbf{}")
@example(b'{"sendKey":"a","x":' + b"[" * 5000)
@example(b"\x011r0\x02")
@example(b"")
def test_any_bytes_are_cut_without_a_crash_and_come_back(body):
    for cut in (cut_resolve, cut_get_token):
        residue = Residue()
        assert put_back(cut(body, residue), residue) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ana.lima@mail.example",
        b'["ana.lima@mail.example"]',
        b'"ana.lima@mail.example"',
        b'{"tokens":[{"token":"ana.lima@mail.example"}]',
        b'{"tokens":[{"token":"ana.lima@mail.example\xff"}]}',
        b'{"tokens":[{"token":"ana.lima@mail.example\\ud83d"}]}',
        b'{"tokens":[]} trailing',
        b'{"tokens":[NaN]}',
    ],
)
def test_a_body_that_is_not_a_json_object_is_one_hole(body):
    residue = Residue()
    assert cut_resolve(body, residue) == b"1\x01r0\x02" == cut_unknown(body, Residue())
    assert put_back(b"1\x01r0\x02", residue) == body


def test_an_ordinary_resolve_request_stays_as_it_is():
    body = b'{"sendKey": "s-1", "tokens": [{"tokenRequestId": "0b6c", "token": "199991111222233"}]}'
    residue = Residue()
    assert cut_resolve(body, residue, decoded(body, ResolveRequest)) == b"1" + body
    assert len(residue) == 0


def test_only_what_the_vault_knows_stays_open():
    body = (
        b'{"sendKey":"s-1","tokens":[{"tokenRequestId":"a","token":"199991111222233","subscriberKey":"SUB-001"},'
        b'{"tokenRequestId":"b","token":"13175550101","subscriberKey":"ana.lima@mail.example"}]}'
    )
    residue = Residue()
    assert cut_resolve(body, residue, decoded(body, ResolveRequest)) == (
        b'1{"sendKey":"s-1","tokens":[{"tokenRequestId":"a","token":"199991111222233","subscriberKey":"SUB-001"},'
        b'{"tokenRequestId":"b","token":\x01r0\x02,"subscriberKey":\x01r1\x02}]}'
    )
    assert Residue.decode(residue.encode()) == [b'"13175550101"', b'"ana.lima@mail.example"']


def test_clear_values_with_a_mapping_are_referred_to_and_all_others_go_to_the_residue():
    body = json.dumps(
        {
            "tokenValues": [
                {"tokenRequestId": "a", "tokenValue": 'o"hara@mail.example', "tokenType": "Email"},
                {"tokenRequestId": "b", "tokenValue": "Ana.Lima@mail.example", "tokenType": "Email"},
                {
                    "tokenRequestId": "c",
                    "tokenValue": "13175550101",
                    "tokenType": "Fax",
                    "privateCode": "123456",
                },
                {"tokenRequestId": "d", "tokenValue": "", "tokenType": "Email", "privateCode": "13175550102"},
            ]
        }
    ).encode()
    residue = Residue()
    skeleton = cut_get_token(body, residue, decoded(body, GetTokenRequest))
    assert references(skeleton).mappings == {9, 8}
    assert b'"privateCode": "123456"' in skeleton
    slots = [b'"Ana.Lima@mail.example"', b'"Fax"', b'""', b'"13175550102"']
    assert Residue.decode(residue.encode()) == slots


def test_a_mapping_is_not_referred_to_by_a_literal_that_we_would_spell_otherwise():
    body = (
        b'{"tokenValues":[{"tokenRequestId":"a","tokenValue":"\\u0031317555\\u0030101","tokenType":"Email"}]}'
    )
    skeleton = cut_get_token(body, Residue(), decoded(body, GetTokenRequest))
    assert references(skeleton).mappings == frozenset()


def test_an_unknown_field_is_cut_with_its_name():
    body = b'{"ana.lima@mail.example" : [1, {"Ana Lima": null}] , "tokens":[{"token":null, "Zo\xc3\xab": 3}]}'
    residue = Residue()
    assert cut_resolve(body, residue) == b'1{\x01r0\x02 , "tokens":[{"token":null, \x01r1\x02}]}'
    assert put_back(cut_resolve(body, Residue()), residue) == body


@pytest.mark.parametrize(
    "value",
    [
        "0b6c",
        "",
        "send.42:A_b-c",
        "r-0000042",
        "0b6c1d5e-7f00-4c1d-9e55-123456789012",
        "1" * 32,
        "123456",
        "a1" * 64,
    ],
)
def test_an_id_that_cannot_be_an_address_or_a_number_stays_open(value):
    body = json.dumps({"sendKey": value, "tokens": []}).encode()
    assert cut_resolve(body, Residue(), decoded(body, ResolveRequest)) == b"1" + body


@pytest.mark.parametrize(
    "value",
    [
        *MAILS,
        "13175550101",
        "131-755-50101",
        "tel:1317555",
        "1.3.1.7.5.5.5",
        "0049301234567",
        "id13175550101x",
        "00131755501",
        "a b",
        "a\nb",
        "é",
        "a" * 129,
        "0b6c1d5e-7f00-4c1d-9e55-1234567890123",
        "1" * 33,
    ],
)
def test_an_id_that_could_be_an_address_or_a_number_is_cut(value):
    body = json.dumps({"sendKey": value, "tokens": []}, ensure_ascii=False).encode()
    for request in (None, decoded(body, ResolveRequest)):
        assert cut_resolve(body, Residue(), request) == b'1{"sendKey": \x01r0\x02, "tokens": []}'


def test_one_unsafe_id_among_safe_ones_is_cut_alone():
    items = [{"tokenRequestId": name, "token": TOKENS[0]} for name in ("a", "13175550101", "b\nc", "d")]
    body = json.dumps({"tokens": items}).encode()
    residue = Residue()
    cut_resolve(body, residue, decoded(body, ResolveRequest))
    assert Residue.decode(residue.encode()) == [b'"13175550101"', b'"b\\nc"']


def test_equal_values_with_unequal_spacing_are_each_cut():
    body = (
        b'{"tokens":[{"tokenRequestId":"a","token" :"x@y.example"},'
        b'{"tokenRequestId":"b","token":"x@y.example"}]}'
    )
    skeleton = cut_resolve(body, Residue(), decoded(body, ResolveRequest))
    assert skeleton.count(b"\x01r0\x02") == 2


def test_a_request_struct_with_fields_of_its_own_opens_none_of_them():
    class Wider(ResolveRequest, kw_only=True):
        extra: str

    class WiderGetToken(GetTokenRequest):
        extra: str

    body = b'{"tokens":[],"extra":"ana.lima@mail.example"}'
    assert shown_canaries(cut_resolve(body, Residue(), msgspec.json.decode(body, type=Wider))) == []
    body = b'{"tokenValues":[],"extra":"ana.lima@mail.example"}'
    assert shown_canaries(cut_get_token(body, Residue(), msgspec.json.decode(body, type=WiderGetToken))) == []


def test_equal_values_are_each_cut_at_their_own_place():
    items = [{"tokenRequestId": name, "token": "x@y.example"} for name in "abc"]
    body = json.dumps({"tokens": items}).encode()
    skeleton = cut_resolve(body, Residue(), decoded(body, ResolveRequest))
    assert skeleton == b"1" + body.replace(b'"x@y.example"', b"\x01r0\x02")


def test_a_body_with_too_many_holes_is_one_hole():
    body = b'{"tokens":[' + b",".join([b"1"] * (MAX_HOLES + 2)) + b"]}"
    assert cut_resolve(body, Residue()) == b"1\x01r0\x02"
    with pytest.raises(Unwalkable):
        walk(body, Shape(fields={}, array=b'"tokens"', item_fields={}))


# The twins: each drops one defence, and the search finds the body that gets through.


def test_twin_a_cutter_that_parses_and_replaces_breaks_the_promise():
    def naive(body, residue):
        def cut(value):
            if isinstance(value, dict):
                return {name: cut(inner) for name, inner in value.items()}
            if isinstance(value, list):
                return [cut(inner) for inner in value]
            if isinstance(value, str) and (value in CANARIES or "@" in value):
                return f"\x01r{residue.add(canonical_literal(value))}\x02"
            return value

        text = json.dumps(cut(json.loads(body)))
        return b"1" + text.encode().replace(b'"\\u0001', b"\x01").replace(b'\\u0002"', b"\x02")

    def broken(body):
        residue = Residue()
        skeleton = naive(body, residue)
        return put_back(skeleton, residue) != body or shown_canaries(skeleton)

    assert find(resolve_bodies, broken, settings=hunt)


def test_twin_without_the_proof_of_plainness_something_clear_stays(monkeypatch):
    monkeypatch.setattr(requests_module, "is_plain", lambda *_: True)

    def leaks(body):
        request = decoded(body, ResolveRequest)
        return request is not None and shown_canaries(cut_resolve(body, Residue(), request))

    assert find(resolve_bodies, leaks, settings=hunt)


def test_twin_a_cutter_of_values_only_leaves_the_names_of_unknown_fields(monkeypatch):
    monkeypatch.setattr(requests_module, "walk", lambda *_: [])
    body = b'{"ana.lima@mail.example":1,"tokens":[]}'
    assert shown_canaries(cut_resolve(body, Residue())) == ["ana.lima@mail.example"]
