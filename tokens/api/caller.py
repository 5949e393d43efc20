"""The caller's address, resolved once for each request (decision 12).

X-Forwarded-For grows to the right: each proxy appends the address that called it. So it is read from the right,
as long as the hops are proxies that TRUSTED_PROXIES names; the first that is not is the caller. What stands
further left was written by the caller and proves nothing.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNIX_SOCKET: Final = "unix"
"""Stands in TRUSTED_PROXIES for a proxy that reaches us through a Unix socket."""


class TrustedProxies:
    """The proxies in front of us, from a list of CIDRs and perhaps `unix`. Raises ValueError for anything else."""

    def __init__(self, entries: Iterable[str]) -> None:
        entries = [entry.strip() for entry in entries]
        self._by_socket = UNIX_SOCKET in entries
        self._networks = [parse_network(entry) for entry in entries if entry != UNIX_SOCKET]

    def has(self, address: Address) -> bool:
        """Whether `address` is one of them."""
        return any(address in network for network in self._networks)

    def trusts_peer(self, remote: str) -> bool:
        """Whether the peer of the connection is one of them; behind a Unix socket it has no address."""
        if not remote:
            return self._by_socket
        address = parse_address(remote)
        return address is not None and self.has(address)


@lru_cache(maxsize=8)
def trusted_proxies(entries: tuple[str, ...]) -> TrustedProxies:
    """The proxies of settings.TRUSTED_PROXIES, parsed once."""
    return TrustedProxies(entries)


def caller_address(meta: Mapping[str, Any], proxies: TrustedProxies) -> Address | None:
    """The caller of a WSGI request, or None when it can't be known: then no allowlist holds it."""
    remote = str(meta.get("REMOTE_ADDR") or "")
    if not proxies.trusts_peer(remote):
        return parse_address(remote)
    address = parse_address(remote)
    forwarded = str(meta.get("HTTP_X_FORWARDED_FOR") or "")
    # Servers join several headers of one name in their order, with commas. A hop that is blank or can't be read
    # ends the walk: what stands left of it came through nobody whom we trust.
    for hop in reversed(forwarded.split(",")) if forwarded.strip() else ():
        address = parse_address(hop)
        if address is None or not proxies.has(address):
            return address
    return address


def parse_address(text: str) -> Address | None:
    """An address as proxies write it: bare, `1.2.3.4:567`, `[2001:db8::1]:567`; IPv4 in IPv6 becomes IPv4."""
    text = text.strip()
    if text.startswith("["):
        inside, bracket, port = text[1:].partition("]")
        if not bracket or not _is_port(port):
            return None
        text = inside
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(":" + port):
            return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # A zone names an interface of the machine that wrote it, and means nothing here.
        return None if address.scope_id else address.ipv4_mapped or address
    return address


def parse_network(text: str) -> Network:
    """A CIDR; networks of IPv4-mapped addresses become IPv4. Raises ValueError."""
    network = ipaddress.ip_network(text, strict=False)
    if isinstance(network, ipaddress.IPv4Network) or network.prefixlen < 96:
        return network
    mapped = network.network_address.ipv4_mapped
    return network if mapped is None else ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6)
