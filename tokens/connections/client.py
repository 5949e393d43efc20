"""A client of Marketing Cloud for a connection: its secrets opened, its exchanges logged."""

from collections.abc import Sequence
from functools import partial

from django.conf import settings
from django.db.models import Q

from tokens.connections import refreshing
from tokens.connections.recording import recorder
from tokens.errors import NoConnection, NotInUse, SecretMissing, SimulatorInProduction
from tokens.marketing_cloud import ClientCredentials, JwtBearer, MarketingCloud, Patience, Tenant
from tokens.marketing_cloud.grants import Grant
from tokens.marketing_cloud.tenant import Api
from tokens.models import BusinessUnit, Connection, Enterprise
from tokens.models.connections import GrantKind


def cloud(
    unit: BusinessUnit, *, links: Sequence[int] = (), patience: Patience | None = None
) -> MarketingCloud:
    """A client for `unit`, to be used as a context and outside of transactions. Raises BadConnection or CryptoError."""
    found = connection_of(unit)
    if found.in_use_since is None:
        raise NotInUse(found.name)
    return client_of(found, mid=unit.mid, links=links, patience=patience or Patience())


def connection_of(unit: BusinessUnit) -> Connection:
    """The unit's own connection, else the one of the whole enterprise. Raises NoConnection."""
    of_unit = {
        one.business_unit_id: one for one in Connection.objects.filter(enterprise_id=unit.enterprise_id)
    }
    found = of_unit.get(unit.pk) or of_unit.get(None)
    if found is None:
        raise NoConnection(unit.name)
    return found


def of_account(enterprise: Enterprise) -> Connection | None:
    """The connection in use that acts for the account itself: one of a child unit reaches that unit only."""
    of_account = Q(business_unit=None) | Q(business_unit__mid=enterprise.eid)
    in_use = Connection.objects.filter(of_account, enterprise=enterprise, in_use_since__isnull=False)
    return in_use.order_by("business_unit_id").first()


def client_of(
    connection: Connection, *, mid: str | None, links: Sequence[int] = (), patience: Patience
) -> MarketingCloud:
    """A client whether the connection is in use or not: for its test.

    Raises SecretMissing, SimulatorInProduction or CryptoError.
    """
    tenant = tenant_of(connection)
    is_signed_in = connection.grant_kind == GrantKind.CODE
    return MarketingCloud(
        tenant,
        _grant(connection, tenant, mid),
        observe=recorder(connection, links=links),
        keep_refresh_token=partial(refreshing.keep, connection),
        turn=partial(refreshing.in_turn, connection) if is_signed_in else None,
        patience=patience,
    )


def tenant_of(connection: Connection) -> Tenant:
    """Where the hosts of its tenant are. Raises SimulatorInProduction."""
    tenant = Tenant(connection.subdomain, settings.MARKETING_CLOUD_HOSTS)
    if settings.PRODUCTION and tenant.is_simulated and not connection.enterprise.sandbox:
        raise SimulatorInProduction(connection.name)
    return tenant


def _grant(connection: Connection, tenant: Tenant, mid: str | None) -> Grant:
    if connection.grant_kind == GrantKind.JWT:
        if connection.signing_key is None:
            raise SecretMissing(connection.name)
        key = connection.signing_key.open()
        return JwtBearer(connection.client_id, connection.subject, tenant.url(Api.AUTH), key)
    if connection.grant_kind == GrantKind.CODE:
        return refreshing.grant_of(connection)
    if connection.client_secret is None:
        raise SecretMissing(connection.name)
    return ClientCredentials(connection.client_id, connection.client_secret.open(), account_id=mid)
