"""Nobody but a proxy that is named says where a request comes from."""

from __future__ import annotations

import pytest

from app.console.client_address import client_address
from app.proxies import Proxies


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        ("", "127.0.0.1", "192.0.2.1", "127.0.0.1"),
        ("", "", "192.0.2.1", ""),
        ("127.0.0.1", "127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1", "198.51.100.9, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1,10.1.0.0/16", "127.0.0.1", "192.0.2.1, 10.1.2.3", "192.0.2.1"),
        ("10.1.0.0/16", "10.2.0.1", "192.0.2.1", "10.2.0.1"),
        ("10.1.0.0/16", "::ffff:10.1.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.1.0.0/16", "10.1.0.1", "192.0.2.1, unknown", "10.1.0.1"),
        ("10.1.0.0/16", "10.1.0.1", "10.1.0.2", "10.1.0.2"),
    ],
)
def test_where_a_request_comes_from(proxies, peer, forwarded, address):
    assert client_address(peer, forwarded, Proxies.named(proxies)) == address


@pytest.mark.parametrize(
    ("hop", "address"),
    [("203.0.113.9:4711", "203.0.113.9"), ("[2001:db8::1]:99", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1")],
)
def test_an_address_may_come_with_its_port(hop, address):
    assert client_address("127.0.0.1", hop, Proxies.named("127.0.0.1")) == address
