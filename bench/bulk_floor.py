"""The measured floor of bulk conversion (decision 15): the same work on the same tables, without a framework.

For each batch: parse, normalise, blind index, draw, seal, sorted COPY into a staging table, upsert into the vault's
own tables with all their indexes and foreign keys, contacts and links too, and the rows written with their tokens.
No jobs, no leases, no sealed slices, no rejects file, no recognition of tokens, no audit trail. The result is right,
so it can be compared with the portal's row by row.
"""

import csv
import gc
import hmac
import multiprocessing
import os
import shutil
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.cpu import TreeMeter
from bench.floor import Keys
from tokens.crypto import envelope
from tokens.formats.kinds import Kind
from tokens.formats.normalise import InvalidValue, normaliser
from tokens.formats.token_email import draw_email_tokens
from tokens.formats.token_mobile import draw_mobile_tokens

BATCH = 5_000
STAGING = {
    "new_mapping": "n int, kind smallint, blind_index bytea, token text, value bytea",
    "new_contact": "n int, subscriber_key text",
    "new_link": "mapping_id bigint, contact_id bigint, is_first bool",
}
UPSERT_MAPPINGS = """
INSERT INTO tokens_mapping (enterprise_id, kind, token, value, index_version_1, blind_index_1)
SELECT %s, kind, token, value, 1, blind_index FROM new_mapping ORDER BY n
ON CONFLICT DO NOTHING
RETURNING id, token
"""
FIND_MAPPINGS = """
SELECT new.n, mapping.id, mapping.token
FROM unnest(%s::int[]) AS missing (n) JOIN new_mapping new USING (n)
CROSS JOIN LATERAL (
    SELECT id, token FROM tokens_mapping
    WHERE enterprise_id = %s AND kind = new.kind AND blind_index_1 = new.blind_index AND state <> 3 LIMIT 1
) AS mapping
"""
UPSERT_CONTACTS = """
INSERT INTO tokens_contact (enterprise_id, subscriber_key)
SELECT %s, subscriber_key FROM new_contact ORDER BY n
ON CONFLICT DO NOTHING
RETURNING id, subscriber_key
"""
FIND_CONTACTS = """
SELECT subscriber_key, id FROM tokens_contact WHERE enterprise_id = %s AND subscriber_key = ANY(%s)
"""
UPSERT_LINKS = """
INSERT INTO tokens_contactmapping (enterprise_id, mapping_id, contact_id, is_primary)
SELECT %s, new.mapping_id, new.contact_id, new.is_first AND NOT EXISTS (
    SELECT FROM tokens_contactmapping WHERE mapping_id = new.mapping_id AND is_primary)
FROM new_link new
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class Columns:
    """Names of the columns in the file."""

    key: str
    email: str
    mobile: str


@dataclass(frozen=True)
class Spent:
    """Seconds of the clock, and CPU seconds of all processes, PostgreSQL's included."""

    seconds: float
    cpu: float


class Converter:
    """One connection and the keys."""

    def __init__(self, url: str, keys: Keys) -> None:
        self.enterprise_id = keys.enterprise_id
        self.token_domain = keys.token_domain
        self.index_key = keys.index_key
        self.seal = envelope.sealer(AESGCM(keys.secrets[keys.value_key]), keys.value_key)
        self.normalise = {kind: normaliser(kind) for kind in Kind}
        self.connection = psycopg.connect(url)
        self.connection.prepare_threshold = 0
        self.cursor = self.connection.cursor(binary=True)
        for table, columns in STAGING.items():
            self.cursor.execute(f"CREATE TEMP TABLE {table} ({columns}) ON COMMIT DELETE ROWS")
        self.connection.commit()

    def convert(self, rows: list[list[str]], key: int, email: int, mobile: int) -> None:
        """Put the tokens of a batch in the place of its values; cells that are invalid are emptied."""
        forms = {
            Kind.EMAIL: self._forms(Kind.EMAIL, rows, email),
            Kind.MOBILE: self._forms(Kind.MOBILE, rows, mobile),
        }
        found = self._mappings(forms, rows, {Kind.EMAIL: email, Kind.MOBILE: mobile})
        contacts = self._contacts([row[key] for row in rows])
        self._links(forms, found, contacts, [row[key] for row in rows])
        self.connection.commit()
        for kind, place in ((Kind.EMAIL, email), (Kind.MOBILE, mobile)):
            for row, form in zip(rows, forms[kind], strict=True):
                row[place] = found[kind, form][1] if form else ""

    def _forms(self, kind: Kind, rows: list[list[str]], place: int) -> list[str]:
        normalise, forms = self.normalise[kind], []
        for row in rows:
            try:
                forms.append(normalise(row[place]) if row[place] else "")
            except InvalidValue:
                forms.append("")
        return forms

    def _mappings(
        self, forms: dict[Kind, list[str]], rows: list[list[str]], places: dict[Kind, int]
    ) -> dict[tuple[Kind, str], tuple[int, str]]:
        spellings: dict[tuple[Kind, str], str] = {}
        for kind, of_rows in forms.items():
            for row, form in zip(rows, of_rows, strict=True):
                if form:
                    spellings.setdefault((kind, form), row[places[kind]])
        wanted = sorted(spellings)
        numbers = [form for kind, form in wanted if kind is Kind.MOBILE]
        tokens = draw_email_tokens(len(wanted) - len(numbers), self.token_domain) + draw_mobile_tokens(
            numbers
        )
        seal, key, enterprise_id = self.seal, self.index_key, self.enterprise_id
        at = {
            kind: f"tokens.Mapping\x1fvalue\x1f{enterprise_id}\x1f{kind.value}\x1f".encode() for kind in Kind
        }
        said = {kind: f"{enterprise_id}\x1f{kind.value}\x1f1\x1f".encode() for kind in Kind}
        with self.cursor.copy("COPY new_mapping FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(("int4", "int2", "bytea", "text", "bytea"))
            for n, (one, token) in enumerate(zip(wanted, tokens, strict=True)):
                kind, form = one
                index = hmac.digest(key, said[kind] + form.encode(), "sha256")
                copy.write_row(
                    (n, kind.value, index, token, seal(spellings[one].encode(), at[kind] + token.encode()))
                )
        self.cursor.execute(UPSERT_MAPPINGS, [enterprise_id])
        by_token = dict(zip(tokens, wanted, strict=True))
        found = {by_token[token]: (mapping_id, token) for mapping_id, token in self.cursor}
        missing = [n for n, one in enumerate(wanted) if one not in found]
        if missing:
            self.cursor.execute(FIND_MAPPINGS, [missing, enterprise_id])
            found |= {wanted[n]: (mapping_id, token) for n, mapping_id, token in self.cursor}
        return found

    def _contacts(self, keys: list[str]) -> dict[str, int]:
        wanted = sorted(set(keys))
        with self.cursor.copy("COPY new_contact FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(("int4", "text"))
            for row in enumerate(wanted):
                copy.write_row(row)
        self.cursor.execute(UPSERT_CONTACTS, [self.enterprise_id])
        found = {key: contact_id for contact_id, key in self.cursor}
        missing = [key for key in wanted if key not in found]
        if missing:
            self.cursor.execute(FIND_CONTACTS, [self.enterprise_id, missing])
            found |= dict(self.cursor.fetchall())
        return found

    def _links(
        self,
        forms: dict[Kind, list[str]],
        found: dict[tuple[Kind, str], tuple[int, str]],
        contacts: dict[str, int],
        keys: list[str],
    ) -> None:
        pairs: dict[tuple[int, int], bool] = {}
        first: set[int] = set()
        for kind, of_rows in forms.items():
            for form, key in zip(of_rows, keys, strict=True):
                if form:
                    mapping_id = found[kind, form][0]
                    pairs.setdefault((mapping_id, contacts[key]), mapping_id not in first)
                    first.add(mapping_id)
        with self.cursor.copy("COPY new_link FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(("int8", "int8", "bool"))
            for (mapping_id, contact_id), is_first in sorted(pairs.items()):
                copy.write_row((mapping_id, contact_id, is_first))
        self.cursor.execute(UPSERT_LINKS, [self.enterprise_id])


def convert(
    source: Path,
    out: Path,
    *,
    url: str,
    postmaster: int,
    keys: Keys,
    columns: Columns,
    workers: int = 2,
    batch: int = BATCH,
) -> Spent:
    """Convert a file with so many processes, of which each takes its share of the batches.

    `postmaster` is the process of the PostgreSQL server, whose CPU is counted with ours.
    """
    context = multiprocessing.get_context("spawn")
    ready, begin, spent = context.Barrier(workers + 1), context.Event(), context.Queue()
    jobs = [(source, out, url, keys, columns, range(own, 1 << 32, workers), batch) for own in range(workers)]
    crew = [context.Process(target=_work, args=(ready, begin, spent, *job)) for job in jobs]
    for process in crew:
        process.start()
    ready.wait(120)  # who fails to start must not be waited for
    meter, started = TreeMeter([os.getpid(), postmaster]), time.perf_counter()
    begin.set()
    for _ in crew:
        spent.get()
    _concatenate(source, out)
    seconds = time.perf_counter() - started
    cpu = meter.used()
    for process in crew:
        process.join()
    return Spent(seconds, cpu)


def _work(
    ready: Any,
    begin: Any,
    spent: Any,
    source: Path,
    out: Path,
    url: str,
    keys: Keys,
    columns: Columns,
    own: range,
    batch: int,
) -> None:
    gc.disable()
    converter = Converter(url, keys)
    ready.wait(120)
    begin.wait()
    with source.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        places = [header.index(name) for name in (columns.key, columns.email, columns.mobile)]
        for number, rows in enumerate(iter(lambda: list(islice(reader, batch)), [])):
            if number in own:
                converter.convert(rows, *places)
                with _part(out, number).open("w", encoding="utf-8", newline="") as part:
                    csv.writer(part).writerows(rows)
    spent.put(None)


def _part(out: Path, number: int) -> Path:
    return out.with_name(f"{out.name}.{number}")


def _concatenate(source: Path, out: Path) -> None:
    with source.open("rb") as file, out.open("wb") as whole:
        whole.write(file.readline())
        number = 0
        while (part := _part(out, number)).exists():
            with part.open("rb") as rows:
                shutil.copyfileobj(rows, whole)
            part.unlink()
            number += 1
