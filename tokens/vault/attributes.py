"""Attribute sets of contacts: immutable versions, of which a new one is made only when the content differs.

Content is compared by a keyed digest beside the envelope, so that nothing is opened to find that nothing changed. The
digest covers the contact too: equal attributes of two people do not look equal in a dump.
"""

import uuid
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import uuid_utils.compat

from tokens.crypto import envelope
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose
from tokens.models import Enterprise
from tokens.vault.cursors import binary_cursor

Pairs = tuple[tuple[str, str], ...]
JobId = uuid.UUID | None


class Offered(NamedTuple):
    """Attributes of one contact in wire form, with the id that they get if they are stored, and their line."""

    id: uuid.UUID
    wire: bytes
    line: int

    def __repr__(self) -> str:
        return f"Offered({self.id})"


# Locks the contacts in the order of their keys: their attributes change one transaction after the other.
LOCK_CONTACTS = """
SELECT contact.id, contact.subscriber_key, contact.erased_at IS NOT NULL,
       contact.attributes_job, contact.attributes_line, held.digest
FROM unnest(%(keys)b::text[]) WITH ORDINALITY AS asked (subscriber_key, n)
JOIN tokens_contact contact ON contact.enterprise_id = %(enterprise)s
     AND contact.subscriber_key = asked.subscriber_key
LEFT JOIN tokens_attributeset held ON held.id = contact.attributes_id
ORDER BY asked.n
FOR NO KEY UPDATE OF contact
"""

INSERT_SETS = """
INSERT INTO tokens_attributeset (enterprise_id, id, contact_id, payload, digest)
SELECT %(enterprise)s, new.id, new.contact_id, new.payload, new.digest
FROM unnest(%(ids)b::uuid[], %(contacts)b::bigint[], %(payloads)b::bytea[], %(digests)b::bytea[])
     AS new (id, contact_id, payload, digest)
"""

# Without a new set the contact keeps its own, and only learns which line said so last.
POINT_CONTACTS = """
UPDATE tokens_contact contact
SET attributes_id = coalesce(new.attributes, contact.attributes_id),
    attributes_job = %(job)s::uuid, attributes_line = new.line
FROM unnest(%(contacts)b::bigint[], %(attributes)b::uuid[], %(lines)b::bigint[])
     AS new (contact_id, attributes, line)
WHERE contact.id = new.contact_id
"""


def wire_form(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Attributes as Resolve sends them, sorted by name: `[{"name":"FirstName","value":"Ana"}]`."""
    return msgspec.json.encode([{"name": name, "value": value} for name, value in sorted(pairs)])


def highest_lines(people: Iterable[tuple[str, Pairs | None, int]]) -> dict[str, Offered]:
    """For each subscriber key the attributes of its highest line that has any."""
    highest: dict[str, tuple[int, Pairs]] = {}
    for key, pairs, line in people:
        if pairs is not None and (key not in highest or line >= highest[key][0]):
            highest[key] = (line, pairs)
    return {
        key: Offered(uuid_utils.compat.uuid7(), wire_form(pairs), line)
        for key, (line, pairs) in highest.items()
    }


def store(enterprise: Enterprise, sets: list[tuple[int, Offered]]) -> None:
    """Write attribute sets of (contact id, attributes), sealed for their ids."""
    if not sets:
        return
    ring = keyring(enterprise.pk)
    seal = ring.sealer(Purpose.ATTRIBUTES)
    place = envelope.place("tokens.AttributeSet", "payload", enterprise.pk, "")
    parameters = {
        "enterprise": enterprise.pk,
        "ids": [one.id for _, one in sets],
        "contacts": [contact_id for contact_id, _ in sets],
        "payloads": [seal(one.wire, place + str(one.id).encode()) for _, one in sets],
        "digests": [
            ring.digest(Purpose.ATTRIBUTES, _digested(contact_id, one.wire))[1] for contact_id, one in sets
        ],
    }
    with binary_cursor() as cursor:
        cursor.execute(INSERT_SETS, parameters)


def replace(
    enterprise: Enterprise, offered: dict[str, Offered], job: JobId, same_source: frozenset[uuid.UUID]
) -> Iterator[tuple[str, int, bool]]:
    """Give known contacts, by subscriber key, new attributes where (job, line) is the highest so far.

    Yields (subscriber key, contact id, is erased) of those that are on record. Erased contacts get nothing.
    """
    ring = keyring(enterprise.pk)
    winning: list[tuple[int, Offered]] = []
    differing: list[tuple[int, Offered]] = []
    with binary_cursor() as cursor:
        cursor.execute(LOCK_CONTACTS, {"enterprise": enterprise.pk, "keys": sorted(offered)})
        rows = cursor.fetchall()
    for contact_id, key, is_erased, held_job, held_line, digest in rows:
        one = offered[key]
        held_from = (job if held_job in same_source else held_job, held_line)
        if is_erased or not _is_newer((job, one.line), held_from):
            continue
        winning.append((contact_id, one))
        same = ring.digests_under_all(Purpose.ATTRIBUTES, _digested(contact_id, one.wire))
        if digest is None or digest not in same:
            differing.append((contact_id, one))
    store(enterprise, differing)
    _point(winning, {contact_id for contact_id, _ in differing}, job)
    return ((key, contact_id, is_erased) for contact_id, key, is_erased, *_ in rows)


def _point(winning: list[tuple[int, Offered]], differing: set[int], job: JobId) -> None:
    if not winning:
        return
    parameters = {
        "job": job,
        "contacts": [contact_id for contact_id, _ in winning],
        "attributes": [one.id if contact_id in differing else None for contact_id, one in winning],
        "lines": [one.line for _, one in winning],
    }
    with binary_cursor() as cursor:
        cursor.execute(POINT_CONTACTS, parameters)


def _is_newer(offered: tuple[JobId, int], held: tuple[JobId, int | None]) -> bool:
    """Jobs are ordered by their UUIDv7, which is their age; what no job gave is replaced, and replaces."""
    (job, line), (held_job, held_line) = offered, held
    if job is None or held_job is None:
        return True
    return (job, line) > (held_job, held_line or 0)


def _digested(contact_id: int, wire: bytes) -> bytes:
    return b"%d\x1f%b" % (contact_id, wire)
