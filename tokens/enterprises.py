"""Making and changing enterprises and business units. Each verb is one transaction with its event."""

from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from phonenumbers import SUPPORTED_REGIONS

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.crypto.key_making import make_keyset
from tokens.errors import BadEnterprise, NotUnique
from tokens.formats.token_mobile import check_lengths
from tokens.models import BusinessUnit, Enterprise

CHANGEABLE: Final = frozenset(
    {
        "name",
        "default_region",
        "mobile_token_digits",
        "identifier_keys_allowed",
    }
)
"""Fields that `change_enterprise` takes; EID, token domain and sandbox are fixed at birth, and what takes a second
person has ways of its own: `tokens.residue`, `tokens.consent.at_resolve`."""


def is_sandbox(enterprise_id: int) -> bool:
    """Whether acts on that enterprise need no second person: fixed when it was made."""
    return Enterprise.objects.filter(pk=enterprise_id, sandbox=True).exists()


@transaction.atomic
def create_enterprise(
    *,
    eid: str,
    name: str,
    token_domain: str,
    sandbox: bool = False,
    default_region: str = "",
    actor: Actor,
) -> Enterprise:
    """An enterprise with its keyset. Raises NotUnique or BadEnterprise."""
    enterprise = Enterprise(
        eid=eid, name=name, token_domain=token_domain.lower(), sandbox=sandbox, default_region=default_region
    )
    _check(enterprise)
    enterprise.save(force_insert=True)
    make_keyset(enterprise.pk)
    facts = {"eid": eid, "token_domain": enterprise.token_domain, "sandbox": sandbox}
    _record(Action.ENTERPRISE_CREATED, enterprise, actor, facts)
    return enterprise


@transaction.atomic
def change_enterprise(enterprise: Enterprise, *, actor: Actor, **changes: Any) -> Enterprise:
    """Set the CHANGEABLE fields named in `changes`; the event holds what was before. Raises BadEnterprise."""
    fixed = sorted(set(changes) - CHANGEABLE)
    if fixed:
        raise BadEnterprise(f"{', '.join(fixed)}: fixed when the enterprise was made")
    locked = Enterprise.objects.select_for_update().get(pk=enterprise.pk)
    differing = _apply(locked, changes)
    if differing:
        _check(locked)
        locked.save(update_fields=list(differing))
        _record(Action.ENTERPRISE_CHANGED, locked, actor, differing)
    return locked


@transaction.atomic
def create_business_unit(
    enterprise: Enterprise, *, mid: str, name: str, parent: BusinessUnit | None = None, actor: Actor
) -> BusinessUnit:
    """A business unit of `enterprise`. Raises NotUnique or BadEnterprise."""
    unit = BusinessUnit(enterprise=enterprise, mid=mid, name=name, parent=parent)
    _check_unit(unit)
    unit.save(force_insert=True)
    facts = {"mid": mid, "name": name, "parent": parent.mid if parent else None}
    _record(Action.BUSINESS_UNIT_CREATED, enterprise, actor, facts, unit=unit)
    return unit


@transaction.atomic
def change_business_unit(
    unit: BusinessUnit, *, name: str, parent: BusinessUnit | None, actor: Actor
) -> BusinessUnit:
    """Rename a unit or hang it elsewhere; its MID is fixed. Raises BadEnterprise."""
    # Units of one enterprise change one at a time, so that two moves can't close a circle.
    Enterprise.objects.select_for_update().get(pk=unit.enterprise_id)
    locked = BusinessUnit.objects.select_related("enterprise").get(pk=unit.pk)
    differing = _apply(locked, {"name": name, "parent_id": parent.pk if parent else None})
    if differing:
        _check_unit(locked)
        locked.save(update_fields=["name", "parent"])
        _record(Action.BUSINESS_UNIT_CHANGED, locked.enterprise, actor, differing, unit=locked)
    return locked


def _apply(row: Enterprise | BusinessUnit, changes: dict[str, Any]) -> dict[str, Any]:
    """Set `changes` on `row`; what differs is returned as {field: [before, after]}."""
    differing = {}
    for field, value in changes.items():
        before = getattr(row, field)
        if before != value:
            differing[field] = [before, value]
            setattr(row, field, value)
    return differing


def _check(enterprise: Enterprise) -> None:
    _clean(enterprise)
    if enterprise.default_region and enterprise.default_region not in SUPPORTED_REGIONS:
        raise BadEnterprise("default_region: write the country in two capital letters, such as DE")
    try:
        check_lengths(enterprise.mobile_token_digits)
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise BadEnterprise(f"mobile_token_digits: {error}") from None


def _check_unit(unit: BusinessUnit) -> None:
    ancestor = unit.parent
    while ancestor is not None:
        if ancestor.enterprise_id != unit.enterprise_id:
            raise BadEnterprise("the parent unit belongs to another enterprise")
        if ancestor.pk == unit.pk:
            raise BadEnterprise("a business unit can't stand below itself")
        ancestor = ancestor.parent
    _clean(unit)


def _clean(row: Enterprise | BusinessUnit) -> None:
    try:
        row.full_clean()
    except ValidationError as error:
        details = "; ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
        codes = {one.code for errors in error.error_dict.values() for one in errors}
        raise (NotUnique if codes & {"unique", "unique_together"} else BadEnterprise)(details) from None


def _record(
    action: Action,
    enterprise: Enterprise,
    actor: Actor,
    details: dict[str, Any],
    *,
    unit: BusinessUnit | None = None,
) -> None:
    target = (
        Target("business-unit", str(unit.pk), unit.name)
        if unit
        else Target("enterprise", str(enterprise.pk), enterprise.name)
    )
    trail.record(action, actor=actor, enterprise_id=enterprise.pk, target=target, details=details)
