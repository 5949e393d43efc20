"""The rows of the benchmark: an embedded PostgreSQL of its own, loaded set-based and kept between runs.

Every row is genuine: sealed by the keyring of its enterprise and indexed by its blind index, with tokens as the vault
draws them. Mapping 2i+1 is the address of person i, mapping 2i+2 the number.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench import people
from portal.embedded import EmbeddedServices, Urls

CHECKOUT = Path(__file__).resolve().parent.parent
STATE = CHECKOUT / "var" / "bench"
CHUNK = 20_000
TOKEN_DOMAIN = "tok.bench.example"


@dataclass(frozen=True)
class Fixture:
    """Where the rows are and how to call the portal about them."""

    rows: int
    enterprise_id: int
    basic: tuple[str, str]
    oauth: tuple[str, str]
    twin_key: str
    twin_token: str
    version: str

    @property
    def people(self) -> int:
        return self.rows // 2


@contextlib.contextmanager
def servers() -> Iterator[Urls]:
    """The embedded servers of the benchmark while it runs."""
    services = EmbeddedServices(STATE)
    urls = services.start()
    try:
        yield urls
    finally:
        services.stop()


def version() -> str:
    """What the stored rows depend on: this code and the schema."""
    sources = [
        Path(__file__),
        Path(people.__file__),
        *sorted((CHECKOUT / "bench" / "plain_twin").glob("*.py")),
    ]
    for app in ("audit", "tokens", "portal"):
        sources += sorted((CHECKOUT / app / "migrations").glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


def stored() -> Fixture | None:
    """The fixture that an earlier run left, if this code made it."""
    try:
        found = json.loads((STATE / "fixture.json").read_text())
    except FileNotFoundError:
        return None
    if found["version"] != version():
        return None
    return Fixture(**found | {"basic": tuple(found["basic"]), "oauth": tuple(found["oauth"])})


def discard() -> None:
    """Remove the rows, the database and its keys."""
    if STATE.exists():
        EmbeddedServices(STATE).destroy()


def save(fixture: Fixture) -> None:
    """Remember a fixture that is whole; the file holds its credentials and is for the owner only."""
    descriptor = os.open(STATE / "fixture.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(fixture), file)


def load(rows: int, urls: Urls, enterprise_id: int, log: Any) -> None:
    """Fill the vault's tables of one enterprise with `rows` mappings and what belongs to them."""
    started = time.perf_counter()
    with psycopg.connect(urls.admin) as connection:
        # Rows come whole and consistent: checking each foreign key would double the time.
        connection.execute("SET session_replication_role = replica")
        for first in range(0, rows // 2, CHUNK):
            batch = range(first, min(first + CHUNK, rows // 2))
            _copy_people(connection, enterprise_id, batch)
            log(f"  {2 * batch.stop:>9,} of {rows:,} mappings, {time.perf_counter() - started:.0f} s")
        for table in ("mapping", "contact", "contactmapping"):
            connection.execute(
                f"SELECT setval(pg_get_serial_sequence('tokens_{table}', 'id'), max(id)) FROM tokens_{table}"
            )
    with psycopg.connect(urls.admin, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


MAPPINGS = (
    "tokens_mapping (id, enterprise_id, kind, state, index_version_1, token, value, blind_index_1)",
    ("int8", "int8", "int2", "int2", "int2", "varchar", "bytea", "bytea"),
)
CONTACTS = (
    "tokens_contact (id, enterprise_id, subscriber_key, attributes_id)",
    ("int8", "int8", "varchar", "uuid"),
)
ATTRIBUTES = (
    "tokens_attributeset (id, enterprise_id, contact_id, payload)",
    ("uuid", "int8", "int8", "bytea"),
)
LINKS = (
    "tokens_contactmapping (id, enterprise_id, mapping_id, contact_id, is_primary)",
    ("int8", "int8", "int8", "int8", "bool"),
)


def _copy_people(connection: psycopg.Connection[Any], enterprise_id: int, batch: range) -> None:
    import uuid_utils.compat

    sets = [uuid_utils.compat.uuid7() for _ in batch]
    _copy(connection, MAPPINGS, _mapping_rows(enterprise_id, batch))
    _copy(
        connection,
        CONTACTS,
        ((i + 1, enterprise_id, people.key(i), uid) for i, uid in zip(batch, sets, strict=True)),
    )
    _copy(connection, ATTRIBUTES, _attribute_rows(enterprise_id, batch, sets))
    _copy(
        connection,
        LINKS,
        ((2 * i + n, enterprise_id, 2 * i + n, i + 1, True) for i in batch for n in (1, 2)),
    )


def _mapping_rows(enterprise_id: int, batch: range) -> Iterator[tuple[Any, ...]]:
    from tokens.crypto.envelope import place
    from tokens.crypto.keyring import keyring
    from tokens.crypto.keyset import Purpose
    from tokens.formats.kinds import Kind
    from tokens.formats.normalise import normalise
    from tokens.formats.token_email import draw_email_tokens
    from tokens.formats.token_mobile import draw_mobile_tokens

    ring = keyring(enterprise_id)
    addresses = draw_email_tokens(len(batch), TOKEN_DOMAIN)
    numbers = draw_mobile_tokens([people.mobile(i) for i in batch])
    for i, address, number in zip(batch, addresses, numbers, strict=True):
        for n, kind, value, token in (
            (1, Kind.EMAIL, people.email(i), address),
            (2, Kind.MOBILE, people.mobile(i), number),
        ):
            at = place("tokens.Mapping", "value", enterprise_id, kind.value, token)
            sealed = ring.seal(Purpose.VALUE, value.encode(), at)
            index = ring.blind_index(kind.value, normalise(kind, value))
            yield 2 * i + n, enterprise_id, kind.value, 1, 1, token, sealed, index


def _attribute_rows(enterprise_id: int, batch: range, sets: list[Any]) -> Iterator[tuple[Any, ...]]:
    from tokens.crypto.envelope import place
    from tokens.crypto.keyring import keyring
    from tokens.crypto.keyset import Purpose

    ring = keyring(enterprise_id)
    for i, uid in zip(batch, sets, strict=True):
        at = place("tokens.AttributeSet", "payload", enterprise_id, uid)
        yield uid, enterprise_id, i + 1, ring.seal(Purpose.ATTRIBUTES, people.wire_attributes(i), at)


def _copy(connection: psycopg.Connection[Any], table: tuple[str, tuple[str, ...]], rows: Any) -> None:
    target, types = table
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
