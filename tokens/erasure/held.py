"""Legal holds stop an erasure: it would destroy clear values in the payload log too."""

from audit import holds
from audit.approvals.errors import CannotBeDone
from audit.models import LegalHold
from tokens.erasure.scope import Scope
from tokens.vault import find


def stopping(scope: Scope) -> list[LegalHold]:
    """The holds in force that cover the person, or an exchange that touched them.

    A hold on somebody else covers exchanges of whole batches; what it keeps of those is about them. Take
    `holds.alone()` first: a hold that is being placed now must not be overlooked.
    """
    touched = {str(one.pk) for one in (*scope.mappings, *scope.shared)}
    found = []
    for hold in holds.live(scope.enterprise.pk).order_by("pk"):
        if hold.scope == holds.Scope.PERSON:
            stops = hold.subject_type == "mapping" and hold.subject_id in touched
        else:
            stops = any(
                holds.held_entries(hold)
                .filter(pk__in=find.exchanges_of(scope.enterprise, one).values("pk"))
                .exists()
                for one in (*scope.mappings, *scope.shared)
            )
        if stops:
            found.append(hold)
    return found


def refuse_if_held(scope: Scope) -> None:
    """Raises CannotBeDone with the cases. Nobody can place a hold until this transaction ends."""
    holds.alone()
    found = stopping(scope)
    if found:
        cases = ", ".join(sorted({hold.case for hold in found}))
        raise CannotBeDone(f"a legal hold keeps it: case {cases}. It can be erased once the hold is released")
