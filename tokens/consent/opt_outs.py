"""Recording opt-outs: events, suppressions, unsubscribes and trail in one transaction (decision 9).

One implementation for one and for a thousand. Sets are sorted before they are written, so that two who write the same
events or people at once wait for each other instead of both: events by their source's id, then people by blind index.
"""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import uuid_utils.compat
from django.db import connection, transaction

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.consent import opening
from tokens.consent.blind import BlindIndexes, of_mapping, of_typed, of_value, versions_of
from tokens.consent.opening import OptedOut
from tokens.crypto import envelope
from tokens.crypto.keyring import IndexKey, keyring
from tokens.crypto.keyset import Purpose
from tokens.errors import AmbiguousNumber, BadOptOut, SourceIdReused, UnknownToken
from tokens.formats.kinds import Kind
from tokens.formats.normalise import normalise
from tokens.formats.reasons import InvalidValue
from tokens.models import ConsentEvent, Enterprise, Mapping

Scope, Source = ConsentEvent.Scope, ConsentEvent.Source

# What a source sent before, in this set, in another process a moment ago or last year, is left as it stands.
STORE: Final = """
INSERT INTO tokens_consentevent (
    id, enterprise_id, kind, action, index_version, blind_index, scope, scope_id, source, source_id, law, evidence,
    lifts, actor_id, actor_name, occurred_at)
SELECT new.id, %(enterprise)s, new.kind, 'opt-out', new.index_version, new.blind_index, new.scope, new.scope_id,
       new.source, new.source_id, new.law, new.evidence, '{}', %(actor)s, %(actor_name)s, new.occurred_at
FROM unnest(%(ids)b::uuid[], %(kinds)b::smallint[], %(versions)b::smallint[], %(indexes)b::bytea[],
            %(scopes)b::text[], %(scope_ids)b::text[], %(sources)b::text[], %(source_ids)b::text[],
            %(laws)b::text[], %(evidence)b::bytea[], %(occurred)b::timestamptz[])
     WITH ORDINALITY AS new (id, kind, index_version, blind_index, scope, scope_id, source, source_id, law, evidence,
                             occurred_at, n)
ORDER BY new.n
ON CONFLICT DO NOTHING
RETURNING id
"""

STORED: Final = """
SELECT event.source, event.source_id, event.id, event.kind, event.action, event.scope, event.scope_id,
       event.blind_index
FROM unnest(%(sources)b::text[], %(source_ids)b::text[]) AS asked (source, source_id)
CROSS JOIN LATERAL (
    SELECT * FROM tokens_consentevent
    WHERE enterprise_id = %(enterprise)s AND source = asked.source AND source_id = asked.source_id
    LIMIT 1
) AS event
"""

# An update rather than nothing on conflict: it waits for whoever is lifting an older opt-out at this moment.
SUPPRESS: Final = """
INSERT INTO tokens_suppression (enterprise_id, kind, index_version, blind_index)
SELECT %(enterprise)s, new.kind, new.index_version, new.blind_index
FROM unnest(%(kinds)b::smallint[], %(versions)b::smallint[], %(indexes)b::bytea[])
     WITH ORDINALITY AS new (kind, index_version, blind_index, n)
ORDER BY new.n
ON CONFLICT (blind_index, kind, enterprise_id) DO UPDATE SET index_version = EXCLUDED.index_version
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """What a source says: that a person opted out of a channel, when, and how it knows.

    The person is given by clear value (whether or not we hold a mapping for it) or by mapping (also an erased one).
    A number begins with its country calling code, as Marketing Cloud writes it; `region` names the country of a file
    that leaves it out, `home` that of a person who typed it and may have (Enterprise.default_region).
    `occurred_at` is when the person asked, and `evidence` is sealed.
    """

    kind: Kind
    source: ConsentEvent.Source | str
    source_id: str
    occurred_at: datetime.datetime
    raw_value: str | None = field(default=None, repr=False)
    mapping: Mapping | None = field(default=None, repr=False)
    scope: ConsentEvent.Scope | str = Scope.ENTERPRISE
    scope_id: str = ""
    law: str = ""
    evidence: str = field(default="", repr=False)
    region: str = ""
    home: str = ""


class Recorded(NamedTuple):
    """What came of one: its event, which the source may have sent before, or why it was refused; and who it is."""

    event_id: uuid.UUID | None = None
    is_new: bool = False
    refusal: BadOptOut | InvalidValue | None = None
    blind_index: bytes = b""


class _Draft(NamedTuple):
    """One that may be written: `key` is what its source calls it."""

    id: uuid.UUID
    key: tuple[str, str]
    said: OptOut
    scope: ConsentEvent.Scope
    person: BlindIndexes


class _Event(NamedTuple):
    """What stands in the database under a key."""

    id: uuid.UUID
    kind: int
    action: str
    scope: str
    scope_id: str
    blind_index: bytes


def record_opt_out(enterprise: Enterprise, *, actor: Actor, **said: Any) -> ConsentEvent:
    """Record that a person opted out; Resolve refuses the channel from the next request if the scope is the enterprise.

    `said` are the fields of OptOut. An event that the source sent before is returned as it stands. Raises InvalidValue
    and BadOptOut: AmbiguousNumber, UnknownToken, or SourceIdReused when the id was sent before for somebody else.
    """
    [recorded] = record_opt_outs(enterprise, [OptOut(**said)], actor=actor)
    if recorded.event_id is None:
        raise recorded.refusal or BadOptOut
    return ConsentEvent.objects.get(pk=recorded.event_id)


@transaction.atomic
def record_opt_outs(enterprise: Enterprise, said: Sequence[OptOut], *, actor: Actor) -> list[Recorded]:
    """Record a set, in five statements; what came of each stands in the place of what was said.

    One that is refused leaves the others as they are. Runs in the caller's transaction, or in one of its own.
    """
    versions = versions_of(enterprise)
    drafts: list[_Draft | InvalidValue | BadOptOut] = []
    for one in said:
        try:
            drafts.append(_drafted(enterprise, one, versions))
        except (InvalidValue, BadOptOut) as refusal:
            drafts.append(refusal)
    stored, new = _store_once(enterprise, [one for one in drafts if isinstance(one, _Draft)], actor)
    if new:
        _take_effect(enterprise, new, actor)
    return _outcomes(drafts, stored, {one.id for one in new})


# -- before anything is written -----------------------------------------------------------------------------
def _drafted(enterprise: Enterprise, said: OptOut, versions: Sequence[IndexKey]) -> _Draft:
    if said.scope == Scope.BUSINESS_UNIT and said.scope_id == enterprise.eid:
        # The parent's list is that of the whole account, whichever source names it.
        said = replace(said, scope=Scope.ENTERPRISE, scope_id="")
    scope, source = Scope(said.scope), Source(said.source)
    _check_scope_id(scope, said.scope_id)
    _check_lengths(said)
    person = _person(enterprise, said, versions)
    return _Draft(uuid_utils.compat.uuid7(), (source.value, said.source_id), said, scope, person)


def _person(enterprise: Enterprise, said: OptOut, versions: Sequence[IndexKey]) -> BlindIndexes:
    kind, raw, mapping = said.kind, said.raw_value, said.mapping
    if (raw is None) == (mapping is None):
        raise BadOptOut("give a clear value or a mapping, and not both")
    if mapping is not None:
        if (mapping.enterprise_id, mapping.kind) != (enterprise.pk, kind):
            raise BadOptOut("the mapping is of another enterprise or channel")
        return of_mapping(mapping, versions=versions)
    raw = raw or ""
    if kind == Kind.EMAIL and _may_be_token(enterprise, raw):
        raise UnknownToken
    if not said.home:
        return of_value(enterprise, kind, raw, region=said.region, versions=versions)
    person, *others = of_typed(enterprise, kind, raw, home=said.home, versions=versions)
    if others:
        raise AmbiguousNumber
    return person


def _may_be_token(enterprise: Enterprise, raw: str) -> bool:
    return normalise(Kind.EMAIL, raw).endswith(f"@{enterprise.token_domain}")


def _check_scope_id(scope: ConsentEvent.Scope, scope_id: str) -> None:
    if (scope == Scope.ENTERPRISE) == bool(scope_id):
        raise BadOptOut("a business unit or short code is named for a narrower scope, and for no other")
    if scope_id != scope_id.strip():
        raise BadOptOut("the code of the sender begins or ends with a blank: Marketing Cloud knows none so")
    if "@" in scope_id:  # the code is in the open; a long one has as many digits as a person's number
        raise BadOptOut("the code of the sender holds an address of a person: leave it out")


def _check_lengths(said: OptOut) -> None:
    if not said.source_id:
        raise BadOptOut("the source's id of the event is missing")
    for text, longest in ((said.source_id, 200), (said.scope_id, 64), (said.law, 32)):
        if len(text) > longest or "\0" in text:
            raise BadOptOut("an id has at most 200 characters, a scope's 64, a law's code 32, and no NUL")


# -- writing ------------------------------------------------------------------------------------------------
def _store_once(
    enterprise: Enterprise, drafts: Sequence[_Draft], actor: Actor
) -> tuple[dict[tuple[str, str], _Event], list[_Draft]]:
    """The event of each key, and the drafts that became one now."""
    by_key: dict[tuple[str, str], _Draft] = {}
    for draft in drafts:
        by_key.setdefault(draft.key, draft)
    ordered = [by_key[key] for key in sorted(by_key)]
    if not ordered:
        return {}, []
    with connection.cursor() as cursor:
        cursor.execute(STORE, _columns(enterprise, ordered, actor))
        written = {row[0] for row in cursor.fetchall()}
    new = [draft for draft in ordered if draft.id in written]
    stored = {draft.key: _event(draft) for draft in new}
    return stored | _known(enterprise, [key for key in by_key if key not in stored]), new


def _columns(enterprise: Enterprise, drafts: Sequence[_Draft], actor: Actor) -> dict[str, Any]:
    seal = keyring(enterprise.pk).sealer(Purpose.CONSENT)

    def sealed(draft: _Draft) -> bytes | None:
        if not draft.said.evidence:
            return None
        place = envelope.place(ConsentEvent._meta.label, "evidence", enterprise.pk, draft.id)
        return seal(draft.said.evidence.encode(), place)

    return {
        "enterprise": enterprise.pk, "actor": actor.id, "actor_name": actor.name,
        "ids": [one.id for one in drafts],
        "kinds": [int(one.said.kind) for one in drafts],
        "versions": [one.person.version for one in drafts],
        "indexes": [one.person.current for one in drafts],
        "scopes": [one.scope.value for one in drafts],
        "scope_ids": [one.said.scope_id for one in drafts],
        "sources": [one.key[0] for one in drafts],
        "source_ids": [one.key[1] for one in drafts],
        "laws": [one.said.law for one in drafts],
        "evidence": [sealed(one) for one in drafts],
        "occurred": [one.said.occurred_at for one in drafts],
    }  # fmt: skip


def _known(enterprise: Enterprise, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], _Event]:
    if not keys:
        return {}
    parameters: dict[str, Any] = {
        "enterprise": enterprise.pk,
        "sources": [source for source, _ in keys],
        "source_ids": [source_id for _, source_id in keys],
    }
    with connection.cursor() as cursor:
        cursor.execute(STORED, parameters)
        return {(source, source_id): _Event(*row) for source, source_id, *row in cursor.fetchall()}


def _take_effect(enterprise: Enterprise, new: Sequence[_Draft], actor: Actor) -> None:
    _suppress(enterprise, [one for one in new if one.scope == Scope.ENTERPRISE])
    opening.open_for(
        enterprise,
        [
            OptedOut(one.id, one.said.kind, one.scope, Source(one.key[0]), one.said.law, one.said.occurred_at)
            for one in new
        ],
    )
    trail.record_several(
        Action.OPTED_OUT,
        [(Target("consent-event", str(one.id)), _details(one)) for one in new],
        actor=actor,
        enterprise_id=enterprise.pk,
    )


def _suppress(enterprise: Enterprise, drafts: Sequence[_Draft]) -> None:
    people = sorted(
        {(index, int(one.said.kind), version) for one in drafts for version, index in one.person.by_version}
    )
    if not people:
        return
    parameters: dict[str, Any] = {
        "enterprise": enterprise.pk,
        "indexes": [index for index, _, _ in people],
        "kinds": [kind for _, kind, _ in people],
        "versions": [version for _, _, version in people],
    }
    with connection.cursor() as cursor:
        cursor.execute(SUPPRESS, parameters)


def _details(draft: _Draft) -> dict[str, Any]:
    source, source_id = draft.key
    return {
        "channel": draft.said.kind.channel,
        "scope": draft.scope.value,
        "scope_id": draft.said.scope_id,
        "source": source,
        "source_id": source_id,
        "law": draft.said.law,
        "occurred_at": draft.said.occurred_at.isoformat(),
    }


# -- what came of it ----------------------------------------------------------------------------------------
def _event(draft: _Draft) -> _Event:
    action = ConsentEvent.Action.OPT_OUT.value
    said = draft.said
    return _Event(draft.id, int(said.kind), action, draft.scope.value, said.scope_id, draft.person.current)


def _outcomes(
    drafts: Sequence[_Draft | InvalidValue | BadOptOut],
    stored: dict[tuple[str, str], _Event],
    new: set[uuid.UUID],
) -> list[Recorded]:
    found = []
    for draft in drafts:
        if not isinstance(draft, _Draft):
            found.append(Recorded(refusal=draft))
            continue
        event = stored[draft.key]
        if event[1:5] != _event(draft)[1:5] or not draft.person.has(event.blind_index):
            found.append(Recorded(refusal=SourceIdReused()))
        else:
            found.append(Recorded(event.id, draft.id in new, None, draft.person.current))
    return found
