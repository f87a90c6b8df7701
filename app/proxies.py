"""Proxies that are trusted, and the addresses of those who connect. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface, ip_network

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies that a setting names, as networks."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def named(cls, setting: str) -> Proxies:
        """Read comma-separated addresses and networks in which `fault_in_proxies` finds nothing wrong."""
        return cls(tuple(ip_network(word) for word in _words(setting)))

    def __contains__(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def fault_in_proxies(setting: str) -> str:
    """Return what is wrong with a setting, and how to write it; '' if nothing is.

    A network with host bits is refused: `10.0.0.7/8` may be meant as one address, and would trust sixteen million.
    """
    for place, word in enumerate(_words(setting), 1):
        try:
            ip_network(word)
        except ValueError:
            try:
                meant = ip_interface(word)
            except ValueError:
                return f"place {place} is neither an address nor a network. Write it like 10.0.0.7,10.1.0.0/16."
            return (
                f"place {place} is neither one address nor a whole network. Write {meant.ip} for the address, {meant.network} "
                "for the network."
            )
    return ""


def _words(setting: str) -> list[str]:
    return [word.strip() for word in setting.split(",") if word.strip()]


def read_address(text: str) -> Address | None:
    """Return the address of a peer or as a proxy wrote it, with or without a port; None if it is none, as of a Unix socket."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
