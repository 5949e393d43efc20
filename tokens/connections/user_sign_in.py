"""The sign-in of a user of Marketing Cloud for a connection: authorization code with state and PKCE, by a browser."""

from typing import Final

from django.db import transaction
from django.utils import timezone

from audit import trail
from audit.trail import Actor
from audit.vocabulary import Action
from tokens.connections.client import tenant_of
from tokens.connections.recording import recorder
from tokens.connections.verbs import forget_test, locked_connection, target_of
from tokens.crypto.fields import Clear
from tokens.errors import BadConnection, OtherTenant, ScopeOfflineMissing
from tokens.marketing_cloud import AuthorizationCode, MarketingCloud, Patience
from tokens.marketing_cloud.client import NEEDED_SCOPES
from tokens.marketing_cloud.grants import SignIn, begin_sign_in
from tokens.models import Connection
from tokens.models.connections import GrantKind

# Without "offline" there is no refresh token, and somebody would have to sign in every twenty minutes.
SCOPES: Final = ("offline", *NEEDED_SCOPES)
_ONCE: Final = Patience(attempts=1, answer_within=20)


def begin(connection: Connection, redirect_uri: str) -> SignIn:
    """Where to send the browser of who signs in, and what must be kept until it comes back. Raises BadConnection."""
    _check_kind(connection)
    return begin_sign_in(tenant_of(connection), connection.client_id, redirect_uri, SCOPES)


def finish(
    connection: Connection, *, code: str, code_verifier: str, tssd: str, redirect_uri: str, actor: Actor
) -> None:
    """Exchange the code that came back, outside of transactions, and keep the refresh token, sealed.

    The caller has compared the state. `tssd` is the sub-domain that Marketing Cloud names.
    Raises BadConnection, CryptoError and MarketingCloudError.
    """
    _check_kind(connection)
    if tssd and tssd.lower() != connection.subdomain:
        raise OtherTenant(connection.name)
    secret = connection.client_secret.open() if connection.client_secret else None
    grant = AuthorizationCode(connection.client_id, code, redirect_uri, code_verifier, secret)
    kept: list[str] = []
    with MarketingCloud(
        tenant_of(connection),
        grant,
        observe=recorder(connection),
        keep_refresh_token=kept.append,
        patience=_ONCE,
    ) as cloud:
        cloud.caller.access.token()
    if not kept:
        raise ScopeOfflineMissing(connection.name)
    _keep_first(connection, kept[0], actor)


@transaction.atomic
def _keep_first(connection: Connection, refresh_token: str, actor: Actor) -> None:
    row = locked_connection(connection)
    if (row.subdomain, row.client_id) != (connection.subdomain, connection.client_id):
        raise BadConnection("it was changed while somebody signed in: sign in again")
    row.refresh_token, row.signed_in_at = Clear(refresh_token), timezone.now()
    forget_test(row)
    row.save(update_fields=["refresh_token", "signed_in_at", "tested_at", "test", "granted"])
    trail.record(
        Action.CONNECTION_SIGNED_IN,
        actor=actor,
        enterprise_id=row.enterprise_id,
        target=target_of(row),
        details={"subdomain": row.subdomain, "client_id": row.client_id},
    )


def _check_kind(connection: Connection) -> None:
    if connection.grant_kind != GrantKind.CODE:
        raise BadConnection("it proves itself in another way: nobody signs in for it")
