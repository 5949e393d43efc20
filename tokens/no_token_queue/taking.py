"""Taking lines over: what is new is judged, a keyword blocks in the same transaction, what is bad is kept sealed.

The order of files and lines does not matter, nor how often one comes: rows are known by what they say.
"""

import dataclasses
import datetime
import re
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final

import uuid_utils.compat
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from audit.trail import Actor
from tokens.consent.opt_outs import OptOut, record_opt_outs
from tokens.crypto.fields import Clear
from tokens.crypto.keyring import keyring
from tokens.errors import BadOptOut
from tokens.formats.kinds import Kind
from tokens.formats.normalise import InvalidValue, normalise
from tokens.models import ConsentEvent, QueueBadLine, QueueExtract, QueueMessage
from tokens.no_token_queue import digests, rules
from tokens.no_token_queue.dates import AHEAD, names_a_time, read_date
from tokens.no_token_queue.digests import Mark
from tokens.no_token_queue.faults import Fault
from tokens.no_token_queue.reading import Record
from tokens.no_token_queue.recipes import Reading
from tokens.no_token_queue.wording import Judgement, judge

Intent, State = QueueMessage.Intent, QueueMessage.State
# What a spreadsheet makes of a long number: 4.91761E+12.
ROUNDED: Final = re.compile(r"\d[.,]\d+E\+?\d+", re.IGNORECASE)
# The zone of a date is not sure: a day lasts its own 24 hours and half a day either way.
_DAY_ANYWHERE: Final = datetime.timedelta(hours=36)
LIFTED: Final[dict[str, Any]] = {
    "phrase": "", "points": 0, "why": "the same STOP was lifted since: is it a new one?",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """What a line says; `fault` is of its date, which stops no keyword.

    Without an id and a time, somebody who writes the same again can't be told from a row that is repeated. Such a row
    has a mark `again`, that of this extract only.
    """

    record: Record = field(repr=False)
    number: str = field(repr=False)  # E.164 digits
    text: str = field(repr=False)
    code: str
    received: datetime.datetime | None
    mark: Mark = field(repr=False)
    again: Mark | None = field(default=None, repr=False)
    fault: str = ""
    is_again: bool = False


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that gives no message."""

    record: Record = field(repr=False)
    column: str
    fault: str


class Taker:
    """Takes the lines of one extract over."""

    def __init__(self, extract: QueueExtract, how: Reading, header: Sequence[str], actor: Actor) -> None:
        self.extract, self.how, self.actor = extract, how, actor
        self.places = {target: list(header).index(column) for target, column in how.columns.items()}
        settings = rules.rules_of(extract.enterprise)
        self.keywords, self.languages = rules.all_keywords(settings), settings.languages

    @transaction.atomic
    def take(self, records: Sequence[Record]) -> Counter[str]:
        """Take some lines over; how many were new, known, bad, blocked, and wait for somebody."""
        read = [self._read(record) for record in records]
        bad = [one for one in read if isinstance(one, BadRow)]
        # Sorted, so that two who load the same rows at once wait for each other instead of both.
        rows = sorted((one for one in read if isinstance(one, Row)), key=lambda row: row.mark.digest)
        counts = Counter(known=0)
        new = self._unknown(rows)
        counts["known"] = len(rows) - len(new)
        messages = self._messages(new)
        QueueMessage.objects.bulk_create(messages, ignore_conflicts=True)
        stored = set(
            QueueMessage.objects.filter(pk__in=[one.pk for one in messages]).values_list("pk", flat=True)
        )
        for message in messages:
            counts["new" if message.pk in stored else "known"] += 1
            counts[message.state] += message.pk in stored
        counts["bad"] = self._keep(bad, new, messages, stored)
        return counts

    # -- reading ------------------------------------------------------------------------------------------------
    def _read(self, record: Record) -> Row | BadRow:
        if record.fault:
            return BadRow(record, record.column, record.fault)
        cell = {target: record.cells[place].strip() for target, place in self.places.items()}
        try:
            number = self._number(cell["number"])
        except InvalidValue as error:
            return BadRow(record, self.how.columns["number"], error.code.value)
        except ValueError as error:
            return BadRow(record, self.how.columns["number"], str(error))
        received, fault = self._received(cell.get("received"))
        said = (cell.get("code", ""), cell.get("text", ""), cell.get("received", ""), cell.get("id", ""))
        ring = keyring(self.extract.enterprise_id)
        mark, again = digests.mark(ring, "row", number, *said), None
        if not cell.get("id") and not (received and names_a_time(cell["received"], order=self.how.order)):
            again = digests.mark(ring, "again", str(self.extract.pk), number, *said)
        return Row(
            record, number, cell.get("text", ""), cell.get("code", "")[:20], received, mark, again, fault
        )

    def _number(self, cell: str) -> str:
        """E.164 digits. Raises InvalidValue, or ValueError with a fault."""
        if not cell:
            raise ValueError(Fault.NUMBER_MISSING.value)
        if ROUNDED.fullmatch(cell):
            raise ValueError(Fault.NUMBER_ROUNDED.value)
        return normalise(Kind.MOBILE, cell, default_region=self.how.region)

    def _received(self, cell: str | None) -> tuple[datetime.datetime | None, str]:
        if cell is None:
            return None, ""
        if not cell:
            return None, Fault.DATE_MISSING.value
        moment = read_date(cell, order=self.how.order, zone=self.how.zone)
        if moment is None:
            return None, Fault.DATE_UNREADABLE.value
        if moment > timezone.now() + AHEAD:
            return None, Fault.DATE_IN_FUTURE.value
        return moment, ""

    # -- writing ------------------------------------------------------------------------------------------------
    def _unknown(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that no extract had before, each once; and those that may be new since theirs was lifted."""
        marks = [mark for row in rows for mark in (row.mark, row.again) if mark]
        held = QueueMessage.objects.filter(
            enterprise=self.extract.enterprise_id, row_digest__in=[one for mark in marks for one in mark.all]
        )
        known = {
            bytes(digest): None if is_erased else event
            for digest, event, is_erased in held.annotate(is_erased=Q(number__isnull=True)).values_list(
                "row_digest", "consent_event", "is_erased"
            )
        }
        lifted = self._lifted(rows, known)
        new: dict[bytes, Row] = {}
        for row in rows:
            events = [known[digest] for digest in row.mark.all if digest in known]
            if not events:
                new[row.mark.digest] = row
                continue
            consents = [lifted[one] for one in events if one in lifted]
            if row.again and known.keys().isdisjoint(row.again.all) and _may_be_new(row, consents):
                new[row.again.digest] = dataclasses.replace(row, mark=row.again, is_again=True)
        return [new[digest] for digest in sorted(new)]

    def _lifted(
        self, rows: Sequence[Row], known: Mapping[bytes, uuid.UUID | None]
    ) -> dict[uuid.UUID, datetime.datetime]:
        """When the consent was given that lifted an opt-out of such a row, before this extract was written."""
        events = {known.get(digest) for row in rows if row.again for digest in row.mark.all} - {None}
        if not events:
            return {}
        consents = ConsentEvent.objects.filter(
            enterprise=self.extract.enterprise_id,
            action=ConsentEvent.Action.OPT_IN,
            lifts__overlap=list(events),
            occurred_at__lt=self.extract.extracted_at,
        )
        given = consents.order_by("occurred_at").values_list("lifts", "occurred_at")
        return {event: at for lifts, at in given for event in lifts}

    def _messages(self, rows: Sequence[Row]) -> list[QueueMessage]:
        """What each row says; keywords block, all of them in one set."""
        judged = [judge(row.text, keywords=self.keywords, languages=self.languages) for row in rows]
        block = [row for row, one in zip(rows, judged, strict=True) if one.keyword and not row.is_again]
        events = dict(zip((row.mark.digest for row in block), self._blocked(block), strict=True))
        return [
            self._message(row, one, events.get(row.mark.digest))
            for row, one in zip(rows, judged, strict=True)
        ]

    def _message(self, row: Row, judged: Judgement, event_id: uuid.UUID | None) -> QueueMessage:
        ring = keyring(self.extract.enterprise_id)
        is_likely = judged.is_likely or row.is_again
        return QueueMessage(
            id=uuid_utils.compat.uuid7(),
            enterprise_id=self.extract.enterprise_id,
            row_digest=row.mark.digest,
            index_version=ring.current_index_version(),
            blind_index=ring.blind_index(Kind.MOBILE, row.number),
            number=Clear(row.number),
            text=Clear(row.text),
            code=row.code,
            received_at=row.received,
            intent=Intent.KEYWORD if event_id else Intent.LIKELY if is_likely else Intent.UNCLEAR,
            score=judged.score,
            reasons=[*([LIFTED] if row.is_again else []), *judged.reasons],
            state=State.BLOCKED if event_id else State.WAITING,
            extract=self.extract,
            line=row.record.line,
            consent_event=event_id,
        )

    def _blocked(self, rows: Sequence[Row]) -> list[uuid.UUID]:
        said = [
            opt_out_of(
                self.extract,
                number=row.number,
                digest=row.mark.digest,
                received=row.received,
                evidence=evidence_of(row.text, row.code, self.extract, row.record.line),
            )
            for row in rows
        ]
        return record(self.extract, said, actor=self.actor)

    def _keep(
        self,
        bad: Sequence[BadRow],
        new: Sequence[Row],
        messages: Sequence[QueueMessage],
        stored: Set[uuid.UUID],
    ) -> int:
        """Keep what could not be read, and the dates that could not; how many were not known before."""
        ring = keyring(self.extract.enterprise_id)
        column = self.how.columns.get("received", "")
        wanted = [(one.record, one.column, one.fault, None) for one in bad] + [
            (row.record, column, row.fault, message)
            for row, message in zip(new, messages, strict=True)
            if row.fault and message.pk in stored
        ]
        marks = [digests.mark(ring, "line", record.raw) for record, *_ in wanted]
        held = QueueBadLine.objects.filter(
            enterprise=self.extract.enterprise_id, line_digest__in=[one for mark in marks for one in mark.all]
        )
        known = {bytes(digest) for digest in held.values_list("line_digest", flat=True)}
        lines = {
            mark.digest: QueueBadLine(
                id=uuid_utils.compat.uuid7(),
                enterprise_id=self.extract.enterprise_id,
                line_digest=mark.digest,
                content=Clear(record.raw),
                extract=self.extract,
                line=record.line,
                column=column[:200],
                fault=fault,
                message=message,
            )
            for mark, (record, column, fault, message) in zip(marks, wanted, strict=True)
            if known.isdisjoint(mark.all)
        }
        QueueBadLine.objects.bulk_create(
            sorted(lines.values(), key=lambda one: bytes(one.line_digest)), ignore_conflicts=True
        )
        return len(lines)


def _may_be_new(row: Row, lifted: Sequence[datetime.datetime]) -> bool:
    """Whether the row may have been written after the consent that lifted the same one. A day may be of any zone."""
    return any(row.received is None or row.received + _DAY_ANYWHERE > at for at in lifted)


def opt_out_of(
    extract: QueueExtract, *, number: str, digest: bytes, received: datetime.datetime | None, evidence: str
) -> OptOut:
    """What a message of the queue asks for: the same message is the same event, however often it comes.

    Without a date that can be read, the person asked when the extract was written at the latest.
    """
    return OptOut(
        kind=Kind.MOBILE,
        raw_value=number,
        source=ConsentEvent.Source.NO_TOKEN_QUEUE,
        source_id=f"queue:{digest.hex()}",
        occurred_at=received or extract.extracted_at,
        evidence=evidence,
    )


def record(extract: QueueExtract, said: Sequence[OptOut], *, actor: Actor) -> list[uuid.UUID]:
    """The events of these opt-outs. Raises what one of them is refused for: its number was read before."""
    found = []
    for recorded in record_opt_outs(extract.enterprise, said, actor=actor):
        if recorded.event_id is None:
            raise recorded.refusal or BadOptOut
        found.append(recorded.event_id)
    return found


def evidence_of(text: str, code: str, extract: QueueExtract, line: int) -> str:
    """What is sealed with the opt-out."""
    to = f" to {code}" if code else ""
    return f'Wrote "{text}"{to}. No Token Queue, {extract.name}, line {line}.'
