"""The measured floor (decision 15): the same work over the same rows without a framework.

Resolve: one SELECT over mapping, link, contact and attributes, open, encode. Get Token: normalise, blind index, one
SELECT, encode; for new values also draw, seal and three INSERTs in one transaction. No HTTP, no authentication, no
payload log. Each statement is prepared, parameters and results are binary. CPU is this process and its backend.
"""

import hmac
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.cpu import Meter
from tokens.crypto import envelope
from tokens.formats.kinds import Kind
from tokens.formats.normalise import normalise
from tokens.formats.token_email import draw_email_tokens
from tokens.formats.token_mobile import draw_mobile_tokens

RESOLVE = """
SELECT m.token, m.kind, m.value, l.id, c.subscriber_key, a.id::text, a.payload
FROM tokens_mapping m
JOIN tokens_contactmapping l ON l.mapping_id = m.id AND l.is_primary
JOIN tokens_contact c ON c.id = l.contact_id
LEFT JOIN tokens_attributeset a ON a.id = c.attributes_id
WHERE m.enterprise_id = %s AND m.token = ANY(%s) AND m.state = 1
"""
FIND = """
SELECT m.kind, m.blind_index_1, m.token, c.subscriber_key
FROM tokens_mapping m
JOIN tokens_contactmapping l ON l.mapping_id = m.id AND l.is_primary
JOIN tokens_contact c ON c.id = l.contact_id
WHERE m.enterprise_id = %s AND m.kind = %s AND m.blind_index_1 = ANY(%s) AND m.state <> 3
"""
ADD_MAPPINGS = """
INSERT INTO tokens_mapping (enterprise_id, kind, state, index_version_1, token, value, blind_index_1)
SELECT %s, %s, 1, 1, * FROM unnest(%s::varchar[], %s::bytea[], %s::bytea[]) RETURNING id
"""
ADD_CONTACTS = """
INSERT INTO tokens_contact (enterprise_id, subscriber_key) SELECT %s, * FROM unnest(%s::varchar[]) RETURNING id
"""
ADD_LINKS = """
INSERT INTO tokens_contactmapping (enterprise_id, mapping_id, contact_id, is_primary)
SELECT %s, mapping, contact, true FROM unnest(%s::bigint[], %s::bigint[]) AS pair (mapping, contact)
"""


@dataclass(frozen=True)
class Keys:
    """What the floor is given instead of a keyring: raw keys by id, the sealing key and the index key."""

    enterprise_id: int
    token_domain: str
    secrets: dict[int, bytes]
    value_key: int
    index_key: bytes


class Floor:
    """One connection and the keys."""

    def __init__(self, url: str, keys: Keys) -> None:
        self.keys = keys
        self.ciphers = {key_id: AESGCM(secret) for key_id, secret in keys.secrets.items()}
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.prepare_threshold = 0
        self.cursor = self.connection.cursor(binary=True)
        self.encode = msgspec.json.Encoder().encode

    def pids(self) -> list[int]:
        """This process and its backend."""
        return [os.getpid(), self.connection.info.backend_pid]

    def open(self, sealed: bytes, place: str) -> bytes:
        """The plaintext of an envelope at its place."""
        cipher = self.ciphers[int.from_bytes(sealed[1:5], "big")]
        return cipher.decrypt(sealed[5:17], sealed[17:], place.encode())

    def resolve(self, batch: list[tuple[str, str]]) -> bytes:
        """The answer to (request id, token) pairs."""
        enterprise_id = self.keys.enterprise_id
        self.cursor.execute(RESOLVE, (enterprise_id, [token for _, token in batch]))
        found = {}
        value_at, payload_at = (
            f"{model}\x1f{enterprise_id}\x1f"
            for model in ("tokens.Mapping\x1fvalue", "tokens.AttributeSet\x1fpayload")
        )
        for token, kind, value, _link, _key, set_id, payload in self.cursor:
            attributes = self.open(payload, f"{payload_at}{set_id}") if payload else b"[]"
            found[token] = (
                self.open(value, f"{value_at}{kind}\x1f{token}").decode(),
                msgspec.Raw(attributes),
            )
        resolved, unresolved = [], []
        for request_id, token in batch:
            if token in found:
                value, raw = found[token]
                resolved.append({"tokenRequestId": request_id, "tokenValue": value, "attributes": raw})
            else:
                unresolved.append({"tokenRequestId": request_id, "message": "token does not exist"})
        return self.encode({"resolvedTokens": resolved, "unresolvedTokens": unresolved})

    def index(self, kind: Kind, value: str) -> bytes:
        """Blind index of a clear value, which is normalised first."""
        text = f"{self.keys.enterprise_id}\x1f{kind.value}\x1f1\x1f{normalise(kind, value)}"
        return hmac.digest(self.keys.index_key, text.encode(), "sha256")

    def get_tokens(self, batch: list[tuple[str, Kind, str]]) -> bytes:
        """The answer to (request id, kind, value) triples, minting what is not there."""
        asked = [(request_id, kind, self.index(kind, value), value) for request_id, kind, value in batch]
        found: dict[bytes, tuple[str, str]] = {}
        for kind in Kind:
            indexes = [index for _, of, index, _ in asked if of is kind]
            self.cursor.execute(FIND, (self.keys.enterprise_id, kind.value, indexes))
            found |= {index: (token, key) for _, index, token, key in self.cursor}
        missing = [one for one in asked if one[2] not in found]
        if missing:
            with self.connection.transaction():
                for kind in Kind:
                    found |= self._mint(
                        kind, [(value, index) for _, of, index, value in missing if of is kind]
                    )
        answers = []
        for request_id, _, index, _ in asked:
            token, key = found[index]
            answers.append({"tokenRequestId": request_id, "token": token, "subscriberKey": key})
        return self.encode({"tokens": answers})

    def _mint(self, kind: Kind, missing: list[tuple[str, bytes]]) -> dict[bytes, tuple[str, str]]:
        if not missing:
            return {}
        enterprise_id, cipher = self.keys.enterprise_id, self.ciphers[self.keys.value_key]
        values, indexes = [value for value, _ in missing], [index for _, index in missing]
        if kind is Kind.EMAIL:
            tokens = draw_email_tokens(len(values), self.keys.token_domain)
        else:
            tokens = draw_mobile_tokens(values)
        seal = envelope.sealer(cipher, self.keys.value_key)
        place = f"tokens.Mapping\x1fvalue\x1f{enterprise_id}\x1f{kind.value}\x1f"
        sealed = [
            seal(value.encode(), f"{place}{token}".encode())
            for value, token in zip(values, tokens, strict=True)
        ]
        keys = [random.randbytes(16).hex() for _ in values]
        mappings = self.cursor.execute(ADD_MAPPINGS, (enterprise_id, kind.value, tokens, sealed, indexes))
        mapping_ids = [row[0] for row in mappings]
        contact_ids = [row[0] for row in self.cursor.execute(ADD_CONTACTS, (enterprise_id, keys))]
        self.cursor.execute(ADD_LINKS, (enterprise_id, mapping_ids, contact_ids))
        return dict(zip(indexes, zip(tokens, keys, strict=True), strict=True))

    def measure(self, verb: str, batches: list[Any]) -> tuple[float, float, bytes]:
        """(CPU seconds, seconds, last answer) of running `verb` over `batches`."""
        call: Callable[[Any], bytes] = getattr(self, verb)
        meter, started, answer = Meter(self.pids()), time.perf_counter(), b""
        for batch in batches:
            answer = call(batch)
        return meter.used(self.pids()), time.perf_counter() - started, answer


def _serve(pipe: Any, url: str, keys: Keys) -> None:
    floor = Floor(url, keys)
    while (order := pipe.recv()) is not None:
        pipe.send(floor.measure(*order))


@contextmanager
def process(url: str, keys: Keys) -> Iterator[Callable[[str, list[Any]], tuple[float, float, bytes]]]:
    """A process that holds one Floor; what is yielded is its `measure`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs, url, keys))
    child.start()

    def measure(verb: str, batches: list[Any]) -> tuple[float, float, bytes]:
        ours.send((verb, batches))
        answer = ours.recv()
        assert isinstance(answer, tuple)
        return answer

    try:
        yield measure
    finally:
        ours.send(None)
        child.join()
