"""The person's rows in the files of bulk jobs, which are kept sealed until a job is reconciled.

A row of theirs keeps its line and its subscriber key. Where an address or number of theirs stood, its token stands now,
which is read as an identifier too, so that read = minted + reused + … still holds; every other cell is emptied. All
other rows stay as they are, byte for byte.
"""

import io
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from tokens.bulk import slices
from tokens.bulk.columns import ColumnMap
from tokens.bulk.dialects import Dialect
from tokens.bulk.slices import Side
from tokens.crypto.keyring import IndexKey, keyring
from tokens.erasure.scope import Scope
from tokens.formats.kinds import Kind
from tokens.formats.lookalikes import canonical_token
from tokens.formats.normalise import normalise
from tokens.formats.reasons import InvalidValue
from tokens.models import BulkChunk, BulkJob, Enterprise
from tokens.vault.contacts import derived_key

# Where something stood that is no value of ours: not blank, since blank cells are counted apart, and no identifier.
ERASED: Final = "erased"
SIDES: Final[tuple[Side, ...]] = ("source", "output")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_DIGITS: Final = re.compile(r"[0-9]")


@dataclass(slots=True)
class Sweep:
    """How far a look through the files came: `chunk` is the last one (0: all are done), `rows` were theirs."""

    chunk: int
    rows: int


def sweep(scope: Scope, *, after: int, seconds: float) -> Sweep:
    """Empty the person's rows in every file of the enterprise that is still kept, from chunk `after` on.

    Each chunk is a transaction of its own. Worked again it finds nothing: that is how it is verified.
    """
    deadline, found, theirs = time.monotonic() + seconds, 0, _Person(scope)
    for chunk_id in _kept(scope.enterprise, after):
        found += _sweep_chunk(scope.enterprise, chunk_id, theirs)
        if time.monotonic() >= deadline:
            return Sweep(chunk_id, found)
    return Sweep(0, found)


def _kept(enterprise: Enterprise, after: int) -> list[int]:
    rows = BulkChunk.objects.filter(enterprise=enterprise, pk__gt=after).exclude(source=None, output=None)
    jobs = BulkJob.objects.filter(enterprise=enterprise, emptied_at=None)
    return list(rows.filter(job__in=jobs).order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def _sweep_chunk(enterprise: Enterprise, chunk_id: int, theirs: "_Person") -> int:
    # Whoever finishes the chunk meanwhile waits, and what they wrote is found when the sweep is done again.
    chunk = BulkChunk.objects.select_for_update(of=("self",)).select_related("job").get(pk=chunk_id)
    rows, changed = 0, []
    for side in SIDES:
        sealed = getattr(chunk, side)
        if sealed is None:
            continue
        text = slices.unseal(enterprise.pk, chunk.job_id, chunk.number, side, bytes(sealed))
        emptied, found = theirs.emptied(chunk.job, text)
        if found:
            setattr(chunk, side, slices.seal(enterprise.pk, chunk.job_id, chunk.number, side, emptied))
            changed.append(side)
            rows += found
    if changed:
        chunk.save(update_fields=changed)
    return rows


class _Person:
    """Recognises rows of one person, by key, token or blind index, however a value is spelled."""

    def __init__(self, scope: Scope) -> None:
        self.enterprise = scope.enterprise
        self.keys = frozenset(scope.keys)
        self.tokens = frozenset(scope.tokens)
        self.shared = frozenset(one.token for one in scope.shared)
        self.token_of = {
            bytes(digest): one.token
            for one in (*scope.mappings, *scope.shared)
            for digest in (one.blind_index_0, one.blind_index_1)
            if digest is not None
        }
        self.versions: tuple[IndexKey, ...] = keyring(scope.enterprise.pk).live_versions()

    def emptied(self, job: BulkJob, text: str) -> tuple[str, int]:
        """`text` without what the person's rows said, and how many rows were changed."""
        columns = _Columns(job)
        parts, count = [], 0
        for segment, row in _segments(Dialect(**job.dialect), text):
            wiped = self._wiped(columns, row) if row else None
            if wiped is None or wiped == row:
                parts.append(segment)
            else:
                parts.append(columns.dialect.text([wiped]))
                count += 1
        return "".join(parts), count

    def _wiped(self, columns: "_Columns", row: list[str]) -> list[str] | None:
        """The row as it may stay; None when it is somebody else's."""
        key = self._key(columns, row)
        known = {place: self._token(columns, kind, row[place]) for place, kind in columns.identifiers(row)}
        is_theirs = (key != "" and key in self.keys) or any(token in self.tokens for token in known.values())
        if columns.key is None:
            is_theirs = is_theirs or any(cell.strip() in self.keys for cell in row)
        if not is_theirs:
            return None
        kept = self.tokens | self.shared
        return [self._cell(columns, place, cell, known, kept) for place, cell in enumerate(row)]

    def _key(self, columns: "_Columns", row: list[str]) -> str:
        """The subscriber key that the row gets; one that names its person is replaced by a derived one."""
        key = row[columns.key].strip() if columns.key is not None else ""
        if key and columns.derives and key not in self.keys:
            return derived_key(self.enterprise, key)
        return key

    def _cell(
        self, columns: "_Columns", place: int, cell: str, known: dict[int, str | None], kept: frozenset[str]
    ) -> str:
        if cell.strip() in self.keys or not cell.strip():
            return cell
        if place == columns.key:
            return ""  # it may be an address itself
        if place in known:
            token = known[place]
            if token in self.shared:
                return cell  # it is others' too, in rows of their own
            if token in kept:
                return str(token)
            if columns.is_mapped:
                return ERASED if cell.strip() != ERASED else cell
        return "".join(_LINE_END.findall(cell))

    def _token(self, columns: "_Columns", kind: Kind, cell: str) -> str | None:
        token = canonical_token(cell.strip(" +"))
        if token in self.tokens or token in self.shared:
            return token
        try:
            forms = {
                version: normalise(kind, cell, default_region=columns.region, version=version)
                for version in {one.normalisation for one in self.versions}
            }
        except InvalidValue:
            return None
        digests = (one.digest(kind, forms[one.normalisation]) for one in self.versions)
        return next((self.token_of[digest] for digest in digests if digest in self.token_of), None)


class _Columns:
    """Where identifiers and keys stand in the rows of a job. Before its columns are mapped they may be anywhere."""

    def __init__(self, job: BulkJob) -> None:
        self.dialect = Dialect(**job.dialect)
        self.region = job.region or job.enterprise.default_region
        self.is_mapped = bool(job.columns)
        self.derives = job.derive_keys
        self.key: int | None = None
        self.mapped: list[tuple[int, Kind]] = []
        if self.is_mapped:
            columns = ColumnMap.from_stored(job.columns)
            self.mapped = [(job.header.index(name), kind) for kind, name in columns.identifiers()]
            if columns.subscriber_key:
                self.key = job.header.index(columns.subscriber_key)

    def identifiers(self, row: list[str]) -> Iterator[tuple[int, Kind]]:
        """(place, kind) of the cells that hold an address or a number, or may."""
        if self.is_mapped:
            yield from self.mapped
            return
        for place, cell in enumerate(row):
            if "@" in cell:
                yield place, Kind.EMAIL
            elif len(_DIGITS.findall(cell)) >= 7:
                yield place, Kind.MOBILE


def _segments(dialect: Dialect, text: str) -> Iterator[tuple[str, list[str]]]:
    """Each record of `text` as it is written, with its cells (none for a blank line)."""
    lines = list(io.StringIO(text, newline=""))
    reader, before = dialect.reader(iter(lines)), 0
    for row in reader:
        yield "".join(lines[before : reader.line_num]), row
        before = reader.line_num
