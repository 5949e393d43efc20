"""What a pack says: facts of the person and, kind by kind, every line of the timeline, read as it is written out."""

import datetime
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from audit.models import RecordKind
from audit.retention import gaps
from audit.vocabulary import Action
from tokens.crypto.errors import CannotOpen
from tokens.crypto.fields import Sealed
from tokens.dossier import timeline
from tokens.dossier.timeline import Line, LineKind
from tokens.formats.kinds import Kind
from tokens.formats.mask import DOTS, mask
from tokens.models import AccessPack, ContactMapping, Export, Mapping
from tokens.vault import find
from tokens.vault.find import Found

VERSION: Final = 1
LINES_AT_A_TIME: Final = 500
GONE: Final = "erased"
DAMAGED: Final = "does not open"
_ACTS: Final = dict(Action.choices)
Row = dict[str, Any]


class Account:
    """The content of one pack. Nothing is held but the facts: lines come in portions, newest first."""

    def __init__(self, pack: AccessPack, *, taken_by: str, taken_at: datetime.datetime) -> None:
        self.pack = pack
        self.found = find.of_mapping(pack.mapping)
        self.taken_by, self.taken_at = taken_by, taken_at

    def facts(self) -> Row:
        """Everything but the lines, as JSON values."""
        mapping = self.pack.mapping
        return {
            "format": "token-governance-portal/access-pack",
            "version": VERSION,
            "case": self.pack.case,
            "values": "in clear" if self.pack.clear else "masked",
            "taken_by": self.taken_by,
            "taken_at": _moment(self.taken_at),
            "enterprise": {"name": mapping.enterprise.name, "eid": mapping.enterprise.eid},
            "person": {
                "kind": Kind(mapping.kind).label,
                "value": self._value(mapping),
                "token": mapping.token,
                "state": mapping.get_state_display(),
                "token_since": _moment(mapping.created_at),
            },
            "contacts": [self._contact(link) for link in self.found.links],
            "other_identifiers_of_these_contacts": list(_siblings(self.found)),
            "dropped_by_retention": [said for said in map(gaps.in_words, RecordKind) if said],
        }

    def rows(self, kind: LineKind) -> Iterator[Row]:
        """Every line of a kind as JSON values."""
        older = None
        while lines := timeline.lines(self.found, [kind], older=older, limit=LINES_AT_A_TIME):
            rows = map(ROWS[kind] if kind != LineKind.CONSENT else self._consent, lines)
            yield from _marked(lines, rows) if kind == LineKind.EXCHANGE else rows
            older = lines[-1].pk

    def _value(self, mapping: Mapping) -> str:
        return _opened(
            mapping.value, lambda text: text if self.pack.clear else mask(Kind(mapping.kind), text)
        )

    def _contact(self, link: ContactMapping) -> Row:
        kept = link.contact.attributes
        wire = _opened(kept.payload if kept else None, str, gone="[]")
        attributes = [] if wire == DAMAGED else json.loads(wire)
        if not self.pack.clear:
            attributes = [{"name": one["name"], "value": DOTS} for one in attributes]
        return {
            "subscriber_key": link.contact.subscriber_key,
            "primary": link.is_primary,
            "linked_at": _moment(link.created_at),
            "attributes": DAMAGED if wire == DAMAGED else attributes,
        }

    def _consent(self, line: Line) -> Row:
        event = line.what
        in_force = {one.pk for one in self.found.consent.opt_outs}
        evidence = event.evidence
        return {
            "at": _moment(line.at),
            "what": event.get_action_display(),
            "from": f"{event.get_scope_display()} {event.scope_id}".strip(),
            "asked_at": _moment(event.occurred_at),
            "source": event.get_source_display(),
            "law": event.law,
            "in_force": event.pk in in_force,
            "recorded_by": event.actor_name,
            "evidence": ""
            if evidence is None
            else _opened(evidence, lambda text: text if self.pack.clear else DOTS),
            "id": str(event.pk),
        }


def _siblings(found: Found) -> Iterator[Row]:
    """Other addresses and numbers of the same contacts: always masked, for a number can be shared by people."""
    contacts = [link.contact_id for link in found.links]
    others = ContactMapping.objects.filter(contact__in=contacts).exclude(mapping=found.mapping)
    for link in others.select_related("mapping", "contact").order_by("pk"):
        kind = Kind(link.mapping.kind)
        masked = _opened(link.mapping.value, lambda text, kind=kind: mask(kind, text))  # type: ignore[misc]
        yield {
            "kind": kind.label,
            "value": masked,
            "token": link.mapping.token,
            "subscriber_key": link.contact.subscriber_key,
        }


def _marked(lines: list[Line], rows: Iterable[Row]) -> Iterator[Row]:
    """Exchanges, each with whether it is a copy that a hold kept of a month that was dropped."""
    copies = gaps.copies_among(line.pk for line in lines)
    for line, row in zip(lines, rows, strict=True):
        yield row | {"held_copy": line.pk in copies}


def _exchange(line: Line) -> Row:
    entry = line.what
    return {
        "at": _moment(entry.at),
        "api": entry.get_api_display(),
        "direction": entry.get_direction_display(),
        "client": entry.client_name,
        "address": entry.remote_address,
        "status": entry.status,
        "outcome": entry.get_outcome_display(),
        "answered": entry.items_answered,
        "asked": entry.items_asked,
        "id": str(entry.pk),
    }


def _sight(line: Line) -> Row:
    if not isinstance(line.what, Export):
        return _event(line)
    export = line.what
    return {
        "at": _moment(line.at),
        "who": export.requested_by_name,
        "what": "exported in clear",
        "address": None,
        "details": {"case": export.case, "export": export.get_what_display(), "taken": export.taken},
        "id": str(export.pk),
    }


def _event(line: Line) -> Row:
    event = line.what
    return {
        "at": _moment(event.at),
        "who": event.actor_name,
        "what": str(_ACTS.get(event.action, event.action)),
        "address": event.remote_address,
        "details": event.details,
        "id": str(event.pk),
    }


def _job(line: Line) -> Row:
    return {"at": _moment(line.at), "job": line.what.name, "id": str(line.what.pk)}


def _record(line: Line) -> Row:
    row = line.what
    if isinstance(row, ContactMapping):
        return {"at": _moment(line.at), "what": "subscriber key linked", "name": row.contact.subscriber_key}
    return {"at": _moment(line.at), "what": "token made", "name": row.token}


ROWS: Final[dict[LineKind, Callable[[Line], Row]]] = {
    LineKind.EXCHANGE: _exchange,
    LineKind.SIGHT: _sight,
    LineKind.ACT: _event,
    LineKind.JOB: _job,
    LineKind.RECORD: _record,
}
# The sections of a pack: the key in JSON, the title for people, and what its lines are.
SECTIONS: Final = (
    ("consent", "Consent", LineKind.CONSENT),
    ("seen_by", "Who looked and who saw", LineKind.SIGHT),
    ("acts", "Other acts upon this person", LineKind.ACT),
    ("records", "Token and subscriber keys", LineKind.RECORD),
    ("jobs", "Bulk jobs that gave attributes", LineKind.JOB),
    ("exchanges", "Exchanges with Marketing Cloud", LineKind.EXCHANGE),
)


def as_json(account: Account) -> Iterator[str]:
    """The pack as one JSON object, in pieces. It ends with `"complete": true`, so that half a file is known as such."""
    yield json.dumps(account.facts(), ensure_ascii=False, indent=1)[:-2]
    for key, _, kind in SECTIONS:
        yield f',\n "{key}": ['
        for number, row in enumerate(account.rows(kind)):
            yield (",\n  " if number else "\n  ") + json.dumps(row, ensure_ascii=False)
        yield "]"
    yield ',\n "complete": true\n}\n'


def _opened(sealed: Sealed | None, then: Callable[[str], str], *, gone: str = GONE) -> str:
    if sealed is None:
        return gone
    try:
        return then(sealed.open())
    except CannotOpen:
        return DAMAGED


def _moment(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
