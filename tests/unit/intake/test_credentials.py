from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RequestRefused
from app.intake.credentials import certified, is_local, presented_key, read_token_request
from app.intake.register import check_destination
from app.intake.sources import IntakeSource
from app.proxies import Proxies

FORM = b"grant_type=client_credentials&client_id=crm&client_secret=ak_x%2By"


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({b"authorization": b"Bearer ak_1"}, "ak_1"),
        ({b"authorization": b"bearer ak_1"}, "ak_1"),
        ({b"authorization": b"BEARER  ak_1 "}, "ak_1"),
        ({b"x-activation-key": b"ak_1"}, "ak_1"),
        ({b"authorization": b"Basic eDp5", b"x-activation-key": b"ak_1"}, "ak_1"),
        ({b"authorization": b"Bearer ak_1", b"x-activation-key": b"ak_2"}, "ak_1"),
        ({b"authorization": b"Bearer"}, ""),
        ({b"authorization": b"ak_1"}, ""),
        ({}, ""),
    ],
)
def test_the_key_of_a_request(headers, key):
    assert presented_key(headers) == key


@pytest.mark.parametrize(
    ("peer", "headers", "local"),
    [
        ("127.0.0.1", {}, True),
        ("127.8.9.1", {}, True),
        ("::1", {}, True),
        ("::ffff:127.0.0.1", {}, True),
        ("10.0.0.1", {}, False),
        ("::ffff:10.0.0.1", {}, False),
        ("", {}, False),
        ("127.0.0.1", {b"x-forwarded-for": b"10.0.0.1"}, False),
        ("127.0.0.1", {b"forwarded": b"for=10.0.0.1"}, False),
        ("127.0.0.1", {b"via": b"1.1 proxy"}, False),
        ("127.0.0.1", {b"origin": b"http://evil.test"}, False),
        ("127.0.0.1", {b"sec-fetch-site": b"cross-site"}, False),
    ],
)
def test_what_comes_from_this_machine_itself(peer, headers, local):
    assert is_local(peer, headers) is local


GOOD = {b"x-client-verify": b"SUCCESS", b"x-client-name": b"CN=aep.adobe.com,OU=Platform"}


@pytest.mark.parametrize(
    ("peer", "headers", "names"),
    [
        ("127.0.0.1", GOOD, {"aep.adobe.com", "ou=platform"}),
        ("10.1.2.3", GOOD, {"aep.adobe.com", "ou=platform"}),
        ("10.2.0.1", GOOD, set()),
        ("", GOOD, set()),
        ("127.0.0.1", {**GOOD, b"x-client-verify": b"NONE"}, set()),
        ("127.0.0.1", {**GOOD, b"x-client-verify": b"FAILED:expired"}, set()),
        ("127.0.0.1", {b"x-client-name": b"CN=aep.adobe.com"}, set()),
        ("127.0.0.1", {**GOOD, b"x-client-name": b"DNS:A.test, DNS:b.test"}, {"a.test", "b.test"}),
    ],
)
def test_only_a_proxy_that_is_named_tells_of_certificates(peer, headers, names):
    assert certified(peer, headers, Proxies.named("10.1.0.0/16, 192.0.2.7")) == names


def test_a_source_with_a_certificate_needs_it_and_its_destination():
    source = IntakeSource("aep", ("camp",), certificates=("aep.adobe.com",))
    check_destination(source, "camp", frozenset({"aep.adobe.com"}))
    check_destination(IntakeSource("crm", ("camp",)), "camp", frozenset())
    for destination, names, code in [
        ("camp", frozenset(), "certificate_needed"),
        ("camp", frozenset({"other"}), "certificate_needed"),
        ("other", frozenset({"aep.adobe.com"}), "destination_not_permitted"),
    ]:
        with pytest.raises(RequestRefused) as caught:
            check_destination(source, destination, names)
        assert (caught.value.status, caught.value.code) == (403, code)


@pytest.mark.parametrize(
    ("body", "authorization", "grant", "clients", "user"),
    [
        (FORM, b"", "client_credentials", (("crm", "ak_x+y"),), None),
        (b"grant_type=client_credentials", basic("crm:ak_1"), "client_credentials", (("crm", "ak_1"),), None),
        (b"grant_type=client_credentials", basic("crm:a%2Bb"), "client_credentials", (("crm", "a%2Bb"), ("crm", "a+b")), None),
        (b"grant_type=client_credentials", basic("crm:a:b"), "client_credentials", (("crm", "a:b"),), None),
        (
            b"grant_type=password&client_id=crm&client_secret=k&username=u&password=p", b"", "password", (("crm", "k"),),
            ("u", "p"),
        ),
        (FORM, basic("other:k"), "client_credentials", (("other", "k"),), None),
        (b"grant_type=client_credentials", b"Basic !!", "client_credentials", (), None),
        (b"grant_type=client_credentials", b"Basic " + base64.b64encode(b"nocolon"), "client_credentials", (), None),
        (b"\xff\xfe", b"", "", (), None),
        (b"", b"", "", (), None),
        (b"&".join([b"a=1"] * 1000), b"", "", (), None),
    ],
)  # fmt: skip
def test_a_token_request_is_read(body, authorization, grant, clients, user):
    asked = read_token_request(body, authorization)
    assert (asked.grant_type, asked.clients, asked.user) == (grant, clients, user)


@given(st.binary(max_size=200), st.binary(max_size=100))
def test_any_token_request_is_read(body, authorization):
    read_token_request(body, b"Basic " + authorization)
    read_token_request(body, authorization)
