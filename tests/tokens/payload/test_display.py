"""A skeleton on a page: indented, masked, each mask with its reason."""

import json

import pytest
from hypothesis import given

from tests.tokens.payload.bodies import RESOLVE, bodies, shown_canaries
from tokens.payload import (
    DamagedPayload,
    HoleKind,
    Reason,
    Residue,
    Resolved,
    Unresolved,
    cut_get_token_request,
    cut_resolve_request,
    display,
    resolve_answer,
)

MASKS = {HoleKind.MAPPING: "1317•••••11", HoleKind.ATTRIBUTES: "•••", HoleKind.RESIDUE: "destroyed"}


def shown(skeleton):
    segments = display(skeleton, lambda hole: MASKS[hole.kind])
    return "".join(segment.text for segment in segments), [s.reason for s in segments if s.hole]


def test_an_answer_is_indented_and_its_clear_values_are_masked():
    item = Resolved("a", "13175550111", 7, b'[{"name":"FirstName","value":"Ana"}]', "0" * 32)
    answer = resolve_answer([item], [Unresolved("b", "Invalid token; token does not exist.")], Residue())
    assert shown(answer.skeleton) == (
        """{
  "resolvedTokens": [
    {
      "tokenRequestId": "a",
      "tokenValue": 1317•••••11,
      "attributes": •••
    }
  ],
  "unresolvedTokens": [
    {
      "tokenRequestId": "b",
      "message": "Invalid token; token does not exist."
    }
  ]
}""",
        [Reason.CLEAR_VALUE, Reason.ATTRIBUTES],
    )


def test_every_reason_is_told_from_the_place_of_the_hole():
    resolve = (
        b'{"sendKey":"13175550101","tokens":[{"tokenRequestId":"a","token":"x@y.example","subscriberKey":"x",'
        b'"extra":1},2],"more":[]}'
    )
    skeleton = cut_resolve_request(resolve, known_tokens=(), known_subscriber_keys=(), residue=Residue())
    assert shown(skeleton)[1] == [
        Reason.UNSAFE_SHAPE,
        Reason.FOREIGN_TOKEN,
        Reason.FOREIGN_KEY,
        Reason.UNKNOWN_FIELD,
        Reason.UNEXPECTED_SHAPE,
        Reason.UNKNOWN_FIELD,
    ]
    get_token = b'{"tokenValues":[{"tokenValue":"x","tokenType":"Fax","privateCode":"1"}]}'
    skeleton = cut_get_token_request(get_token, references={}, residue=Residue())
    assert shown(skeleton)[1] == [Reason.NO_MAPPING, Reason.UNSAFE_SHAPE, Reason.UNSAFE_SHAPE]
    skeleton = cut_get_token_request(b'{"tokenValues":{}}', references={}, residue=Residue())
    assert shown(skeleton)[1] == [Reason.UNEXPECTED_SHAPE]
    assert shown(b"1\x01r0\x02") == ("destroyed", [Reason.WHOLE_BODY])


def test_an_open_body_is_shown_as_json_indents_it():
    body = b'{"tokens":[],"x":{},"y":[1,-2.5,null,"a, {b}: \\"c\\" \xc3\xa9"],"z":{"a":[[]]}}'
    assert shown(b"1" + body) == (json.dumps(json.loads(body), indent=2, ensure_ascii=False), [])


def test_text_between_two_holes_is_one_segment():
    segments = display(b'1{"a":\x01m1\x02,"b":\x01m2\x02}', lambda hole: hole.reference)
    assert [segment.text for segment in segments] == ['{\n  "a": ', "1", ',\n  "b": ', "2", "\n}"]


@given(bodies("tokens", RESOLVE))
def test_no_clear_value_is_displayed(body):
    skeleton = cut_resolve_request(body, known_tokens=(), known_subscriber_keys=(), residue=Residue())
    assert shown_canaries(shown(skeleton)[0].encode()) == []


@pytest.mark.parametrize("skeleton", [b"", b"9{}", b"1\x01m1"])
def test_a_damaged_skeleton_is_refused(skeleton):
    with pytest.raises(DamagedPayload):
        shown(skeleton)


@pytest.mark.parametrize("text", [b'"', b"]]}}", b"\xff", b"{" * 50, b":::,,"])
def test_odd_text_is_still_shown(text):
    assert shown(b"1" + text)[1] == []
