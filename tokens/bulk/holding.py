"""The vault's part of a chunk: tokens recognised, mappings minted, contacts and links made, all in sets.

Runs in the caller's transaction, in the order in which every writer of the vault takes its locks: mappings, contacts,
links.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tokens.bulk import spellings
from tokens.bulk.columns import ColumnMap
from tokens.bulk.errors import ErasedKeys
from tokens.bulk.reading import IdentifierColumn, Reading
from tokens.bulk.reasons import RowReason
from tokens.formats.kinds import Kind
from tokens.models import BulkJob
from tokens.models.mappings import State
from tokens.vault import contacts
from tokens.vault.contacts import Person
from tokens.vault.cursors import binary_cursor
from tokens.vault.mint import Held, Wanted, get_or_create

# Cells that meet an erasure are neither converted nor wrong.
SKIPPED: Final = frozenset({RowReason.VALUE_ERASED, RowReason.KEY_ERASED})
Pairs = tuple[tuple[str, str], ...]

# Cells that are tokens already. LIMIT keeps the planner at one index look-up for each.
KNOWN_TOKENS: Final = """
SELECT mapping.token, mapping.id, mapping.state
FROM unnest(%(tokens)b::text[]) AS asked (token)
CROSS JOIN LATERAL (
    SELECT id, token, state FROM tokens_mapping
    WHERE enterprise_id = %(enterprise)s AND token = asked.token AND kind = %(kind)s
    LIMIT 1
) AS mapping
"""


# Keys of contacts, and NULL for mappings, of an erasure that began after they were read.
ERASED_MEANWHILE: Final = """
SELECT subscriber_key FROM tokens_contact WHERE id = ANY(%(contacts)b::bigint[]) AND erased_at IS NOT NULL
UNION ALL
SELECT NULL FROM tokens_mapping WHERE id = ANY(%(mappings)b::bigint[]) AND state IN (2, 4)
"""


@dataclass(slots=True)
class Holding:
    """What the vault holds for the cells of a reading: `columns` as its identifier columns, `keys` by row."""

    columns: list[list[Held | None]]
    keys: list[str | None]
    counts: Counter[str] = field(default_factory=Counter)


class Holder:
    """Holds the readings of one job."""

    def __init__(self, job: BulkJob) -> None:
        self.job = job
        self.enterprise = job.enterprise
        self.mark = job.mapping_mark or 0
        columns = ColumnMap.from_stored(job.columns)
        self.attributes = [(name, job.header.index(column)) for name, column in columns.attributes.items()]
        self.same_source = _same_source(job)

    def hold(self, reading: Reading, erased: frozenset[str] = frozenset()) -> Holding:
        """Put the cells into the vault, but for the rows of the contacts whose keys are in `erased`.

        Raises ErasedKeys if there are more such contacts; what was written must be undone then.
        """
        for row in reading.keys_to_derive:
            reading.keys[row] = contacts.derived_key(self.enterprise, reading.keys[row] or "")
        if erased:
            rows = [row for row, key in enumerate(reading.keys) if key in erased]
            reading.refuse_rows(dict.fromkeys(rows, RowReason.KEY_ERASED), RowReason.KEY_ERASED)
        passed = [self._recognise_tokens(column) for column in reading.identifiers]
        holding = Holding(self._mint(reading, passed), list(reading.keys))
        self._give_keys(reading, holding, erased)
        self._link(reading, holding)
        self._count(reading, holding, passed)
        return holding

    def _recognise_tokens(self, column: IdentifierColumn) -> dict[int, Held]:
        """The cells that are tokens of ours; they leave the cells that are to be converted."""
        if not column.tokens:
            return {}
        asked = sorted(set(column.tokens.values()))
        with binary_cursor() as cursor:
            cursor.execute(
                KNOWN_TOKENS, {"tokens": asked, "enterprise": self.enterprise.pk, "kind": column.kind.value}
            )
            known = {
                token: Held(mapping_id, token, State(state), False)
                for token, mapping_id, state in cursor.fetchall()
            }
        passed = {row: known[token] for row, token in column.tokens.items() if token in known}
        for row in column.tokens if column.kind == Kind.EMAIL else passed:
            # An address on the token domain is a token or a mistake, never anybody's address.
            column.forms[row] = None
            column.refused.pop(row, None)
            if row not in passed:
                column.refused[row] = RowReason.UNKNOWN_TOKEN
        return passed

    def _mint(self, reading: Reading, passed: list[dict[int, Held]]) -> list[list[Held | None]]:
        wanted = [
            Wanted(column.kind, form, cell.strip() if column.kind == Kind.EMAIL else form)
            for column in reading.identifiers
            for form, cell in zip(column.forms, column.cells, strict=True)
            if form is not None
        ]
        got = get_or_create(self.enterprise, wanted)
        self._put_first_spellings(reading, wanted, got)
        minted, columns = iter(got), []
        for column, tokens in zip(reading.identifiers, passed, strict=True):
            held = [None if form is None else next(minted) for form in column.forms]
            for row, token in tokens.items():
                held[row] = token
            for row, one in enumerate(held):
                if one is not None and one.state != State.ACTIVE:
                    held[row] = None
                    column.refused[row] = RowReason.VALUE_ERASED
            columns.append(held)
        return columns

    def _put_first_spellings(self, reading: Reading, wanted: list[Wanted], got: list[Held]) -> None:
        """What this job minted in a later chunk is spelled as here; a number has one spelling only."""
        here: dict[int, str] = {}
        for want, held in zip(wanted, got, strict=True):
            if want.kind == Kind.EMAIL and not held.is_new and held.mapping_id >= self.mark:
                here.setdefault(held.mapping_id, want.spelling)
        spellings.put_first(self.enterprise.pk, self.job.pk, reading.lines[0], here)

    def _give_keys(self, reading: Reading, holding: Holding, erased: frozenset[str]) -> None:
        """Rows without a key belong to the primary contact of their first mapping, which gets one if it has none."""
        keyless: dict[int, Held] = {}
        for row, key in enumerate(holding.keys):
            if key is None and row not in reading.refused_keys:
                first = next((one for held in holding.columns if (one := held[row]) is not None), None)
                if first is not None:
                    keyless[row] = first
        primaries = contacts.with_primary(self.enterprise, keyless.values()) if keyless else {}
        for row, one in keyless.items():
            key = primaries[one.mapping_id].subscriber_key
            if key not in erased:
                holding.keys[row] = key
                continue
            for column, held in zip(reading.identifiers, holding.columns, strict=True):
                if held[row] is not None:
                    held[row] = None
                    column.refused[row] = RowReason.KEY_ERASED
        holding.counts["keys.derived"] = len(keyless) + len(reading.keys_to_derive)
        holding.counts["contacts.new"] = sum(primary.is_new for primary in primaries.values())

    def _link(self, reading: Reading, holding: Holding) -> None:
        rows = [
            row
            for row, key in enumerate(holding.keys)
            if key is not None and any(held[row] is not None for held in holding.columns)
        ]
        offered = self._attributes(reading)
        people = [Person(holding.keys[row] or "", offered[row], reading.lines[row]) for row in rows]
        known = contacts.upsert(
            self.enterprise, people, job=self.job.pk, same_source=self.same_source, keys_checked=True
        )
        erased = {person.subscriber_key for person, one in zip(people, known, strict=True) if one.is_erased}
        if erased:
            raise ErasedKeys(erased)
        holding.counts["contacts.new"] += len({one.contact_id for one in known if one.is_new})
        pairs, fresh = [], set()
        for held in holding.columns:
            for row, contact in zip(rows, known, strict=True):
                one = held[row]
                if one is not None:
                    pairs.append((one.mapping_id, contact.contact_id))
                    if one.is_new:
                        fresh.add(one.mapping_id)
        contacts.link(self.enterprise, pairs, fresh=fresh)
        self._refuse_erased_meanwhile(
            [one.contact_id for one in known if not one.is_new], {pair[0] for pair in pairs} - fresh
        )

    def _refuse_erased_meanwhile(self, contact_ids: list[int], mapping_ids: set[int]) -> None:
        """An erasure may have begun since they were read. From the links on it waits for us, or we see it."""
        if not contact_ids and not mapping_ids:
            return
        with binary_cursor() as cursor:
            cursor.execute(ERASED_MEANWHILE, {"contacts": contact_ids, "mappings": sorted(mapping_ids)})
            erased = [key for (key,) in cursor.fetchall()]
        if erased:
            raise ErasedKeys({key for key in erased if key is not None})

    def _count(self, reading: Reading, holding: Holding, passed: list[dict[int, Held]]) -> None:
        """Every cell that is not blank is counted once, whatever the order of the chunks.

        Reused are cells whose mapping was there before the job; of the others one is minted, the rest merged.
        """
        counts, minted = holding.counts, set[int]()
        for column, held, tokens in zip(reading.identifiers, holding.columns, passed, strict=True):
            ids = [one.mapping_id for row, one in enumerate(held) if one is not None and row not in tokens]
            new = {one.mapping_id for one in held if one is not None and one.is_new} - minted
            minted |= new
            known = sum(mapping_id < self.mark for mapping_id in ids)
            skipped = sum(code in SKIPPED for code in column.refused.values())
            name = column.kind.name.lower()
            counts[f"{name}.read"] += reading.rows - column.blank
            counts[f"{name}.minted"] += len(new)
            counts[f"{name}.reused"] += known
            counts[f"{name}.merged"] += len(ids) - known - len(new)
            counts[f"{name}.passed_through"] += sum(held[row] is not None for row in tokens)
            counts[f"{name}.rejected"] += len(column.refused) - skipped
            counts[f"{name}.skipped"] += skipped
        counts["rows"] = reading.rows
        counts["keys.rejected"] = len(reading.refused_keys)

    def _attributes(self, reading: Reading) -> Sequence[Pairs | None]:
        """The attributes of each row; an empty cell is none."""
        if not self.attributes:
            return [None] * reading.rows
        names = [name for name, _ in self.attributes]
        cells = zip(*(reading.columns[position] for _, position in self.attributes), strict=True)
        return [
            tuple((name, value) for name, value in zip(names, row, strict=True) if value) or None
            for row in cells
        ]


def _same_source(job: BulkJob) -> frozenset[uuid.UUID]:
    """Earlier jobs that read the same bytes in the same way: what they wrote need not be written again."""
    alike = BulkJob.objects.filter(pk__in=job.same_source, columns=job.columns, derive_keys=job.derive_keys)
    return frozenset(alike.values_list("pk", flat=True))
