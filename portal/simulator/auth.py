"""The auth host: tokens for every grant, the sign-in page's redirect, and who the token is for."""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import jwt

from portal.simulator.messages import OAuthRefused, Refused, Reply, Request, as_json
from portal.simulator.world import Package, Token, World

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CODE_SECONDS: Final = 60
REFRESH_SECONDS: Final = 30 * 24 * 3600
LONGEST_ASSERTION_SECONDS: Final = 5 * 60
USER: Final = "simulated.user@example.com"


def bearer(world: World, value: str) -> Token | None:
    """The token of that value, unless it expired."""
    token = world.tokens.get(value)
    return token if token and token.expires_at > time.monotonic() else None


def needs(world: World, request: Request, scope: str) -> Token:
    """The bearer token of a REST call, which must have `scope` ("" for none). Raises Refused 401 or 403."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    token = bearer(world, value.strip()) if scheme.casefold() == "bearer" else None
    if token is None:
        raise Refused(401, 0, "Not Authorized")
    if scope and scope not in token.scopes:
        raise Refused(403, 20000, "Insufficient privileges to perform this operation.")
    return token


def authorize(world: World, request: Request) -> Reply:
    """`GET /v2/authorize`: nobody is asked, the code comes at once. Raises OAuthRefused."""
    asked = request.query
    package = world.packages.get(asked.get("client_id", ""))
    if package is None or asked.get("redirect_uri") not in package.redirect_uris:
        raise OAuthRefused(400, "invalid_request", "client_id and redirect_uri do not match a package.")
    if asked.get("response_type") != "code":
        raise OAuthRefused(400, "unsupported_response_type", "response_type must be code.")
    if asked.get("code_challenge") and asked.get("code_challenge_method") != "S256":
        raise OAuthRefused(400, "invalid_request", "code_challenge_method must be S256.")
    code = secrets.token_urlsafe(24)
    world.codes[code] = Token(
        client_id=package.client_id,
        mid=world.eid,
        scopes=_granted(package, asked.get("scope")),
        expires_at=world.expires_in(CODE_SECONDS),
        redirect_uri=asked["redirect_uri"],
        challenge=asked.get("code_challenge", ""),
    )
    answer = urlencode({"code": code, "state": asked.get("state", ""), "tssd": world.subdomain})
    return Reply(302, headers={"Location": f"{asked['redirect_uri']}?{answer}"})


def token(world: World, request: Request) -> Reply:
    """`POST /v2/token` with a JSON body. Raises OAuthRefused."""
    asked = request.json()
    if not isinstance(asked, dict):
        raise OAuthRefused(400, "invalid_request", "The body must be one JSON object.")
    grant = GRANTS.get(str(asked.get("grant_type")))
    if grant is None:
        raise OAuthRefused(400, "unsupported_grant_type", "The grant_type is not supported.")
    return as_json(grant(world, asked, request.origin))


def core_token(world: World, request: Request) -> Reply:
    """`POST /services/oauth2/token` of a Salesforce core org: a form, and only the JWT bearer flow."""
    asked = dict(parse_qsl(request.body.decode()))
    if asked.get("grant_type") != JWT_BEARER:
        raise OAuthRefused(400, "unsupported_grant_type", "grant type not supported")
    claims_of(world, asked)
    value = f"00D{secrets.token_hex(6)}!{secrets.token_urlsafe(24)}"
    instance = f"{request.origin}"
    return as_json({"access_token": value, "scope": "api", "instance_url": instance, "token_type": "Bearer"})


def userinfo(world: World, request: Request) -> Reply:
    """`GET /v2/userinfo`"""
    held = needs(world, request, "")
    return as_json(
        {
            "exp": int(time.time() + held.expires_at - time.monotonic()),
            "iss": f"{request.origin}/",
            "user": {"sub": "1000001", "name": "Simulated user", "preferred_username": USER, "email": USER},
            "organization": {
                "member_id": int(held.mid),
                "enterprise_id": int(world.eid),
                "enterprise_name": world.units[world.eid],
                "account_type": "Enterprise 2.0" if held.mid == world.eid else "Business Unit",
                "stack_key": "S0",
                "region": "NA1",
            },
            "rest": {"rest_instance_url": _instance(world, request.origin, "rest")},
            "application": {"id": held.client_id, "name": "Simulated package"},
            "permissions": sorted(held.scopes),
        }
    )


def _client_credentials(world: World, asked: dict[str, Any], origin: str) -> dict[str, Any]:
    package = _package(world, asked)
    if package.kind != "server":
        raise OAuthRefused(400, "unauthorized_client", "The package has no server-to-server integration.")
    mid = str(asked.get("account_id") or world.eid)
    if mid not in (package.mids or world.units):
        raise OAuthRefused(400, "invalid_request", "account_id is not a business unit of this package.")
    return _issue(world, package, mid, _granted(package, asked.get("scope")), origin)


def _authorization_code(world: World, asked: dict[str, Any], origin: str) -> dict[str, Any]:
    package = _package(world, asked)
    code = world.codes.pop(str(asked.get("code")), None)  # good once
    if code is None or code.expires_at <= time.monotonic() or code.client_id != package.client_id:
        raise OAuthRefused(400, "invalid_grant", "The authorization code is invalid or expired.")
    if code.redirect_uri != asked.get("redirect_uri"):
        raise OAuthRefused(400, "invalid_grant", "redirect_uri differs from the one of the code.")
    if code.challenge and challenge_of(str(asked.get("code_verifier", ""))) != code.challenge:
        raise OAuthRefused(400, "invalid_grant", "code_verifier does not match.")
    if package.kind == "public" and not code.challenge:
        raise OAuthRefused(400, "invalid_grant", "A public app needs PKCE.")
    return _issue(world, package, code.mid, code.scopes, origin, refreshable=True)


def _refresh(world: World, asked: dict[str, Any], origin: str) -> dict[str, Any]:
    package = _package(world, asked)
    # Each refresh token is good once; the answer brings the next one.
    held = world.refresh_tokens.pop(str(asked.get("refresh_token")), None)
    if held is None or held.expires_at <= time.monotonic() or held.client_id != package.client_id:
        raise OAuthRefused(400, "invalid_grant", "The refresh token is invalid or expired.")
    scopes = _granted(package, asked.get("scope")) & held.scopes if asked.get("scope") else held.scopes
    return _issue(world, package, held.mid, scopes, origin, refreshable=True)


def _jwt_bearer(world: World, asked: dict[str, Any], origin: str) -> dict[str, Any]:
    package = claims_of(world, asked)
    return _issue(world, package, world.eid, package.scopes - {"offline"}, origin)


GRANTS: Final[dict[str, Callable[[World, dict[str, Any], str], dict[str, Any]]]] = {
    "client_credentials": _client_credentials,
    "authorization_code": _authorization_code,
    "refresh_token": _refresh,
    JWT_BEARER: _jwt_bearer,
}


def claims_of(world: World, asked: dict[str, Any]) -> Package:
    """The package that signed an assertion (RFC 7523), which is good once. Raises OAuthRefused."""
    refused = OAuthRefused(400, "invalid_grant", "The assertion is not valid.")
    assertion = str(asked.get("assertion", ""))
    try:
        issuer = jwt.decode(assertion, options={"verify_signature": False}).get("iss")
        package = world.packages[str(issuer)]
        options: Any = {"require": ["exp", "iss", "sub", "aud"], "verify_aud": False}
        claims = jwt.decode(assertion, package.public_key or "", algorithms=["RS256"], options=options)
    except (jwt.PyJWTError, KeyError, ValueError):
        raise refused from None
    is_too_long = claims["exp"] > time.time() + LONGEST_ASSERTION_SECONDS
    if is_too_long or not claims["aud"] or assertion in world.used_assertions:
        raise refused
    world.used_assertions.add(assertion)
    return package


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _package(world: World, asked: dict[str, Any]) -> Package:
    package = world.packages.get(str(asked.get("client_id")))
    is_proven = package is not None and (
        package.kind == "public"
        or secrets.compare_digest(str(asked.get("client_secret", "")), package.client_secret)
    )
    if package is None or not is_proven:
        raise OAuthRefused(401, "invalid_client", "Invalid client ID. Use the client ID in Marketing Cloud.")
    return package


def _granted(package: Package, scope: Any) -> frozenset[str]:
    if not scope:
        return package.scopes
    asked = frozenset(str(scope).split())
    if not asked <= package.scopes:
        raise OAuthRefused(400, "invalid_scope", "A scope is not granted to the package.")
    return asked


def _issue(
    world: World,
    package: Package,
    mid: str,
    scopes: frozenset[str],
    origin: str,
    *,
    refreshable: bool = False,
) -> dict[str, Any]:
    value = secrets.token_urlsafe(32)
    world.tokens[value] = Token(package.client_id, mid, scopes, world.expires_in(world.lifetime))
    answer: dict[str, Any] = {
        "access_token": value,
        "token_type": "Bearer",
        "expires_in": world.lifetime,
        "scope": " ".join(sorted(scopes)),
        "rest_instance_url": _instance(world, origin, "rest"),
        "soap_instance_url": _instance(world, origin, "soap"),
    }
    if refreshable and "offline" in scopes:
        again = secrets.token_urlsafe(32)
        world.refresh_tokens[again] = Token(package.client_id, mid, scopes, world.expires_in(REFRESH_SECONDS))
        answer["refresh_token"] = again
    return answer


def _instance(world: World, origin: str, api: str) -> str:
    """Where a host of the tenant is here: its own address stands in the path, and it ends in "/"."""
    return f"{origin}/https://{world.subdomain}.{api}.marketingcloudapis.com/"
