"""By what the payload log knows a person under a legal hold."""

from audit import holds
from audit.holds import Traces
from audit.models import LegalHold
from tokens.models import Mapping
from tokens.vault import find


def traces_of(hold: LegalHold) -> Traces:
    """The links and blind indexes of the mapping that a hold is on; those of today, later links included."""
    mapping = Mapping.objects.select_related("enterprise").get(pk=int(hold.subject_id))
    found = find.of_mapping(mapping)
    return Traces(frozenset(link.pk for link in found.links), frozenset(map(bytes, found.blind_indexes)))


def register() -> None:
    """Tell `audit.holds`."""
    holds.know_people_by(traces_of)
