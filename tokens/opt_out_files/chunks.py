"""Chunks of a file as they are stored, and the leases by which workers share them.

A chunk is claimed by one committed statement that raises its epoch. All that its lines bring about is in one later
transaction, whose last statement finishes the chunk if the epoch is still the claimed one: a worker that was stopped
for long, and goes on, writes nothing.
"""

import datetime
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import msgspec
import zstandard
from django.conf import settings
from django.db import connection
from psycopg.types.json import Jsonb

from tokens.crypto import envelope
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose
from tokens.models import OptOutChunk, OptOutFile
from tokens.no_token_queue.errors import TooLarge
from tokens.no_token_queue.reading import Record

LINES: Final = 1000
# A few bytes are a line too, and each that is refused becomes a row.
MOST_LINES: Final = 2_000_000
MOST_FAILURES: Final = 3
# A chunk that failed waits so long before it is tried again.
BACK_OFF: Final = datetime.timedelta(seconds=3)
_LEVEL: Final = 3
_AT_ONCE: Final = 20

CLAIM: Final = """
UPDATE tokens_optoutchunk chunk SET epoch = epoch + 1, lease_until = clock_timestamp() + %(lease)s
WHERE id = (
    SELECT id FROM tokens_optoutchunk
    WHERE file_id = %(file)s AND state = 'pending' AND (lease_until IS NULL OR lease_until < clock_timestamp())
      AND EXISTS (SELECT FROM tokens_optoutfile WHERE id = %(file)s AND state = 'running')
    ORDER BY number
    LIMIT 1
    FOR UPDATE SKIP LOCKED)
RETURNING id, number, epoch, source
"""

FINISH: Final = """
UPDATE tokens_optoutchunk SET state = 'done', source = NULL, counts = %(counts)s, lease_until = NULL
WHERE id = %(chunk)s AND state = 'pending' AND epoch = %(epoch)s
"""

GIVE_BACK: Final = """
UPDATE tokens_optoutchunk
SET failures = failures + %(failures)s, lease_until = clock_timestamp() + %(back_off)s
WHERE id = %(chunk)s AND state = 'pending' AND epoch = %(epoch)s
RETURNING failures
"""

COUNTS: Final = """
SELECT count(*) FILTER (WHERE state = 'pending'), coalesce(sum(lines) FILTER (WHERE state = 'done'), 0),
       coalesce(sum((counts->>'new')::int), 0), coalesce(sum((counts->>'known')::int), 0),
       coalesce(sum((counts->>'skipped')::int), 0), coalesce(sum((counts->>'refused')::int), 0)
FROM tokens_optoutchunk WHERE file_id = %s
"""


class LeaseLost(Exception):
    """Another worker has claimed the chunk: nothing of it may be written."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to finish a chunk, as long as nobody claims it anew."""

    chunk_id: int
    number: int
    epoch: int
    source: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """What committed chunks add up to."""

    pending: int
    done: int
    new: int
    known: int
    skipped: int
    refused: int


def cut(file: OptOutFile, records: Iterable[Record]) -> int:
    """Keep the records of a file in chunks; how many records there were. Raises TooLarge."""
    total, batch = 0, list[OptOutChunk]()
    for number, some in enumerate(_some(records), start=1):
        total += len(some)
        if total > MOST_LINES:
            raise TooLarge(f"more than {MOST_LINES:,} lines")
        batch.append(
            OptOutChunk(
                enterprise_id=file.enterprise_id,
                file=file,
                number=number,
                lines=len(some),
                source=_sealed(file, number, some),
            )
        )
        if len(batch) == _AT_ONCE:
            OptOutChunk.objects.bulk_create(batch)
            batch.clear()
    OptOutChunk.objects.bulk_create(batch)
    return total


def records_of(file: OptOutFile, number: int, source: bytes) -> list[Record]:
    """The records of a chunk. Raises CannotOpen, also if it belongs to another chunk or file."""
    packed = keyring(file.enterprise_id).open(source, _place(file, number))
    rows = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(packed))
    return [Record(line, tuple(cells), "", fault, column) for line, cells, fault, column in rows]


def claim(file_id: uuid.UUID, *, seconds: float | None = None) -> Lease | None:
    """The first free chunk of a running file, for so many seconds (BULK_LEASE_SECONDS); None if there is none now."""
    lease = datetime.timedelta(seconds=settings.BULK_LEASE_SECONDS if seconds is None else seconds)
    parameters: dict[str, Any] = {"file": file_id, "lease": lease}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, parameters)
        row = cursor.fetchone()
    return None if row is None else Lease(row[0], row[1], row[2], bytes(row[3]))


def finish(lease: Lease, counts: dict[str, int]) -> None:
    """Mark the chunk done, in the transaction of its work. Raises LeaseLost, and the transaction must be undone."""
    parameters: dict[str, Any] = {"chunk": lease.chunk_id, "epoch": lease.epoch, "counts": Jsonb(counts)}
    with connection.cursor() as cursor:
        cursor.execute(FINISH, parameters)
        if cursor.rowcount != 1:
            raise LeaseLost


def give_back(lease: Lease, *, counts_as_failure: bool) -> bool:
    """Free a chunk that was not taken over; whether it failed too often."""
    parameters: dict[str, Any] = {
        "chunk": lease.chunk_id, "epoch": lease.epoch, "back_off": BACK_OFF, "failures": int(counts_as_failure),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(GIVE_BACK, parameters)
        row = cursor.fetchone()
    return row is not None and row[0] >= MOST_FAILURES


def progress(file: OptOutFile) -> Progress:
    """What committed chunks add up to."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, [file.pk])
        return Progress(*map(int, cursor.fetchone()))


def _some(records: Iterable[Record]) -> Iterator[Sequence[Record]]:
    rest = iter(records)
    while some := list(islice(rest, LINES)):
        yield some


def _sealed(file: OptOutFile, number: int, records: Sequence[Record]) -> bytes:
    rows = [(one.line, one.cells, one.fault, one.column) for one in records]
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.msgpack.encode(rows))
    return keyring(file.enterprise_id).seal(Purpose.CONSENT, packed, _place(file, number))


def _place(file: OptOutFile, number: int) -> bytes:
    return envelope.place("tokens.OptOutChunk", "source", file.enterprise_id, file.pk, number)
