"""A person by blind index: consent outlives erasure, so nothing here needs a mapping or a clear value."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Q

from tokens.crypto.errors import CannotOpen
from tokens.crypto.keyring import IndexKey, keyring
from tokens.formats.kinds import Kind
from tokens.formats.lookalikes import canonical_token
from tokens.formats.normalise import normalise
from tokens.formats.typed_numbers import readings
from tokens.models import ConsentEvent, Enterprise, Mapping
from tokens.models.mappings import State


@dataclass(frozen=True, slots=True)
class BlindIndexes:
    """The blind indexes of one value, as (version, digest), the newest last."""

    by_version: tuple[tuple[int, bytes], ...]

    @property
    def version(self) -> int:
        return self.by_version[-1][0]

    @property
    def current(self) -> bytes:
        return self.by_version[-1][1]

    @property
    def digests(self) -> list[bytes]:
        return [digest for _, digest in self.by_version]

    def has(self, digest: bytes | memoryview) -> bool:
        """Whether `digest` is this value's under any version."""
        return bytes(digest) in self.digests


def versions_of(enterprise: Enterprise) -> tuple[IndexKey, ...]:
    """Every live version of an enterprise, asked for anew: once for a set of people."""
    ring = keyring(enterprise.pk)
    # A version that another process made live a moment ago must not be missed: nothing reads the old one again.
    ring.refresh(force=True)
    return ring.live_versions()


def of_value(
    enterprise: Enterprise,
    kind: Kind,
    value: str,
    *,
    region: str = "",
    versions: Sequence[IndexKey] | None = None,
) -> BlindIndexes:
    """The blind indexes under every live version of an address, or of a number.

    A number begins with its country calling code, or was written in the country `region`. Raises InvalidValue.
    """
    versions = versions or versions_of(enterprise)
    forms = {
        number: normalise(kind, value, version=number, default_region=region)
        for number in {one.normalisation for one in versions}
    }
    return BlindIndexes(tuple((one.number, one.digest(kind, forms[one.normalisation])) for one in versions))


def of_typed(
    enterprise: Enterprise, kind: Kind, typed: str, *, home: str, versions: Sequence[IndexKey] | None = None
) -> list[BlindIndexes]:
    """Those of each value that a person can have meant; more than one only for a number. Raises InvalidValue."""
    values = [typed] if kind == Kind.EMAIL else readings(typed, home)
    return [of_value(enterprise, kind, value, versions=versions) for value in values]


def of_mapping(mapping: Mapping, *, versions: Sequence[IndexKey] | None = None) -> BlindIndexes:
    """Those that the mapping names and, while its value can be opened, those of every live version."""
    stored = {
        version: bytes(digest)
        for version, digest in (
            (mapping.index_version_0, mapping.blind_index_0),
            (mapping.index_version_1, mapping.blind_index_1),
        )
        if version is not None and digest is not None
    }
    if mapping.state in (State.ACTIVE, State.BLOCKED):
        kind = Kind(mapping.kind)
        try:
            live = of_value(mapping.enterprise, kind, mapping.value.open(), versions=versions)
        except CannotOpen:
            pass  # the alarm is Resolve's; an opt-out must not wait for a key
        else:
            stored |= dict(live.by_version)
    return BlindIndexes(tuple(sorted(stored.items())))


def mapping_of(event: ConsentEvent) -> Mapping | None:
    """The mapping of the person of an event, if they have one: consent knows people by blind index only."""
    index = bytes(event.blind_index)
    held = Mapping.objects.filter(
        Q(blind_index_0=index) | Q(blind_index_1=index), enterprise=event.enterprise_id, kind=event.kind
    )
    return held.exclude(state=State.SUPERSEDED).select_related("enterprise").order_by("id").first()


def mappings_by_token(enterprise: Enterprise, typed: Iterable[str]) -> dict[str, Mapping]:
    """The mappings of those texts that are tokens of ours, by the text: Marketing Cloud knows no other names."""
    domain = f"@{enterprise.token_domain}"
    asked = {one: token for one in typed if (token := canonical_token(one))}
    tokens = {one: token for one, token in asked.items() if "@" not in token or token.endswith(domain)}
    held = Mapping.objects.filter(enterprise=enterprise, token__in=set(tokens.values()))
    by_token = {mapping.token: mapping for mapping in held.select_related("enterprise")} if tokens else {}
    return {one: by_token[token] for one, token in tokens.items() if token in by_token}
