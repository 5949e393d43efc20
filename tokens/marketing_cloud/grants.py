"""The ways to an access token (OAuth 2.0): what each sends to the token host.

Secrets are handed in and are in no representation. Refresh tokens and keys are the caller's to seal.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import jwt

from tokens.marketing_cloud.errors import BadKey
from tokens.marketing_cloud.tenant import Api, Tenant

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_SECONDS: Final = 180


class Grant(Protocol):
    """Something that is exchanged for an access token."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent again when its answer was lost: what is good once may not."""
        ...

    def body(self) -> dict[str, str]:
        """The parameters of the token request."""
        ...


def _present(**parameters: str | None) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value}


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Server to server. `account_id` is the MID that it acts for; without it, the unit that owns the package."""

    client_id: str
    client_secret: str = field(repr=False)
    account_id: str | None = None
    scopes: Sequence[str] = ()
    is_repeatable: bool = field(default=True, init=False)

    def body(self) -> dict[str, str]:
        return _present(
            grant_type="client_credentials",
            client_id=self.client_id,
            client_secret=self.client_secret,
            account_id=self.account_id,
            scope=" ".join(self.scopes),
        )


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """For a user who signed in. `client_secret` is None for public apps, which have only the PKCE verifier."""

    client_id: str
    code: str = field(repr=False)
    redirect_uri: str
    code_verifier: str | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)
    is_repeatable: bool = field(default=False, init=False)

    def body(self) -> dict[str, str]:
        return _present(
            grant_type="authorization_code",
            client_id=self.client_id,
            client_secret=self.client_secret,
            code=self.code,
            redirect_uri=self.redirect_uri,
            code_verifier=self.code_verifier,
        )


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """Goes on where a user's sign-in left off; needs the scope `offline` there."""

    client_id: str
    refresh_token: str = field(repr=False)
    client_secret: str | None = field(default=None, repr=False)
    is_repeatable: bool = field(default=False, init=False)

    def body(self) -> dict[str, str]:
        return _present(
            grant_type="refresh_token",
            client_id=self.client_id,
            client_secret=self.client_secret,
            refresh_token=self.refresh_token,
        )


@dataclass(frozen=True, slots=True)
class JwtBearer:
    """An assertion that we sign (RFC 7523): `audience` is the token host, `private_key` RSA in PEM."""

    client_id: str
    subject: str
    audience: str
    private_key: str = field(repr=False)
    is_repeatable: bool = field(default=True, init=False)  # each request signs a new one

    def body(self) -> dict[str, str]:
        return {"grant_type": JWT_BEARER, "assertion": self.assertion()}

    def assertion(self) -> str:
        """A signed assertion for the next three minutes. Raises BadKey."""
        claims: dict[str, Any] = {
            "iss": self.client_id,
            "sub": self.subject,
            "aud": self.audience,
            "exp": int(time.time()) + ASSERTION_SECONDS,
            "jti": secrets.token_hex(16),
        }
        try:
            return jwt.encode(claims, self.private_key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):
            raise BadKey from None


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that was begun: where to send the browser, and what must be kept until it comes back."""

    url: str
    state: str = field(repr=False)
    code_verifier: str = field(repr=False)


def begin_sign_in(tenant: Tenant, client_id: str, redirect_uri: str, scopes: Sequence[str]) -> SignIn:
    """A sign-in with state and PKCE (RFC 7636)."""
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = _present(
        response_type="code",
        client_id=client_id,
        redirect_uri=redirect_uri,
        scope=" ".join(scopes),
        state=state,
        code_challenge=challenge,
        code_challenge_method="S256",
    )
    return SignIn(f"{tenant.url(Api.AUTH)}/v2/authorize?{urlencode(asked)}", state, verifier)
