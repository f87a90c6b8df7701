"""Finds the address that a request comes from, through trusted proxies. Pure."""

from __future__ import annotations

from app.proxies import Proxies, read_address


def client_address(peer: str, forwarded: str, proxies: Proxies) -> str:
    """Return the last address in X-Forwarded-For that is not a proxy of ours; `peer` itself if it is no proxy."""
    address = peer
    for hop in reversed([*forwarded.split(","), peer] if forwarded else [peer]):
        found = read_address(hop.strip())
        if found is None:
            return address
        address = str(found)
        if found not in proxies:
            return address
    return address
