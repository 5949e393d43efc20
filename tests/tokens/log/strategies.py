"""Requests as Marketing Cloud, a careless customer or an attacker might send them, spelled in every way JSON allows."""

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Sent:
    """A body and how it travels; `body` is the content-decoded one."""

    api: str
    body: bytes = field(repr=False)
    packed: bool
    wants_gzip: bool

    @property
    def wire(self) -> bytes:
        return gzip.compress(self.body, mtime=0) if self.packed else self.body

    @property
    def headers(self) -> dict[str, str | None]:
        return {
            "Content-Encoding": "gzip" if self.packed else None,
            "Accept-Encoding": "gzip" if self.wants_gzip else None,
        }


@dataclass(frozen=True)
class Cast:
    """What may stand in a request: tokens of ours, keys of ours, and clear values (the canaries)."""

    tokens: list[str]
    keys: list[str]
    clear: list[str]


def requests(people: Cast) -> st.SearchStrategy[Sent]:
    """Requests of both APIs: mostly well formed, sometimes cut, sometimes no JSON at all."""
    return st.one_of(*(_requests(people, api) for api in ("resolve", "get")))


def _requests(people: Cast, api: str) -> st.SearchStrategy[Sent]:
    item = _resolve_item(people) if api == "resolve" else _get_item(people)
    array = "tokens" if api == "resolve" else "tokenValues"
    top = st.fixed_dictionaries(
        {array: st.lists(item, max_size=6)},
        optional={"sendKey": _text(people) | st.none(), **_extras(people)},
    )
    well_formed = st.builds(_spelled, top, st.randoms(use_true_random=False))
    return st.builds(
        Sent,
        api=st.just(api),
        body=st.one_of(*[well_formed] * 8, st.builds(_cut, well_formed, st.floats(0, 1)), _garbage(people)),
        packed=st.booleans(),
        wants_gzip=st.booleans(),
    )


def _resolve_item(people: Cast) -> st.SearchStrategy[dict[str, Any]]:
    token = st.sampled_from(people.tokens)
    return st.fixed_dictionaries(
        {
            "tokenRequestId": _ids(people),
            "token": token | token.map(str.upper) | token.map(" {}\t".format) | _text(people),
        },
        optional={
            "subscriberKey": st.sampled_from(people.keys) | _text(people) | st.none(),
            **_extras(people),
        },
    )


def _get_item(people: Cast) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "tokenRequestId": _ids(people),
            "tokenValue": _text(people),
            "tokenType": st.sampled_from(["Email", "MobileNumber", "Email", "MobileNumber", "Pager"]),
        },
        optional={"privateCode": st.sampled_from(["46356", "123"]) | _text(people), **_extras(people)},
    )


def _ids(people: Cast) -> st.SearchStrategy[str]:
    return st.uuids().map(str) | st.sampled_from(["r-1", "r-2"]) | _text(people)


def _text(people: Cast) -> st.SearchStrategy[str]:
    clear = st.sampled_from(people.clear)
    return st.one_of(
        clear,
        clear.map(str.upper),
        clear.map("  {} ".format),
        clear.map('"{}\\'.format),
        clear.map("Näme <{}>\u2028".format),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    )


def _extras(people: Cast) -> dict[str, st.SearchStrategy[Any]]:
    """Unknown fields, of which names and values may be clear."""
    values = st.recursive(
        _text(people) | st.integers() | st.none() | st.booleans(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_text(people), inner, max_size=2),
        max_leaves=4,
    )
    return dict.fromkeys(("colour", people.clear[0]), values)


def _garbage(people: Cast) -> st.SearchStrategy[bytes]:
    return st.sampled_from(people.clear).map(str.encode) | st.binary(max_size=40)


def _cut(body: bytes, share: float) -> bytes:
    return body[: int(len(body) * share)]


def _spelled(value: Any, random: Any) -> bytes:
    """JSON with odd blanks, odd order and odd escapes."""
    return _spell(value, random).encode()


def _spell(value: Any, random: Any) -> str:
    blank = random.choice(["", "", "", " ", "\n\t"])
    if isinstance(value, dict):
        members = list(value.items())
        random.shuffle(members)
        inside = f",{blank}".join(f"{_literal(k, random)}{blank}:{_spell(v, random)}" for k, v in members)
        return f"{{{blank}{inside}{blank}}}"
    if isinstance(value, list):
        return f"[{blank}{','.join(_spell(one, random) for one in value)}{blank}]"
    return _literal(value, random) if isinstance(value, str) else json.dumps(value)


def _literal(text: str, random: Any) -> str:
    way = random.randrange(6)
    if way == 0:
        return (
            '"' + "".join(f"\\u{ord(c):04X}" if ord(c) < 0x10000 else json.dumps(c)[1:-1] for c in text) + '"'
        )
    if way == 1:
        return json.dumps(text).replace("/", "\\/")
    return json.dumps(text, ensure_ascii=way == 2)
