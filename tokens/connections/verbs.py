"""Making, changing and testing connections to Marketing Cloud, and taking them out of use. Events hold no secret."""

from dataclasses import asdict
from typing import Any

import uuid_utils.compat
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.connections.walk import Walk, walk
from tokens.crypto import key_making
from tokens.crypto.certificates import make_signing_key
from tokens.crypto.fields import Clear
from tokens.crypto.keyset import Purpose
from tokens.errors import BadConnection, ChangedMeanwhile, NotUnique
from tokens.marketing_cloud import MarketingCloudError
from tokens.marketing_cloud.tenant import subdomain_in
from tokens.models import BusinessUnit, Connection, Enterprise
from tokens.models.connections import GrantKind

LONGEST_SECRET = 1000
# What another account is reached by: changing it takes the connection out of use.
_IDENTITY = ("subdomain", "client_id", "grant_kind", "subject")


@transaction.atomic
def create_connection(
    enterprise: Enterprise,
    *,
    name: str,
    subdomain: str,
    client_id: str,
    business_unit: BusinessUnit | None = None,
    grant_kind: GrantKind | str = GrantKind.CREDENTIALS,
    client_secret: str = "",
    subject: str = "",
    actor: Actor,
) -> Connection:
    """A connection that is not in use yet. `subdomain` may be a base address of the package.

    Raises BadConnection, and NotUnique when the business unit has one already.
    """
    key_making.ensure_key(enterprise.pk, Purpose.CONNECTION)
    made = Connection(id=uuid_utils.compat.uuid7(), enterprise=enterprise, business_unit=business_unit)
    _apply(made, _checked(name, subdomain, client_id, grant_kind, subject))
    if business_unit is not None and business_unit.enterprise_id != enterprise.pk:
        raise BadConnection("the business unit belongs to another enterprise")
    # Of an authorization code it is optional: public apps have none.
    if grant_kind == GrantKind.CREDENTIALS or (grant_kind == GrantKind.CODE and client_secret):
        made.client_secret = _secret(client_secret)
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        raise NotUnique("the business unit has a connection") from None
    if grant_kind == GrantKind.JWT:
        _give_key(made)
    _record(Action.CONNECTION_CREATED, made, actor, _facts(made))
    return made


@transaction.atomic
def change_connection(
    connection: Connection,
    *,
    name: str,
    subdomain: str,
    client_id: str,
    grant_kind: GrantKind | str,
    subject: str,
    actor: Actor,
) -> Connection:
    """Change it; the event holds what was before. Raises BadConnection.

    What leads to another package or tenant takes it out of use.
    """
    locked = locked_connection(connection)
    differing = _apply(locked, _checked(name, subdomain, client_id, grant_kind, subject))
    if not differing:
        return locked
    if differing.keys() & set(_IDENTITY):
        forget_test(locked)
        # Who signed in did so for another package or tenant.
        locked.refresh_token, locked.signed_in_at = None, None
        if locked.in_use_since is not None:
            locked.in_use_since = None
            differing["in_use"] = [True, False]
    locked.save(
        update_fields=[
            "name", *_IDENTITY, "in_use_since", "tested_at", "test", "granted", "refresh_token", "signed_in_at"
        ]
    )  # fmt: skip
    if locked.grant_kind == GrantKind.JWT and locked.signing_key is None:
        _give_key(locked)
    _record(Action.CONNECTION_CHANGED, locked, actor, differing)
    return locked


@transaction.atomic
def change_secret(connection: Connection, *, client_secret: str, actor: Actor) -> None:
    """Enter another secret of the same package. Raises BadConnection."""
    locked = locked_connection(connection)
    locked.client_secret = _secret(client_secret)
    forget_test(locked)
    locked.save(update_fields=["client_secret", "tested_at", "test", "granted"])
    _record(Action.CONNECTION_SECRET_CHANGED, locked, actor, {"what": "client secret"})


@transaction.atomic
def change_key(connection: Connection, *, actor: Actor) -> None:
    """Make another signing key: from now on only its certificate is good, so upload it at once."""
    locked = locked_connection(connection)
    forget_test(locked)
    _give_key(locked)
    locked.save(update_fields=["tested_at", "test", "granted"])
    _record(Action.CONNECTION_SECRET_CHANGED, locked, actor, {"what": "signing key"})


def test_connection(connection: Connection, *, actor: Actor) -> Walk:
    """Walk from DNS to a read, outside of transactions, and keep what came of it.

    Raises ChangedMeanwhile when another tenant, package, user, secret or key is entered than was tested.
    """
    unit = connection.business_unit
    tested = _tested(connection)
    result = walk(connection, mid=unit.mid if unit else None)
    with transaction.atomic():
        locked = locked_connection(connection)
        if _tested(locked) != tested:
            raise ChangedMeanwhile(connection.name)
        locked.tested_at = timezone.now()
        locked.test = [asdict(step) for step in result.steps]
        locked.granted = sorted(result.granted or ())
        locked.save(update_fields=["tested_at", "test", "granted"])
        details = {step.step.value: step.state.value for step in result.steps}
        _record(Action.CONNECTION_TESTED, locked, actor, details)
    return result


@transaction.atomic
def stop_using(connection: Connection, *, actor: Actor) -> Connection:
    """Nothing goes through it from now on. Idempotent."""
    locked = locked_connection(connection)
    if locked.in_use_since is not None:
        locked.in_use_since = None
        locked.save(update_fields=["in_use_since"])
        _record(Action.CONNECTION_STOPPED, locked, actor, {})
    return locked


def target_of(connection: Connection) -> Target:
    """A connection as the target of an event."""
    return Target("connection", str(connection.pk), connection.name)


def _checked(
    name: str, subdomain: str, client_id: str, grant_kind: GrantKind | str, subject: str
) -> dict[str, str]:
    try:
        tenant = subdomain_in(subdomain)
        kind = GrantKind(grant_kind)
    except (MarketingCloudError, ValueError) as error:
        raise BadConnection(str(error)) from None
    if not name.strip() or not client_id.strip():
        raise BadConnection("a name and the client id of the package are needed")
    if kind is GrantKind.JWT and not subject.strip():
        raise BadConnection("an assertion needs the user whom it is for")
    return {
        "name": name.strip(),
        "subdomain": tenant,
        "client_id": client_id.strip(),
        "grant_kind": kind.value,
        "subject": subject.strip() if kind is GrantKind.JWT else "",
    }


def _apply(row: Connection, wanted: dict[str, str]) -> dict[str, Any]:
    """Set `wanted` on `row`; what differs is returned as {field: [before, after]}."""
    differing = {}
    for field, value in wanted.items():
        before = getattr(row, field)
        if before != value:
            differing[field] = [before, value]
            setattr(row, field, value)
    return differing


def _secret(text: str) -> Clear:
    secret = text.strip()
    if not 0 < len(secret) <= LONGEST_SECRET or not secret.isprintable():
        raise BadConnection("paste the client secret of the package")
    return Clear(secret)


def _give_key(connection: Connection) -> None:
    private, certificate = make_signing_key(f"Token portal, {connection.enterprise.eid}")
    connection.signing_key = Clear(private)
    connection.certificate = certificate
    connection.save(update_fields=["signing_key", "certificate"])


def forget_test(connection: Connection) -> None:
    """What was tested is no longer what is there; the caller saves."""
    connection.tested_at, connection.test, connection.granted = None, [], []


def _tested(connection: Connection) -> tuple[object, ...]:
    """What a test speaks of. Each sealing differs from the one before, also of the same secret."""
    sealed = (connection.client_secret, connection.signing_key)
    # A refresh token is not compared: each fetch brings the next one.
    return *(getattr(connection, field) for field in (*_IDENTITY, "signed_in_at")), *(
        one and bytes(one.envelope) for one in sealed
    )


def _facts(connection: Connection) -> dict[str, Any]:
    unit = connection.business_unit
    return {field: getattr(connection, field) for field in _IDENTITY} | {
        "business_unit": unit.mid if unit else None
    }


def locked_connection(connection: Connection) -> Connection:
    """Its row, locked until the transaction ends."""
    rows = Connection.objects.select_for_update(of=("self",)).select_related("enterprise", "business_unit")
    return rows.get(pk=connection.pk)


def _record(action: Action, connection: Connection, actor: Actor, details: dict[str, Any]) -> None:
    trail.record(
        action,
        actor=actor,
        enterprise_id=connection.enterprise_id,
        target=target_of(connection),
        details=details,
    )
