"""The caller's address is what trusted proxies say it is, read from the right."""

import pytest

from tokens.api.caller import TrustedProxies, caller_address, parse_address

PROXIES = TrustedProxies(["10.0.0.0/8", "2001:db8:ff::/48", "unix"])


def caller(remote: str, forwarded: str | None = None, proxies: TrustedProxies = PROXIES) -> str | None:
    meta = {"REMOTE_ADDR": remote}
    if forwarded is not None:
        meta["HTTP_X_FORWARDED_FOR"] = forwarded
    address = caller_address(meta, proxies)
    return str(address) if address else None


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        # A peer that is no proxy of ours is the caller, whatever it says.
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("203.0.113.9", "10.0.0.1", "203.0.113.9"),
        # A trusted proxy tells who called it; what stands further left is the caller's own invention.
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1,198.51.100.1,10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "garbage, 198.51.100.1, 10.0.0.2, 10.9.9.9", "198.51.100.1"),
        # Nobody but proxies: the first of them called.
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # A hop that can't be read ends the walk: the caller is unknown.
        ("10.0.0.1", "198.51.100.1, unknown", None),
        ("10.0.0.1", "198.51.100.1, ", None),
        ("10.0.0.1", "198.51.100.1,,10.0.0.2", None),
        ("10.0.0.1", "198.51.100.1, _hidden", None),
        # IPv6, ports, brackets, IPv4 in IPv6.
        ("2001:db8:ff::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("::ffff:203.0.113.9", "198.51.100.1", "203.0.113.9"),
        # Behind a Unix socket the peer has no address.
        ("", "198.51.100.1", "198.51.100.1"),
        ("", None, None),
    ],
)
def test_the_caller_is_found_from_the_right(remote: str, forwarded: str | None, expected: str | None) -> None:
    assert caller(remote, forwarded) == expected


def test_without_trusted_proxies_the_peer_is_the_caller() -> None:
    assert caller("10.0.0.1", "198.51.100.1", TrustedProxies([])) == "10.0.0.1"
    assert caller("", "198.51.100.1", TrustedProxies([])) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "0x7f.0.0.1",
        "2130706433",
        "1.2.3.4/32",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4:123456",
        "[1.2.3.4",
        "[::1]x",
        "[::1]:-1",
        "fe80::1%eth0",
        "::1 ::2",
        "localhost",
        "\u0661.2.3.4",
        "1.2.3.4\x00",
    ],
)
def test_what_is_no_address_is_unknown(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize("entries", [["10.0.0.0/33"], ["proxy.example"], [""]])
def test_malformed_trusted_proxies_are_refused(entries: list[str]) -> None:
    with pytest.raises(ValueError):
        TrustedProxies(entries)
