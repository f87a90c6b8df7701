"""Who is named as a proxy, and who is not by mistake."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from app.proxies import Proxies, fault_in_proxies, read_address


@pytest.mark.parametrize("setting", ["", "127.0.0.1", "10.0.0.7, 10.1.0.0/16", "::1,2001:db8::/32", "10.0.0.7/32"])
def test_addresses_and_networks_name_proxies(setting):
    assert fault_in_proxies(setting) == ""
    assert len(Proxies.named(setting).networks) == len([word for word in setting.split(",") if word])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("10.0.0.7, proxy.example.com", ("place 2 ", "Write it like 10.0.0.7,10.1.0.0/16.")),
        ("10.1.2.3/33", ("place 1 ",)),
        (
            "10.0.0.1/8",
            (
                "place 1 is neither one address nor a whole network",
                "Write 10.0.0.1 for the address, 10.0.0.0/8 for the network.",
            ),
        ),
        (
            "127.0.0.1,2001:db8::1/32",
            (
                "place 2 ",
                "Write 2001:db8::1 for the address, 2001:db8::/32 for the network.",
            ),
        ),
    ],
)
def test_what_may_be_meant_in_two_ways_or_in_none_is_told(setting, told):
    fault = fault_in_proxies(setting)
    assert all(part in fault for part in told), fault
    assert "example" not in fault


def test_only_those_who_are_named_are_proxies():
    proxies = Proxies.named("10.1.0.0/16,2001:db8::7")
    assert [ip_address(text) in proxies for text in ("10.1.2.3", "10.2.0.1", "2001:db8::7", "2001:db8::8")] == [
        True, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"), ("192.0.2.1:4711", "192.0.2.1"), ("[2001:db8::1]:99", "2001:db8::1"), ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1"), ("::ffff:10.1.0.1", "10.1.0.1"), ("", None), ("unknown", None), ("/run/intake.sock", None),
    ],
)  # fmt: skip
def test_an_address_is_read_as_peers_and_proxies_write_it(text, address):
    assert read_address(text) == (address and ip_address(address))
