"""What decoders let pass in silence is found, at a cost that grows with the body and no faster."""

import contextlib
import gc
import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tokens.payload.bodies import get_token_bodies, resolve_bodies, shown_canaries
from tokens.payload import (
    MAX_DEPTH,
    GetTokenRequest,
    Residue,
    ResolveRequest,
    UnreadableBody,
    cut_resolve_request,
    exceeds_depth,
    find_duplicate_key,
    is_plain,
)


def has_duplicates(body):
    found = []
    json.loads(body, object_pairs_hook=lambda pairs: found.append(len(pairs) != len(dict(pairs))))
    return any(found)


@given(resolve_bodies)
def test_duplicate_keys_are_found_whatever_the_spelling(body):
    path = find_duplicate_key(body)
    assert (path is not None) == has_duplicates(body)
    assert path is None or shown_canaries(path.encode()) == []


@given(st.one_of(resolve_bodies, get_token_bodies))
def test_a_plain_body_has_no_duplicate_key_and_no_unknown_field(body):
    for kind, fields in (
        (ResolveRequest, {"sendKey", "tokens", "tokenRequestId", "token", "subscriberKey"}),
        (GetTokenRequest, {"tokenValues", "tokenRequestId", "tokenValue", "tokenType", "privateCode"}),
    ):
        try:
            request = msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError:
            continue
        if is_plain(body, request):
            names = set()
            json.loads(body, object_pairs_hook=lambda pairs, seen=names: seen.update(dict(pairs)) or pairs)
            assert not has_duplicates(body)
            assert names <= fields
            assert find_duplicate_key(body, request) is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"sendKey":"a","sendKey":"a"}', "$.sendKey"),
        (b'{"tokens":[{"token":"a"},{"token":"b","\\u0074oken":"c"}]}', "$.tokens[1].token"),
        (b'{"ana@mail.example":1,"ana@mail.example":2}', "$[...]"),
        (b'{"x":[[{"Ana":{"token":1,"token":1}}]]}', "$[...][0][0][...].token"),
        (b'{"tokens":[{"token":"a"},{"token":"a"}],"x":{"token":1}}', None),
        (b'{"x":' + b"1" * 5000 + b"}", None),
        (b"[]", None),
    ],
)
def test_a_duplicate_key_is_named_by_its_path_and_never_by_a_foreign_name(body, path):
    assert find_duplicate_key(body) == path


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":"\xff"}', b"[" * 100_000 + b"]" * 100_000])
def test_what_cannot_be_read_is_refused_without_quoting_it(body):
    with pytest.raises(UnreadableBody) as refusal:
        find_duplicate_key(body)
    assert refusal.value.__cause__ is None
    assert str(refusal.value) == UnreadableBody.__doc__


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (b'{"sendKey":"a","tokens":[]}', True),
        (b' {"tokens" : [ ] ,"sendKey":"a"}\n', True),
        (b'{"tokens":[{"token":"t","subscriberKey":null,"tokenRequestId":"r"}]}', True),
        (b'{"sendKey":"a b","tokens":[]}', True),
        (b'{"sendKey":"a","tokens":[],"x":1}', False),
        (b'{"tokens":[],"tokens":[]}', False),
        (b'{"sendKey":"\\u0061","tokens":[]}', False),
        (b'{"send Key":"ab","tokens":[]}', False),
        (b'{"sendKey":"a","sendKey":"b","tokens":[]}', False),
        # As long as our own spelling once the blanks are gone: the unknown field makes up for them.
        (b'{"sendKey":"%b","tokens":[],"ana@mail.example":1}' % (b" " * 21), False),
        (b'{"tokens":[],"sendKey":"\\u000B"}', False),
    ],
)
def test_plain_is_our_own_spelling_but_for_order_and_whitespace(body, plain):
    assert is_plain(body, msgspec.json.decode(body, type=ResolveRequest)) is plain


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


brackets_in_strings = st.text(alphabet='[]{}"\\a', max_size=6)
trees = st.recursive(
    st.one_of(st.integers(), brackets_in_strings),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(brackets_in_strings, inner, max_size=3)
    ),
)


@given(trees, st.integers(0, 6))
def test_depth_is_measured_outside_strings(tree, limit):
    assert exceeds_depth(json.dumps(tree).encode(), limit) == (depth(tree) > limit)


def test_the_limit_itself_is_allowed_and_brackets_in_strings_hide_nothing():
    assert not exceeds_depth(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert exceeds_depth(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
    assert exceeds_depth(b'["]",' * 50 + b"1" + b',"["]' * 50)


def cut(body):
    cut_resolve_request(body, known_tokens=(), known_subscriber_keys=(), residue=Residue())


def duplicates(body):
    with contextlib.suppress(UnreadableBody):
        find_duplicate_key(body)


ATTACKS = {
    "open brackets": lambda n: b"[" * n,
    "open objects": lambda n: b'{"a":' * (n // 5),
    "quotes": lambda n: b'"' * n,
    "escaped quotes without an end": lambda n: b'{"a":"' + b'\\"' * (n // 2),
    "escaped quotes": lambda n: b'{"a":"' + b'\\"' * (n // 2) + b'"}',
    "backslashes": lambda n: b'{"sendKey":"' + b"\\\\" * (n // 2) + b'"}',
    "whitespace": lambda n: b"{" + b" " * n + b"x",
    "whitespace in an array": lambda n: b'{"tokens":[' + b" " * n + b"]}",
    "a long id": lambda n: b'{"sendKey":"' + b"a." * (n // 2) + b'!"}',
    "a long number": lambda n: b'{"sendKey":"' + b"0" * n + b'!"}',
    "many members": lambda n: b"{" + b",".join([b'"":1'] * (n // 5)) + b"}",
    "many items": lambda n: b'{"tokens":[' + b",".join([b"{}"] * (n // 3)) + b"]}",
    "many brackets": lambda n: b'{"a":[' + b",".join([b"[]"] * (n // 3)) + b"]}",
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("check", [cut, exceeds_depth, duplicates])
def test_hostile_bodies_cost_time_in_proportion_to_their_size(check, attack):
    def seconds(size):
        body = ATTACKS[attack](size)
        rounds = []
        gc.disable()  # a full collection walks the heap of the whole test run, which is not what is measured
        try:
            for _ in range(3):
                start = time.thread_time()
                check(body)
                rounds.append(time.thread_time() - start)
        finally:
            gc.enable()
        return min(rounds)

    small, large = seconds(12_500), seconds(100_000)
    # Eight times the bytes: in proportion is 8, quadratic is 64. Below a few milliseconds it can't matter.
    assert large < max(24 * small, 0.01)
