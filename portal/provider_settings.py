"""Providers of OpenID Connect sign-in, read from the environment: who they are, and which claim gives which role.

Nothing is guessed: a claim that no line maps gives nothing, and a line that names no role of ours ends the start.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from portal.environment import Environment
from portal.settings_errors import refuse

EVERYWHERE: Final = "*"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class RoleLine:
    """Whoever has `claim` gets `role` in the enterprise of that EID, or in all of them (`*`)."""

    claim: str
    role: str
    eid: str


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider. `server` is its issuer; `roles_claim` a path with dots (`custom_attributes.roles`)."""

    id: str
    name: str
    server: str
    client_id: str
    client_secret: str = field(repr=False)
    roles_claim: str
    roles: tuple[RoleLine, ...]

    @property
    def origin(self) -> str:
        """Where the browser is sent, for the Content-Security-Policy."""
        parts = urlsplit(self.server)
        return f"{parts.scheme}://{parts.netloc}"

    def as_app(self) -> dict[str, Any]:
        """What allauth wants to know."""
        settings = {"server_url": self.server, "oauth_pkce_enabled": True}
        return {
            "provider_id": self.id,
            "name": self.name,
            "client_id": self.client_id,
            "secret": self.client_secret,
            "settings": settings,
        }


def read(env: Environment, *, production: bool) -> dict[str, Provider]:
    """The providers that are configured, by id. Their roles are checked when the app starts, by `check_roles`."""
    found = [
        _provider(
            "oidc",
            env.str("OIDC_SERVER", default=""),
            env.str("OIDC_NAME", default="Single sign-on"),
            env.str("OIDC_CLIENT_ID", default=""),
            env.str("OIDC_CLIENT_SECRET", default=""),
            env.str("OIDC_ROLES_CLAIM", default="groups"),
            env.list("OIDC_ROLES", default=[]),
            production,
        ),
        _provider(
            "salesforce",
            env.str("SALESFORCE_SERVER", default=""),
            env.str("SALESFORCE_NAME", default="Salesforce"),
            env.str("SALESFORCE_CLIENT_ID", default=""),
            env.str("SALESFORCE_CLIENT_SECRET", default=""),
            env.str("SALESFORCE_ROLES_CLAIM", default="custom_attributes.portal_roles"),
            env.list("SALESFORCE_ROLES", default=[]),
            production,
        ),
    ]
    return {one.id: one for one in found if one}


def check_roles(providers: Iterable[Provider], roles: Collection[str]) -> None:
    """Ends the start when a line names a role that is none of `roles`."""
    for provider in providers:
        for line in provider.roles:
            if line.role not in roles:
                refuse(
                    f"{provider.id.upper()}_ROLES names a role that there is not",
                    f"give one of {', '.join(sorted(roles))}",
                )


def _provider(
    provider_id: str,
    server: str,
    name: str,
    client_id: str,
    client_secret: str,
    roles_claim: str,
    lines: list[str],
    production: bool,
) -> Provider | None:
    if not server:
        return None
    prefix, server = provider_id.upper(), server.rstrip("/")
    _check_server(f"{prefix}_SERVER", server, production)
    if not client_id or not client_secret:
        missing = f"{prefix}_CLIENT_ID" if not client_id else f"{prefix}_CLIENT_SECRET"
        refuse(f"{missing} is not set", "give what the provider issued for this portal")
    roles = _role_lines(f"{prefix}_ROLES", lines)
    return Provider(provider_id, name, server, client_id, client_secret, roles_claim, roles)


def _check_server(variable: str, server: str, production: bool) -> None:
    parts = urlsplit(server)
    is_local = parts.scheme == "http" and parts.hostname in LOOPBACK and not production
    if (parts.scheme != "https" and not is_local) or not parts.hostname or parts.query:
        refuse(f"{variable} is no https:// address", "give the issuer, such as https://login.example.com")


def _role_lines(variable: str, lines: list[str]) -> tuple[RoleLine, ...]:
    found = []
    for line in lines:
        claim, _, target = line.strip().rpartition("=")
        role, _, eid = target.partition("@")
        if not claim or not role or not eid:
            refuse(
                f"{variable} holds a line that is no claim=role@EID",
                "give such as officers=compliance-officer@7001001, or @* for every enterprise",
            )
        found.append(RoleLine(claim, role, eid))
    return tuple(found)
