"""Erasures as rows, at any point of their way, in a database that rolls back."""

from typing import Any

import uuid_utils.compat
from django.utils import timezone

from tests.tokens.api import cast
from tokens.erasure import scope
from tokens.models import Enterprise, Erasure, Mapping


def a_person(enterprise: Enterprise, value: str, key: str, **attributes: str) -> Mapping:
    token = cast.a_person(enterprise, value, key, tuple(attributes.items()) or None)
    return Mapping.objects.select_related("enterprise").get(token=token)


def begun(mapping: Mapping, **changes: Any) -> Erasure:
    """The erasure of everybody who holds a mapping, blocked; `changes` say how far it is."""
    found = scope.of_contacts(mapping, [link.contact_id for link in mapping.links.all()])
    scope.block(found)
    return Erasure.objects.create(
        id=uuid_utils.compat.uuid7(),
        enterprise=mapping.enterprise,
        mapping=mapping,
        case="DSAR-7",
        contacts=found.contact_ids,
        mappings=found.mapping_ids,
        shared=[one.pk for one in found.shared],
        **{"recorded_at": timezone.now()} | changes,
    )
