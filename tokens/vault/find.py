"""Finding a person by exact clear value or token. There is no other way in: no browsing, no partial match.

A clear value is turned into its blind index before the database hears of it, so that no statement holds it. What
could be a token is looked for as such only where it can't be anybody's address or number.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BooleanField, Func, Q, QuerySet

from audit.models import PayloadEntry
from tokens.consent import blind
from tokens.consent.state import ConsentState, state_of
from tokens.formats.kinds import Kind
from tokens.formats.lookalikes import canonical_token
from tokens.formats.reasons import InvalidValue
from tokens.formats.token_email import looks_like_email_token
from tokens.formats.token_mobile import DEFAULT_LENGTH, is_valid_number
from tokens.models import ContactMapping, Enterprise, Mapping
from tokens.models.mappings import State


class IsAnyOf(Func):
    """`column = ANY(array)`, which Django's own look-ups can't say of an array that is an expression."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field = BooleanField()


@dataclass(frozen=True, slots=True)
class Found:
    """What is on record of one value: a mapping with its contacts, or none, and in any case its consent.

    Without a mapping there can still be opt-outs and exchanges, which know the person by blind index.
    """

    kind: Kind
    mapping: Mapping | None
    links: Sequence[ContactMapping]
    consent: ConsentState
    blind_indexes: Sequence[bytes] = field(repr=False)

    @property
    def is_known(self) -> bool:
        """Whether anything at all is on record, exchanges aside."""
        return self.mapping is not None or bool(self.consent.opt_outs)


def by_value(enterprise: Enterprise, kind: Kind, typed: str) -> Found:
    """What is on record of a clear value, as a person types it. Raises InvalidValue.

    Of a number that can be read in two ways, the reading of which anything is on record.
    """
    meant = blind.of_typed(enterprise, kind, typed, home=enterprise.default_region)
    found = [_by_index(enterprise, kind, person) for person in meant]
    return next((one for one in found if one.is_known), found[0])


def _by_index(enterprise: Enterprise, kind: Kind, person: blind.BlindIndexes) -> Found:
    held = Mapping.objects.filter(
        Q(blind_index_0__in=person.digests) | Q(blind_index_1__in=person.digests),
        enterprise=enterprise,
        kind=kind,
    )
    mapping = held.exclude(state=State.SUPERSEDED).order_by("id").first()
    return _found(enterprise, kind, mapping, person.digests)


def by_token(enterprise: Enterprise, text: str) -> Found | None:
    """What is on record of a token, in any case and with blanks around it; None when we never drew it."""
    if not looks_like_email_token(text, enterprise.token_domain) and not has_shape_of_mobile_token(
        enterprise, text
    ):
        return None
    mapping = Mapping.objects.filter(enterprise=enterprise, token=canonical_token(text)).first()
    return of_mapping(mapping) if mapping else None


def of_mapping(mapping: Mapping) -> Found:
    """What is on record of the person behind a mapping."""
    indexes = blind.of_mapping(mapping).digests
    return _found(mapping.enterprise, Kind(mapping.kind), mapping, indexes)


def search(enterprise: Enterprise, text: str) -> Found | None:
    """What somebody pasted: a token, an address or a number. None when it is none of these."""
    found = None
    if not looks_like_email_token(text, enterprise.token_domain):
        with suppress(InvalidValue):
            found = by_value(enterprise, Kind.EMAIL if "@" in text else Kind.MOBILE, text)
    if found is None or found.mapping is None:
        return by_token(enterprise, text) or found
    return found


def exchanges_of(enterprise: Enterprise, found: Found | Mapping) -> QuerySet[PayloadEntry]:
    """Every logged exchange that touched the person, the newest first; page by `id__lt` of the last one seen."""
    if isinstance(found, Mapping):
        found = of_mapping(found)
    touched = Q(blind_indexes__overlap=list(found.blind_indexes))
    if found.links:
        touched |= Q(links__overlap=[link.pk for link in found.links])
    # PostgreSQL can't tell a rare person from a frequent one, and would rather read the log in order until it has met
    # enough of their entries. As an array they are found by the GIN indexes first, and sorted then.
    ids = ArraySubquery(PayloadEntry.objects.filter(touched, enterprise_id=enterprise.pk).values("id"))
    return PayloadEntry.objects.filter(IsAnyOf("id", ids), enterprise_id=enterprise.pk).order_by("-id")


def has_shape_of_mobile_token(enterprise: Enterprise, text: str) -> bool:
    """Whether a mobile token can look so: digits that make no valid number, or as many as tokens have."""
    token = canonical_token(text)
    if token is None or not token.isdigit():
        return False
    # By its length, since newer metadata may call an old token valid.
    lengths = {DEFAULT_LENGTH, *enterprise.mobile_token_digits.values()}
    return len(token) in lengths or not is_valid_number(token)


def _found(enterprise: Enterprise, kind: Kind, mapping: Mapping | None, indexes: list[bytes]) -> Found:
    links = (
        ContactMapping.objects.filter(enterprise=enterprise, mapping=mapping)
        .select_related("contact__attributes")
        .order_by("-is_primary", "id")
        if mapping
        else []
    )
    return Found(kind, mapping, list(links), state_of(enterprise, kind, indexes), indexes)
