"""Who calls: HTTP Basic or a bearer token, each proven with one statement (decision 11).

Unknown clients and wrong secrets cost the same: the statement falls back on a decoy, some other client, whose
secrets are compared as well before both get the same answer.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tokens.api.allowlist import parsed
from tokens.api.caller import Network
from tokens.api.errors import ApiError, ErrorCode
from tokens.clients import matching_secret
from tokens.models.clients import AuthMethod
from tokens.vault.cursors import binary_cursor

BASIC_CHALLENGE: Final = 'Basic realm="token server", charset="UTF-8"'
BEARER_CHALLENGE: Final = 'Bearer realm="token server"'

_CLIENT_COLUMNS = """
    client.id, client.client_id, client.name, client.enterprise_id, client.auth,
    client.transactional, client.mint_budget_per_day, enterprise.optout_blocks_resolve, enterprise.token_domain,
    client.switched_off_at IS NOT NULL, client.scopes::text[],
    ARRAY(SELECT cidr::text FROM tokens_allowednetwork WHERE client_id = client.id ORDER BY cidr)
"""

# The client of that id, or as a decoy the eldest one (both are always looked for); its allowlist; and its live
# secrets as keyed digests.
BY_CLIENT_ID = f"""
SELECT {_CLIENT_COLUMNS},
    ARRAY(SELECT id FROM tokens_clientsecret WHERE client_id = client.id AND retired_at IS NULL ORDER BY id),
    ARRAY(SELECT key_id FROM tokens_clientsecret WHERE client_id = client.id AND retired_at IS NULL ORDER BY id),
    ARRAY(SELECT digest FROM tokens_clientsecret WHERE client_id = client.id AND retired_at IS NULL ORDER BY id)
FROM tokens_apiclient client JOIN tokens_enterprise enterprise ON enterprise.id = client.enterprise_id
WHERE client.id = (array_remove(ARRAY[(SELECT id FROM tokens_apiclient WHERE client_id = %s),
                                      (SELECT min(id) FROM tokens_apiclient)], NULL))[1]
"""  # noqa: S608 - built from constants

# The client that a bearer token was issued to. Tokens are found by SHA-256: they are 256 random bits.
BY_BEARER_TOKEN = f"""
SELECT {_CLIENT_COLUMNS}, token.expires <= now(), token.scope
FROM oauth2_provider_accesstoken token
JOIN tokens_apiclient client ON client.id = token.application_id
JOIN tokens_enterprise enterprise ON enterprise.id = client.enterprise_id
WHERE token.token_checksum = %s
"""  # noqa: S608 - built from constants


@dataclass(frozen=True, slots=True)
class Client:
    """The API client that calls, as it stood when it proved itself."""

    pk: int
    client_id: str
    name: str
    enterprise_id: int
    auth: str
    transactional: bool
    mint_budget_per_day: int
    optout_blocks_resolve: bool
    token_domain: str
    switched_off: bool
    scopes: frozenset[str]
    networks: tuple[Network, ...]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> "Client":
        """From _CLIENT_COLUMNS."""
        *facts, scopes, networks = row
        return cls(*[*facts, frozenset(scopes), parsed(tuple(networks))])


class BasicAuthentication(BaseAuthentication):
    """Client id and secret in an Authorization header (RFC 7617)."""

    def authenticate(self, request: Request) -> tuple[Client, None] | None:
        credentials = _credentials(request, "basic")
        if credentials is None:
            return None
        client = client_of_secret(*decode_basic(credentials))
        if client is None:
            raise refused(ErrorCode.INVALID_CREDENTIALS, challenge=BASIC_CHALLENGE)
        if client.auth != AuthMethod.BASIC:
            raise refused(ErrorCode.WRONG_METHOD, client, challenge=BEARER_CHALLENGE)
        if client.switched_off:
            raise refused(ErrorCode.SWITCHED_OFF, client, challenge=BASIC_CHALLENGE)
        return client, None

    def authenticate_header(self, request: Request) -> str:
        return BASIC_CHALLENGE


class BearerAuthentication(BaseAuthentication):
    """A bearer token of /oauth2/token (RFC 6750)."""

    def authenticate(self, request: Request) -> tuple[Client, None] | None:
        token = _credentials(request, "bearer")
        if token is None:
            return None
        challenge = BEARER_CHALLENGE + ', error="invalid_token"'
        with binary_cursor() as cursor:
            cursor.execute(BY_BEARER_TOKEN, [hashlib.sha256(token.encode()).hexdigest()])
            row = cursor.fetchone()
        if row is None:
            raise refused(ErrorCode.INVALID_TOKEN, challenge=challenge)
        *columns, is_expired, granted = row
        client = Client.of_row(columns)
        client = replace(client, scopes=client.scopes & set(granted.split()))
        if is_expired:
            raise refused(ErrorCode.EXPIRED_TOKEN, client, challenge=challenge)
        if client.auth != AuthMethod.OAUTH:
            raise refused(ErrorCode.WRONG_METHOD, client, challenge=BASIC_CHALLENGE)
        if client.switched_off:
            raise refused(ErrorCode.SWITCHED_OFF, client, challenge=challenge)
        return client, None

    def authenticate_header(self, request: Request) -> str:
        return BEARER_CHALLENGE


def client_of_secret(client_id: str, secret: str) -> Client | None:
    """The client that holds this secret, also when it was switched off; None for a wrong secret or client id."""
    if "\x00" in client_id:
        client_id = ""  # PostgreSQL has no text with NUL, and no client has an empty id
    with binary_cursor() as cursor:
        cursor.execute(BY_CLIENT_ID, [client_id])
        row = cursor.fetchone()
    if row is None:
        return None
    *columns, ids, keys, digests = row
    client = Client.of_row(columns)
    matches = matching_secret(client.enterprise_id, zip(ids, keys, digests, strict=True), secret) is not None
    return client if matches and client.client_id == client_id else None


def decode_basic(credentials: str) -> tuple[str, str]:
    """(client id, secret) of the credentials of a Basic header; what can't be read matches no client."""
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return "", ""
    client_id, _, secret = text.partition(":")
    return client_id, secret


def refused(code: ErrorCode, client: Client | None = None, *, challenge: str) -> ApiError:
    """A 401 with its challenge; `client` is known if it proved itself and is refused for another reason."""
    return ApiError(code, headers={"WWW-Authenticate": challenge}, client=client)


def _credentials(request: Request, scheme: str) -> str | None:
    """What follows `scheme` in the Authorization header, or None if it names another scheme."""
    header = request.META.get("HTTP_AUTHORIZATION", "")
    named, _, credentials = header.strip().partition(" ")
    return credentials.strip() if named.lower() == scheme else None
