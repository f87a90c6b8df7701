"""Finds the address that a request comes from, through trusted proxies. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from app.errors import UsageError

Network = IPv4Network | IPv6Network


def read_proxies(setting: str) -> tuple[Network, ...]:
    """Read comma-separated addresses and networks. Raises: `UsageError`."""
    try:
        return tuple(ip_network(word.strip(), strict=False) for word in setting.split(",") if word.strip())
    except ValueError:
        raise UsageError(
            "ACTIVATION_CONSOLE_PROXIES names something that is neither an address nor a network.",
            remedy="Write it like 127.0.0.1,10.1.0.0/16.",
        ) from None


def client_address(peer: str, forwarded: str, proxies: tuple[Network, ...]) -> str:
    """Return the last address in X-Forwarded-For that is not a proxy of ours; `peer` itself if it is no proxy."""
    address = peer
    for hop in reversed([*forwarded.split(","), peer] if forwarded else [peer]):
        found = _address(hop.strip())
        if found is None:
            return address
        address = str(found)
        if not any(found in network for network in proxies):
            return address
    return address


def _address(text: str) -> IPv4Address | IPv6Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # with a port, as some proxies write it
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
