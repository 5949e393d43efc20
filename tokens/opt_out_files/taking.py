"""Lines become opt-outs: who is meant, when they asked, and whether the report is one after which sending ends."""

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from django.utils import timezone

from audit.trail import Actor
from tokens.consent.blind import mappings_by_token
from tokens.consent.opt_outs import OptOut, Recorded, record_opt_outs
from tokens.consent.source_ids import source_ids
from tokens.formats.kinds import Kind
from tokens.formats.mask import mask
from tokens.models import ConsentEvent, Mapping, OptOutFile, OptOutReject
from tokens.no_token_queue.dates import AHEAD, read_date
from tokens.no_token_queue.faults import Fault
from tokens.no_token_queue.reading import Record
from tokens.no_token_queue.taking import ROUNDED
from tokens.opt_out_files.columns import Reading
from tokens.opt_out_files.refusals import Refusal, code_of

_LONGEST_CODE: Final = 64
_LONGEST_EVIDENCE: Final = 4000


class Refused(Exception):
    """A line gives no opt-out: `code` says why, `target` in which column."""

    def __init__(self, code: str, target: str) -> None:
        super().__init__(code)
        self.code, self.target = code, target


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says."""

    line: int
    person: str = field(repr=False)
    kind: Kind
    asked: datetime.datetime
    code: str
    evidence: str = field(repr=False)
    named: tuple[str, ...] = field(repr=False)  # what makes it the same opt-out when it comes again


class Bad(NamedTuple):
    """A line that gives no opt-out."""

    line: int
    column: str
    code: str
    masked: str


class Taker:
    """Takes the lines of one file over."""

    def __init__(self, file: OptOutFile) -> None:
        self.file = file
        self.how = Reading.from_stored(file.reading)
        self.places = {target: file.header.index(column) for target, column in self.how.columns.items()}
        self.source = ConsentEvent.Source(file.what)
        self.actor = Actor(file.loaded_by_id, file.loaded_by_name)

    def take(self, records: Sequence[Record]) -> dict[str, int]:
        """Record what some lines say, in the caller's transaction; how many were new, known, skipped and refused."""
        lines, bad, skipped = list[Line](), list[Bad](), 0
        for record in records:
            try:
                line = self._read(record)
            except Refused as refused:
                bad.append(self._bad(record, refused))
            else:
                skipped += line is None
                lines += [line] if line else []
        counts = Counter(new=0, known=0, skipped=skipped)
        for line, recorded in zip(lines, self._recorded(lines), strict=True):
            if recorded.refusal is None:
                counts["new" if recorded.is_new else "known"] += 1
            else:
                bad.append(self._refused(line, code_of(recorded.refusal)))
        self._keep(bad)
        return counts | {"refused": len(bad)}

    # -- reading --------------------------------------------------------------------------------------------
    def _read(self, record: Record) -> Line | None:
        """What a line says; None for a report that ends nothing. Raises Refused."""
        if record.fault:
            raise Refused(record.fault, record.column)
        cell = {target: record.cells[place].strip() for target, place in self.places.items()}
        report = cell.get("report", "").casefold()
        if "report" in cell and not any(word in report for word in self.how.counts):
            return None
        person, code = cell["person"], cell.get("code", "")
        if not person:
            raise Refused(Refusal.PERSON_MISSING, "person")
        if ROUNDED.fullmatch(person):
            raise Refused(Fault.NUMBER_ROUNDED, "person")
        if "@" in code or len(code) > _LONGEST_CODE:
            raise Refused(Refusal.NOT_READABLE, "code")
        asked = self._asked(cell.get("asked"))
        if not cell.get("id") and asked is None:
            raise Refused(Refusal.ID_MISSING, "id")
        payload = ("line", person.casefold(), asked.isoformat() if asked else "", code, report)
        named = ("id", cell["id"]) if cell.get("id") else payload
        kind = Kind.EMAIL if "@" in person else Kind.MOBILE
        evidence = cell.get("evidence", "")[:_LONGEST_EVIDENCE]
        return Line(record.line, person, kind, asked or self.file.written_at, code, evidence, named)

    def _asked(self, cell: str | None) -> datetime.datetime | None:
        if cell is None:
            return None
        if not cell:
            raise Refused(Fault.DATE_MISSING, "asked")
        moment = read_date(cell, order=self.how.order, zone=self.how.zone)
        if moment is None:
            raise Refused(Fault.DATE_UNREADABLE, "asked")
        if moment > timezone.now() + AHEAD:
            raise Refused(Fault.DATE_IN_FUTURE, "asked")
        return moment

    # -- writing --------------------------------------------------------------------------------------------
    def _recorded(self, lines: Sequence[Line]) -> list[Recorded]:
        ids = source_ids(self.file.enterprise, self.source, [line.named for line in lines])
        tokens = mappings_by_token(self.file.enterprise, [line.person for line in lines])
        said = [
            self._opt_out(line, source_id, tokens.get(line.person))
            for line, source_id in zip(lines, ids, strict=True)
        ]
        return record_opt_outs(self.file.enterprise, said, actor=self.actor)

    def _opt_out(self, line: Line, source_id: str, mapping: Mapping | None) -> OptOut:
        return OptOut(
            kind=line.kind,
            raw_value=None if mapping else line.person,
            mapping=mapping,
            region=self.how.region,
            source=self.source,
            source_id=source_id,
            occurred_at=line.asked,
            scope=ConsentEvent.Scope.SHORT_CODE if line.code else ConsentEvent.Scope.ENTERPRISE,
            scope_id=line.code,
            law=self.how.law,
            evidence=line.evidence,
        )

    def _bad(self, record: Record, refused: Refused) -> Bad:
        column = self.how.columns.get(refused.target, refused.target)
        person = record.cells[self.places["person"]].strip() if record.cells else ""
        return Bad(record.line, column, refused.code, _masked(person))

    def _refused(self, line: Line, code: str) -> Bad:
        target = "id" if code == Refusal.ID_REUSED else "person"
        return Bad(line.line, self.how.columns.get(target, ""), code, _masked(line.person))

    def _keep(self, bad: Sequence[Bad]) -> None:
        OptOutReject.objects.bulk_create(
            OptOutReject(
                enterprise_id=self.file.enterprise_id, file=self.file, line=one.line, column=one.column[:200],
                code=one.code, masked=one.masked[:300],
            )
            for one in bad
        )  # fmt: skip


def _masked(person: str) -> str:
    return mask(Kind.EMAIL if "@" in person else Kind.MOBILE, person) if person else ""
