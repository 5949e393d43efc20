"""Whom an erasure is about, and what of theirs: contacts, mappings that nobody else holds, and those that others do."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from tokens.consent import blind
from tokens.models import Contact, ContactMapping, Enterprise, Erasure, Mapping
from tokens.models.mappings import State


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows of one person.

    `mappings` go with them; `shared` ones stay, since contacts that are not erased hold them too.
    """

    enterprise: Enterprise
    contacts: Sequence[Contact]
    mappings: Sequence[Mapping]
    shared: Sequence[Mapping]

    @property
    def contact_ids(self) -> list[int]:
        return [one.pk for one in self.contacts]

    @property
    def mapping_ids(self) -> list[int]:
        return [one.pk for one in self.mappings]

    @property
    def keys(self) -> list[str]:
        """Their subscriber keys, sorted."""
        return sorted(one.subscriber_key for one in self.contacts)

    @property
    def tokens(self) -> list[str]:
        return [one.token for one in self.mappings]

    def blind_indexes(self) -> set[bytes]:
        """Of the values that go, under every version that is known of them."""
        return {digest for one in self.mappings for digest in blind.of_mapping(one).digests}

    def links(self) -> list[int]:
        """The links by which the payload log knows them."""
        rows = ContactMapping.objects.filter(enterprise=self.enterprise)
        of_contacts = rows.filter(contact__in=self.contact_ids)
        of_mappings = rows.filter(mapping__in=self.mapping_ids)
        return sorted({*of_contacts.values_list("pk", flat=True), *of_mappings.values_list("pk", flat=True)})


def of_contacts(mapping: Mapping, contact_ids: Collection[int]) -> Scope:
    """What would be erased with these contacts, from the page of `mapping`. Locks contacts, then mappings.

    Whoever links a contact or a mapping at this moment holds a lock on both, so that none is overlooked.
    """
    contacts = list(
        Contact.objects.select_for_update()
        .filter(enterprise=mapping.enterprise_id, pk__in=list(contact_ids))
        .order_by("subscriber_key")
    )
    held = ContactMapping.objects.filter(contact__in=[one.pk for one in contacts])
    ids = {mapping.pk, *held.values_list("mapping_id", flat=True)}
    mappings = list(
        Mapping.objects.select_for_update(of=("self",))
        .select_related("enterprise")
        .filter(pk__in=ids)
        .order_by("pk")
    )
    others = _held_by_others(ids, {one.pk for one in contacts})
    return Scope(
        mapping.enterprise,
        contacts,
        [one for one in mappings if one.pk not in others],
        [one for one in mappings if one.pk in others],
    )


def of_erasure(erasure: Erasure, *, lock: bool = False) -> Scope:
    """The same of an erasure that has begun: what was decided then."""
    contacts = Contact.objects.filter(pk__in=erasure.contacts).order_by("subscriber_key")
    mappings = Mapping.objects.select_related("enterprise").order_by("pk")
    if lock:
        contacts, mappings = contacts.select_for_update(), mappings.select_for_update(of=("self",))
    return Scope(
        erasure.enterprise,
        list(contacts),
        list(mappings.filter(pk__in=erasure.mappings)),
        list(mappings.filter(pk__in=erasure.shared)),
    )


def _held_by_others(mapping_ids: Collection[int], contact_ids: Collection[int]) -> set[int]:
    rows = ContactMapping.objects.filter(
        mapping__in=mapping_ids, blocked_at=None, contact__erased_at=None
    ).exclude(contact__in=contact_ids)
    return set(rows.values_list("mapping_id", flat=True))


# -- blocking -------------------------------------------------------------------------------------------------
BLOCK_CONTACTS: Final = """
UPDATE tokens_contact SET erased_at = clock_timestamp() WHERE id = ANY(%(contacts)s) AND erased_at IS NULL
"""
BLOCK_MAPPINGS: Final = """
UPDATE tokens_mapping SET state = %(blocked)s WHERE id = ANY(%(mappings)s) AND state = %(active)s
"""
# Of a mapping that goes every link; of a shared one those of these contacts, which are no longer its primary.
BLOCK_LINKS: Final = """
UPDATE tokens_contactmapping
SET blocked_at = coalesce(blocked_at, clock_timestamp()), is_primary = is_primary AND mapping_id = ANY(%(mappings)s)
WHERE contact_id = ANY(%(contacts)s) OR mapping_id = ANY(%(mappings)s)
"""
# The oldest of the other contacts becomes the primary of a shared mapping that has none now.
NEXT_PRIMARY: Final = """
UPDATE tokens_contactmapping SET is_primary = true
WHERE id IN (
    SELECT DISTINCT ON (link.mapping_id) link.id
    FROM tokens_contactmapping link JOIN tokens_contact contact ON contact.id = link.contact_id
    WHERE link.mapping_id = ANY(%(shared)s) AND link.blocked_at IS NULL AND contact.erased_at IS NULL
      AND NOT EXISTS (SELECT FROM tokens_contactmapping prime
                      WHERE prime.mapping_id = link.mapping_id AND prime.is_primary)
    ORDER BY link.mapping_id, link.id)
"""


def block(scope: Scope) -> None:
    """Let nothing of the scope resolve any more, and nothing be added to it. In the caller's transaction."""
    parameters: dict[str, Any] = {
        "contacts": scope.contact_ids,
        "mappings": scope.mapping_ids,
        "shared": [one.pk for one in scope.shared],
        "active": State.ACTIVE.value,
        "blocked": State.BLOCKED.value,
    }
    with connection.cursor() as cursor:
        for statement in (BLOCK_CONTACTS, BLOCK_MAPPINGS, BLOCK_LINKS, NEXT_PRIMARY):
            cursor.execute(statement, parameters)
