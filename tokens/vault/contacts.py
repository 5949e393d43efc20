"""Contacts by subscriber key, and which contact holds which mapping. Everything here works on sets of rows.

Rows are inserted and locked in the order of their key, for the reason that `tokens.vault.mint` gives. A transaction
that mints, upserts contacts and links does so in this order.
"""

import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from django.db import transaction

from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose
from tokens.errors import BadSubscriberKey, IdentifierAsKey
from tokens.formats.lookalikes import looks_like_identifier
from tokens.formats.subscriber_keys import derived_subscriber_key
from tokens.models import Enterprise
from tokens.vault import attributes
from tokens.vault.attributes import Offered
from tokens.vault.cursors import binary_cursor
from tokens.vault.mint import Held

LONGEST_KEY: Final = 254


class Person(NamedTuple):
    """A contact as a file or form gives it. Without attributes those on record stay; with them they are replaced.

    Of several lines with one subscriber key the highest that has attributes wins.
    """

    subscriber_key: str
    attributes: tuple[tuple[str, str], ...] | None = None
    line: int = 0

    def __repr__(self) -> str:
        return f"Person(line {self.line})"


class KnownContact(NamedTuple):
    """A contact on record. An erased one keeps its key and takes no attributes."""

    contact_id: int
    is_new: bool
    is_erased: bool


class Link(NamedTuple):
    """A contact holds a mapping. `link_id` is what the payload log refers to."""

    link_id: int
    mapping_id: int
    contact_id: int
    is_primary: bool


class Primary(NamedTuple):
    """The contact that Get Token names for a mapping. `is_new`: it was made for it just now."""

    link_id: int
    contact_id: int
    subscriber_key: str
    is_new: bool = False


# New contacts in the order of their keys, with their attributes already in place.
INSERT_CONTACTS = """
INSERT INTO tokens_contact (enterprise_id, subscriber_key, attributes_id, attributes_job, attributes_line)
SELECT %(enterprise)s, new.subscriber_key, new.attributes,
       CASE WHEN new.attributes IS NOT NULL THEN %(job)s::uuid END, new.line
FROM unnest(%(keys)b::text[], %(attributes)b::uuid[], %(lines)b::bigint[])
     WITH ORDINALITY AS new (subscriber_key, attributes, line, n)
ORDER BY new.n
ON CONFLICT DO NOTHING
RETURNING id, subscriber_key
"""

FIND_CONTACTS = """
SELECT id, subscriber_key, erased_at IS NOT NULL FROM tokens_contact
WHERE enterprise_id = %(enterprise)s AND subscriber_key = ANY(%(keys)b::text[])
"""

# Which of the pairs are linked already.
FIND_LINKS = """
SELECT link.id, link.mapping_id, link.contact_id, link.is_primary
FROM unnest(%(mappings)b::bigint[], %(contacts)b::bigint[]) AS asked (mapping_id, contact_id)
JOIN tokens_contactmapping link USING (mapping_id, contact_id)
"""

# Whoever gives a mapping its first contact holds this lock, so that exactly one becomes the primary.
LOCK_MAPPINGS = """
SELECT id FROM tokens_mapping
WHERE enterprise_id = %(enterprise)s AND id = ANY(%(mappings)b::bigint[])
ORDER BY id FOR NO KEY UPDATE
"""

INSERT_LINKS = """
INSERT INTO tokens_contactmapping (enterprise_id, mapping_id, contact_id, is_primary)
SELECT %(enterprise)s, new.mapping_id, new.contact_id, new.is_first AND NOT EXISTS (
    SELECT FROM tokens_contactmapping WHERE mapping_id = new.mapping_id AND is_primary)
FROM unnest(%(mappings)b::bigint[], %(contacts)b::bigint[], %(firsts)b::bool[])
     WITH ORDINALITY AS new (mapping_id, contact_id, is_first, n)
ORDER BY new.n
ON CONFLICT DO NOTHING
RETURNING id, mapping_id, contact_id, is_primary
"""

FIND_PRIMARIES = """
SELECT link.mapping_id, link.id, contact.id, contact.subscriber_key
FROM tokens_contactmapping link JOIN tokens_contact contact ON contact.id = link.contact_id
WHERE link.mapping_id = ANY(%(mappings)b::bigint[]) AND link.is_primary
  AND link.enterprise_id = %(enterprise)s
"""


def check_subscriber_key(enterprise: Enterprise, key: str) -> None:
    """Raises BadSubscriberKey, or IdentifierAsKey unless the enterprise accepts such keys."""
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable() or key != key.strip():
        raise BadSubscriberKey
    if enterprise.identifier_keys_allowed:
        return
    if looks_like_identifier(key, default_region=enterprise.default_region) is not None:
        raise IdentifierAsKey


def derived_key(enterprise: Enterprise, given: str) -> str:
    """A subscriber key to use instead of one that names its person; the same for the same `given` key."""
    _, digest = keyring(enterprise.pk).digest(Purpose.SUBSCRIBER_KEY, b"given\x1f" + given.encode())
    return derived_subscriber_key(digest)


def upsert(
    enterprise: Enterprise,
    people: Sequence[Person],
    *,
    job: attributes.JobId = None,
    same_source: frozenset[uuid.UUID] = frozenset(),
    keys_checked: bool = False,
) -> list[KnownContact]:
    """The contact of each person, in the order of `people`; unknown subscriber keys get one.

    `job` is the bulk job (UUIDv7) that gives the attributes: over all jobs and chunks, in any order, those of the
    highest (job, line) stay. Without a job they replace what is there. `same_source` names jobs that read the same
    file: what one of them gave from a line as high stays as it is, so that a file read twice changes nothing.
    `keys_checked`: the caller judged each key, by rules of its own. Runs in the caller's transaction, or in one
    of its own: two statements, two more when attributes of known contacts change, one when there are new ones.
    Raises BadSubscriberKey.
    """
    offered = attributes.highest_lines((p.subscriber_key, p.attributes, p.line) for p in people)
    keys = sorted({person.subscriber_key for person in people})
    if not keys_checked:
        for key in keys:
            check_subscriber_key(enterprise, key)
    with transaction.atomic(savepoint=False):
        new = _insert(enterprise, keys, offered, job)
        known = {key: KnownContact(contact_id, True, False) for key, contact_id in new.items()}
        others = [key for key in keys if key not in new]
        rewritten = [key for key in others if key in offered]
        if rewritten:
            contents = {key: offered[key] for key in rewritten}
            for key, contact_id, is_erased in attributes.replace(enterprise, contents, job, same_source):
                known[key] = KnownContact(contact_id, False, is_erased)
        if len(known) < len(keys):
            known |= _find(enterprise, [key for key in others if key not in known])
        attributes.store(
            enterprise, [(contact_id, offered[key]) for key, contact_id in new.items() if key in offered]
        )
    return [known[person.subscriber_key] for person in people]


def link(
    enterprise: Enterprise, pairs: Sequence[tuple[int, int]], *, fresh: Collection[int] = ()
) -> dict[tuple[int, int], Link]:
    """The link of each (mapping id, contact id), made where it is missing; the first contact becomes the primary.

    `fresh` names mappings that this transaction made, which nobody else can link. Runs in the caller's transaction,
    or in one of its own: one statement when all are linked, two or three otherwise.
    """
    wanted = list(dict.fromkeys(pairs))
    with transaction.atomic(savepoint=False):
        known = [pair for pair in wanted if pair[0] not in fresh]
        found = _find_links(known)
        missing = [pair for pair in wanted if pair not in found]
        if contested := sorted({mapping for mapping, _ in missing if mapping not in fresh}):
            _lock(enterprise, contested)
        found |= _insert_links(enterprise, missing)
        if len(found) < len(wanted):
            found |= _find_links([pair for pair in wanted if pair not in found])
    return found


def primaries(enterprise: Enterprise, mapping_ids: Collection[int]) -> dict[int, Primary]:
    """The primary contact of each mapping that has one. One statement."""
    if not mapping_ids:
        return {}
    with binary_cursor() as cursor:
        cursor.execute(FIND_PRIMARIES, {"enterprise": enterprise.pk, "mappings": list(mapping_ids)})
        return {mapping_id: Primary(*rest) for mapping_id, *rest in cursor.fetchall()}


def with_primary(enterprise: Enterprise, held: Iterable[Held]) -> dict[int, Primary]:
    """The primary contact of every mapping of `held`; one that has none gets a contact with a derived key.

    In the transaction that minted them: one statement when all have one, three when some are new.
    """
    mappings = {one.mapping_id: one for one in held}
    with transaction.atomic(savepoint=False):
        found = primaries(enterprise, list(mappings))
        orphans = sorted(mapping_id for mapping_id in mappings if mapping_id not in found)
        if contested := [mapping_id for mapping_id in orphans if not mappings[mapping_id].is_new]:
            _lock(enterprise, contested)
            found |= primaries(enterprise, contested)
            orphans = [mapping_id for mapping_id in orphans if mapping_id not in found]
        return found | _give_contacts(enterprise, [mappings[mapping_id] for mapping_id in orphans])


def _give_contacts(enterprise: Enterprise, orphans: list[Held]) -> dict[int, Primary]:
    if not orphans:
        return {}
    ring = keyring(enterprise.pk)
    # Of the token, which is random: a key made from the value would come back after an erasure.
    digests = [ring.digest(Purpose.SUBSCRIBER_KEY, b"token\x1f" + one.token.encode())[1] for one in orphans]
    keys = [derived_subscriber_key(digest) for digest in digests]
    contacts = upsert(enterprise, [Person(key) for key in keys], keys_checked=True)
    ids = [one.mapping_id for one in orphans]
    pairs = list(zip(ids, (contact.contact_id for contact in contacts), strict=True))
    links = link(enterprise, pairs, fresh=frozenset(ids))
    return {
        pair[0]: Primary(links[pair].link_id, pair[1], key, contact.is_new)
        for pair, key, contact in zip(pairs, keys, contacts, strict=True)
    }


def _insert(
    enterprise: Enterprise, keys: list[str], offered: dict[str, Offered], job: attributes.JobId
) -> dict[str, int]:
    with_attributes = [offered.get(key) for key in keys]
    parameters = {
        "enterprise": enterprise.pk,
        "job": job,
        "keys": keys,
        "attributes": [one.id if one else None for one in with_attributes],
        "lines": [one.line if one else None for one in with_attributes],
    }
    with binary_cursor() as cursor:
        cursor.execute(INSERT_CONTACTS, parameters)
        return {key: contact_id for contact_id, key in cursor.fetchall()}


def _find(enterprise: Enterprise, keys: list[str]) -> dict[str, KnownContact]:
    with binary_cursor() as cursor:
        cursor.execute(FIND_CONTACTS, {"enterprise": enterprise.pk, "keys": keys})
        return {key: KnownContact(contact_id, False, erased) for contact_id, key, erased in cursor.fetchall()}


def _find_links(pairs: list[tuple[int, int]]) -> dict[tuple[int, int], Link]:
    if not pairs:
        return {}
    mappings, contacts = zip(*pairs, strict=True)
    with binary_cursor() as cursor:
        cursor.execute(FIND_LINKS, {"mappings": list(mappings), "contacts": list(contacts)})
        return {(row[1], row[2]): Link(*row) for row in cursor.fetchall()}


def _lock(enterprise: Enterprise, mapping_ids: list[int]) -> None:
    with binary_cursor() as cursor:
        cursor.execute(LOCK_MAPPINGS, {"enterprise": enterprise.pk, "mappings": mapping_ids})


def _insert_links(enterprise: Enterprise, pairs: list[tuple[int, int]]) -> dict[tuple[int, int], Link]:
    if not pairs:
        return {}
    first: dict[int, int] = {}
    for mapping_id, contact_id in pairs:
        first.setdefault(mapping_id, contact_id)
    mappings, contacts = zip(*sorted(pairs), strict=True)
    parameters = {
        "enterprise": enterprise.pk,
        "mappings": list(mappings),
        "contacts": list(contacts),
        "firsts": [first[mapping] == contact for mapping, contact in zip(mappings, contacts, strict=True)],
    }
    with binary_cursor() as cursor:
        cursor.execute(INSERT_LINKS, parameters)
        return {(row[1], row[2]): Link(*row) for row in cursor.fetchall()}
