"""Request bodies as strangers might spell them, with canaries: clear values that no skeleton may show."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st

MAILS = ("ana.lima@mail.example", "zoë@post.example", 'o"hara@mail.example', "jürgen+x@bücher.example")
PHONES = ("13175550101", "+49 30 1234567", "447700900123", "0013175550199")
NAMES = ("Ana Lima", "Zoë Ångström", 'Anna "Nina" Ruiz', "山田太郎", "Back\\slash Joe", "Tab\tby")
CANARIES = MAILS + PHONES + NAMES

TOKENS = ("k7q2abcdefgh@tok.example.net", "mfrggzdfmztwq2lk@tok.example.net", "199991111222233")
KEYS = ("SUB-001", "SUB-002", "crm/42 x")
REFERENCES = {"ana.lima@mail.example": 7, "13175550101": 8, 'o"hara@mail.example': 9}


@dataclass
class Node:
    """A JSON value with its exact spelling: a literal, or members, or elements."""

    literal: str | None = None
    members: list[tuple[str, "Node"]] = field(default_factory=list)
    elements: list["Node"] | None = None

    def spell(self, blank: Callable[[], str]) -> str:
        if self.literal is not None:
            return self.literal
        if self.elements is not None:
            inside = ",".join(blank() + element.spell(blank) + blank() for element in self.elements)
            return f"[{inside or blank()}]"
        inside = ",".join(
            f"{blank()}{name}{blank()}:{blank()}{node.spell(blank)}{blank()}" for name, node in self.members
        )
        return f"{{{inside or blank()}}}"


def escape_all(value: str) -> str:
    units = value.encode("utf-16-be").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def spellings(value: str) -> list[str]:
    """A string literal as several encoders write it."""
    plain, ascii_only = json.dumps(value, ensure_ascii=False), json.dumps(value)
    first = f'"{escape_all(value[:1])}{json.dumps(value[1:], ensure_ascii=False)[1:]}'
    return [plain, ascii_only, f'"{escape_all(value)}"', first, plain.replace("/", "\\/")]


def literals(*values: str) -> st.SearchStrategy[str]:
    """Strings in any spelling, the usual one most of the time."""
    odd = st.sampled_from(values).flatmap(lambda value: st.sampled_from(spellings(value)))
    return st.one_of(usual(*values), usual(*values), odd)


def usual(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from(values).map(lambda value: json.dumps(value, ensure_ascii=False))


canaries = literals(*CANARIES)
odd_scalars = st.sampled_from(["null", "true", "12", "-1.5e3", "13175550101", "447700900123.0", '""'])
strange = st.recursive(
    st.one_of(canaries, odd_scalars).map(Node),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda elements: Node(elements=elements)),
        st.lists(st.tuples(canaries, inner), max_size=3).map(lambda members: Node(members=members)),
    ),
    max_leaves=5,
)

# For each field the strings that belong there, and the clear ones that may turn up instead. Names are left
# out of ids: nothing tells "Ana" from an id.
Fields = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
IDS = ("0b6c", "0b6c1d5e-7f00-4c1d-9e55-1234567890ab", "r-0000042", "9" * 32, "send.42")
IDENTIFIERS = MAILS + PHONES
RESOLVE: Fields = {
    "tokenRequestId": (IDS, IDENTIFIERS),
    "token": (TOKENS, CANARIES),
    "subscriberKey": (KEYS, CANARIES),
}
GET_TOKEN: Fields = {
    "tokenRequestId": (IDS, IDENTIFIERS),
    "tokenValue": (tuple(REFERENCES), CANARIES),
    "tokenType": (("Email", "MobileNumber"), CANARIES),
    "privateCode": (("46356", "123"), CANARIES),
}
OPTIONAL = ("subscriberKey", "privateCode")


def value(good: tuple[str, ...], clear: tuple[str, ...], *, regular: bool) -> st.SearchStrategy[Node]:
    if regular:
        return st.one_of(usual(*good), usual(*good), usual(*clear)).map(Node)
    strings = [literals(*good), literals(*good), literals(*clear), odd_scalars]
    return st.one_of(*(strategy.map(Node) for strategy in strings), strange)


@st.composite
def items(draw: st.DrawFn, fields: Fields, *, regular: bool) -> Node:
    if not regular and draw(st.integers(0, 9)) == 0:
        return draw(strange)
    names = [name for name in fields if name not in OPTIONAL or draw(st.booleans())]
    members = [(json.dumps(name), draw(value(*fields[name], regular=regular))) for name in names]
    if not regular and draw(st.booleans()):
        name = draw(st.sampled_from(list(fields)))
        members.append((draw(literals(name)), draw(value(*fields[name], regular=False))))
    if not regular and draw(st.booleans()):
        members.append((draw(canaries), draw(strange)))
    if draw(st.integers(0, 3)) == 0:
        members = draw(st.permutations(members))
    return Node(members=members)


def _blanks(seed: int | None) -> Callable[[], str]:
    if seed is None:
        return str
    chance = random.Random(seed)
    return lambda: chance.choice(["", "", " ", "\n\t", "\r\n  "])


@st.composite
def bodies(draw: st.DrawFn, array: str, fields: Fields) -> bytes:
    """A whole request body; half of them hold nothing but what the contract has, clear values apart."""
    regular = draw(st.booleans())
    elements = draw(st.lists(items(fields, regular=regular), max_size=5))
    if elements and draw(st.booleans()):
        elements.append(draw(st.sampled_from(elements)))
    members = [(json.dumps(array), Node(elements=elements))]
    if fields is RESOLVE:
        members.insert(0, ('"sendKey"', draw(value(IDS, IDENTIFIERS, regular=regular))))
    if not regular and draw(st.booleans()):
        members.append((draw(st.one_of(canaries, st.just(json.dumps(array)))), draw(strange)))
    blank = _blanks(draw(st.one_of(st.none(), st.integers(0, 99))))
    text = blank() + Node(members=members).spell(blank) + blank()
    if draw(st.integers(0, 4)) == 0:
        text = json.dumps(json.loads(text), ensure_ascii=not regular)
    return text.encode()


resolve_bodies = bodies("tokens", RESOLVE)
get_token_bodies = bodies("tokenValues", GET_TOKEN)


def shown_canaries(skeleton: bytes, *, allowed: tuple[str, ...] = ()) -> list[str]:
    """The canaries that can be read in a skeleton, raw or in any JSON spelling."""
    text = skeleton.decode("utf-8", "replace").casefold()
    return [
        canary
        for canary in CANARIES
        if canary not in allowed and any(form[1:-1].casefold() in text for form in spellings(canary))
    ]
