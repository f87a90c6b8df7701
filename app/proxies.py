"""Proxies whose word counts, and the addresses of those who connect. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface, ip_network

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Proxies:
    """Those in the networks that a setting names."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def named(cls, setting: str) -> Proxies:
        """From addresses and networks with commas between, in which there is no fault."""
        return cls(tuple(ip_network(word) for word in _words(setting)))

    def __contains__(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def fault_in_proxies(setting: str) -> str:
    """What is wrong with it, and how to write it; '' for nothing.

    A network has no bits of a host: `10.0.0.7/8` may have been meant for one address, and would believe sixteen million.
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
    """Of a peer, or as a proxy writes it, with a port or without; None for what is none, such as that of a Unix socket."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
