"""Where the hosts of a tenant are."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from tokens.marketing_cloud.errors import BadHosts, BadSubdomain

HOSTS: Final = "https://{subdomain}.{api}.marketingcloudapis.com"
_SUBDOMAIN: Final = re.compile(r"mc[a-z0-9-]{26}")
_PASTED: Final = re.compile(
    r"(?:https?://)?(mc[a-z0-9-]{26})(?:\.(?:auth|rest|soap)\.marketingcloudapis\.com/?)?"
)
_LOOPBACK: Final = frozenset(("127.0.0.1", "localhost", "::1"))


class Api(StrEnum):
    """One of the three hosts."""

    AUTH = "auth"
    REST = "rest"
    SOAP = "soap"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant by its sub-domain: 28 characters that begin with "mc". Raises BadSubdomain or BadHosts.

    `hosts` is a template with {subdomain} and {api}; only a simulator needs another one.
    """

    subdomain: str
    hosts: str = HOSTS

    def __post_init__(self) -> None:
        if not _SUBDOMAIN.fullmatch(self.subdomain):
            raise BadSubdomain
        try:
            where = urlsplit(self.url(Api.AUTH))
        except (KeyError, IndexError, ValueError):
            raise BadHosts from None
        if where.scheme != "https" and not (where.scheme == "http" and where.hostname in _LOOPBACK):
            raise BadHosts

    @property
    def is_simulated(self) -> bool:
        """Whether its hosts are on this machine."""
        return urlsplit(self.hosts).hostname in _LOOPBACK

    def url(self, api: Api) -> str:
        """The base address of a host, without "/" at its end."""
        return self.hosts.format(subdomain=self.subdomain, api=api.value).rstrip("/")

    def instance(self, api: Api, said: str | None) -> str:
        """The address that a token's answer names for a host, if it is one of Marketing Cloud's; else our own.

        A bearer token is never sent to a host outside, whoever names it. The answer may leave out the scheme.
        """
        own = self.url(api)
        if not said:
            return own
        address = said if "://" in said else f"https://{said}"
        named, expected = urlsplit(address), urlsplit(own)
        if self.is_simulated:
            is_ours = named.netloc == expected.netloc
        else:
            domain = (expected.hostname or "").partition(".")[2]
            is_ours = named.scheme == "https" and (named.hostname or "").endswith(f".{domain}")
        return address.rstrip("/") if is_ours else own


def subdomain_in(text: str) -> str:
    """The sub-domain in what somebody pasted: itself, or a base address of the package. Raises BadSubdomain."""
    match = _PASTED.fullmatch(text.strip().lower())
    if match is None:
        raise BadSubdomain
    return match[1]
