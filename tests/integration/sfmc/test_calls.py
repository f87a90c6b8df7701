from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import count

import orjson
import pytest

from app.errors import (
    AccountThrottled,
    ContactRefused,
    ContactUnknown,
    DestinationBroken,
    DestinationUnreachable,
    TransientFailure,
    UsageError,
)
from app.event_loop import EVENT_LOOP
from app.sfmc.http import Transport
from app.sfmc.reading import read_attributes
from app.sfmc.responses import judge_read
from tests.certificates import certificate

BODY = b'{"contactKey":"c-1","attributeSets":[]}'
CONTACTS = "/contacts/v1/contacts"
DEFINITIONS = "/contacts/v1/attributeSetDefinitions"


def transport(url: str, **more) -> Transport:
    return Transport(url, **{"connect_timeout_seconds": 2.0, "read_timeout_seconds": 5.0} | more)


def on_contacts(far, reply):
    far.rules.append(lambda request: reply if request.path == CONTACTS else None)


def test_a_contact_goes_out_as_it_was_given(far, clients):
    cloud = clients.make()
    EVENT_LOOP.run(cloud.contacts.patch(BODY))
    EVENT_LOOP.run(cloud.contacts.post(BODY))
    patch, post = far.to(CONTACTS)
    assert (patch.method, post.method, patch.body, post.body) == ("PATCH", "POST", BODY, BODY)
    assert patch.headers["content-type"] == "application/json"
    assert patch.headers["content-length"] == str(len(BODY))
    assert patch.bearer == "token-1"


def test_calls_that_write_are_measured_and_those_that_read_are_not(far, clients):
    seen = []
    cloud = clients.make(measure=lambda seconds, error: seen.append(error))
    EVENT_LOOP.run(cloud.contacts.patch(BODY))
    assert seen == [None]
    read_attributes(cloud, "c-1", ["Email Addresses.Email Address"])
    cloud.call("GET", "/platform/v1/tokenContext", judge_read)
    assert seen == [None]


def test_one_connection_serves_call_after_call_whatever_is_answered(far, clients):
    cloud = clients.make()
    replies = iter([(400, {}, b'{"errorcode":10000}'), (500, {}, b"<html>" * 2000), (200, {}, b"")])
    for _ in range(3):
        far.rules = [lambda request: next(replies) if request.path == CONTACTS else None]
        with pytest.raises((ContactRefused, TransientFailure)):
            EVENT_LOOP.run(cloud.contacts.patch(BODY))
    far.rules = []
    for _ in range(20):
        EVENT_LOOP.run(cloud.contacts.patch(BODY))
    assert len(far.to(CONTACTS)) == 23
    assert len({request.connection for request in far.to(CONTACTS)}) == 1


def test_many_calls_at_once_keep_their_connections(far, clients):
    cloud = clients.make()
    with ThreadPoolExecutor(12) as pool:
        assert len(list(pool.map(lambda _: EVENT_LOOP.run(cloud.contacts.patch(BODY)), range(120)))) == 120
    assert 1 <= len({request.connection for request in far.to(CONTACTS)}) <= 12


def test_a_read_timeout_is_trouble_of_that_contact(far, clients):
    release = threading.Event()
    far.rules.append(lambda request: release.wait(10) and None if request.path == CONTACTS else None)
    cloud = clients.make(read_timeout_seconds=0.3)
    try:
        with pytest.raises(TransientFailure) as caught:
            EVENT_LOOP.run(cloud.contacts.patch(BODY))
    finally:
        release.set()
    assert caught.value.code == "read_timeout"


def test_a_connection_cut_after_the_call_is_trouble_of_that_contact(far, clients):
    cloud = clients.make()
    on_contacts(far, (0, {}, b""))
    with pytest.raises(TransientFailure) as caught:
        EVENT_LOOP.run(cloud.contacts.patch(BODY))
    assert caught.value.code == "connection_cut"
    assert len(far.to(CONTACTS)) == 1  # it is not repeated behind the caller's back
    far.rules.clear()
    assert EVENT_LOOP.run(cloud.contacts.patch(BODY)).request_id == "m-1"


def test_an_answer_cut_short_is_trouble_of_that_contact(far, clients):
    on_contacts(far, (200, {"Transfer-Encoding": "chunked"}, b"zz\r\n"))
    with pytest.raises(TransientFailure):
        EVENT_LOOP.run(clients.make().contacts.patch(BODY))


def test_nobody_at_the_other_end_is_unreachable(far, clients):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(DestinationUnreachable) as caught:
            EVENT_LOOP.run(transport(url, local=True).call("PATCH", CONTACTS, body=BODY, when_lost=TransientFailure))
    assert caught.value.code == "no_connection"


def test_a_name_that_does_not_resolve_points_to_the_subdomain(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DestinationUnreachable) as caught:
        EVENT_LOOP.run(transport("http://nowhere.invalid").call("GET", "/"))
    assert caught.value.code == "name_not_found"
    assert "subdomain" in caught.value.remedy


def test_a_server_without_tls_is_unreachable(far, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DestinationUnreachable) as caught:
        EVENT_LOOP.run(transport(far.url.replace("http:", "https:")).call("GET", "/"))
    assert caught.value.code == "no_tls"


def test_a_certificate_is_checked_against_the_authorities_that_are_named(far, monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    paths, (other, _) = certificate(tmp_path, "ours"), certificate(tmp_path, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*paths)
    far.socket = context.wrap_socket(far.socket, server_side=True, do_handshake_on_connect=False)
    url = far.url.replace("http:", "https:")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(paths[0]))
    assert EVENT_LOOP.run(transport(url).call("GET", "/platform/v1/tokenContext")).status == 401
    for bundle in (other, None):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle)) if bundle else monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(DestinationUnreachable) as caught:
            EVENT_LOOP.run(transport(url, read_timeout_seconds=4.9).call("GET", "/"))
        assert caught.value.code == "no_tls"


def test_no_redirect_is_followed(far, clients):
    on_contacts(far, (307, {"Location": far.url + "/elsewhere"}, b""))
    with pytest.raises(DestinationBroken) as caught:
        EVENT_LOOP.run(clients.make().contacts.patch(BODY))
    assert caught.value.code == "redirected"
    assert not far.to("/elsewhere")


def test_no_cookie_is_kept(far):
    far.rules.append(lambda request: (200, {"Set-Cookie": "a=b; Path=/"}, b"{}"))
    one = transport(far.url, local=True)
    EVENT_LOOP.run(one.call("GET", "/one"))
    EVENT_LOOP.run(one.call("GET", "/two"))
    assert "cookie" not in far.to("/two")[0].headers


def test_a_proxy_is_read_from_the_environment_when_the_transport_is_made(far, monkeypatch):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", far.url)
    far.rules.append(lambda request: (200, {}, b"{}"))
    through_proxy, direct = transport("http://sfmc.test"), transport(far.url, local=True)
    monkeypatch.delenv("http_proxy")
    EVENT_LOOP.run(through_proxy.call("GET", "/v2/x"))
    EVENT_LOOP.run(direct.call("GET", "/v2/y"))
    assert [request.path for request in far.seen] == ["http://sfmc.test/v2/x", "/v2/y"]


def test_a_missing_certificate_file_is_told_at_once(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    with pytest.raises(UsageError) as caught:
        transport("https://mct0.rest.marketingcloudapis.com")
    assert "REQUESTS_CA_BUNDLE" in caught.value.remedy


def test_a_packed_answer_is_unpacked(far):
    far.rules.append(lambda request: (200, {"Content-Encoding": "gzip"}, gzip.compress(b'{"a":1}')))
    one = transport(far.url, local=True)
    assert EVENT_LOOP.run(one.call("GET", "/")).body == b'{"a":1}'


def test_what_the_account_says_reaches_the_caller(far, clients):
    cloud = clients.make()
    on_contacts(far, (429, {"RETRY-AFTER": "5"}, b'{"errorcode":50100}'))
    with pytest.raises(AccountThrottled) as caught:
        EVENT_LOOP.run(cloud.contacts.patch(BODY))
    assert caught.value.wait_seconds == 5.0
    far.rules.clear()
    failed = {"operationStatus": "FAIL", "resultMessages": [{"resultClass": "Error", "resultCode": "ContactNotFound"}]}
    on_contacts(far, (200, {}, orjson.dumps(failed)))
    with pytest.raises(ContactUnknown):
        EVENT_LOOP.run(cloud.contacts.patch(BODY))


def serve_definitions(far, count, *, page_size=None, single=None, listed=None, says=None):
    """`count` sets in pages, of which the answers say otherwise in `says`; `single` is the answer for `key:EmailDemographics`,
    `listed` one for every page.
    """

    def rule(request):
        path, _, query = request.path.partition("?")
        if path == f"{DEFINITIONS}/key:EmailDemographics":
            return single or (404, {}, b'{"errorcode":30003}')
        if path != DEFINITIONS:
            return None
        if listed is not None:
            return listed
        asked = dict(part.split("=") for part in query.split("&"))
        size = page_size or int(asked["$pageSize"])
        first = (int(asked["$page"]) - 1) * size
        items = [{"key": f"Set{i}"} for i in range(first, min(first + size, count))]
        answer = {"page": int(asked["$page"]), "pageSize": size, "count": count, "items": items, **(says or {})}
        return 200, {}, orjson.dumps(answer)

    far.rules.append(rule)


def test_all_pages_are_read_even_if_the_server_makes_them_smaller(far, clients):
    serve_definitions(far, 7, page_size=3, single=(200, {}, b'{"item":{"key":"EmailDemographics"}}'))
    keys = [definition["key"] for definition in clients.make().definitions()]
    assert keys == [f"Set{i}" for i in range(7)] + ["EmailDemographics"]


@pytest.mark.parametrize(
    ("says", "pages"),
    [
        pytest.param({"pageSize": 200}, 3, id="a page that is larger than what came"),
        pytest.param({"pageSize": 0}, 3, id="a page without a size"),
        pytest.param({"count": "7"}, 3, id="the count as text"),
        pytest.param({"count": 9}, 4, id="more than there are"),
    ],
)
def test_what_came_counts_and_not_what_an_answer_says_of_its_page(far, clients, says, pages):
    serve_definitions(far, 7, page_size=3, says=says, single=(200, {}, b'{"item":{"key":"EmailDemographics"}}'))
    assert len(clients.make().definitions()) == 7 + 1
    assert sum(request.path.startswith(f"{DEFINITIONS}?") for request in far.seen) == pages


def test_a_list_that_has_the_set_needs_no_further_call(far, clients):
    listed = {"page": 1, "pageSize": 50, "count": 1, "items": [{"key": "EmailDemographics"}]}
    serve_definitions(far, 0, listed=(200, {}, orjson.dumps(listed)))
    assert len(clients.make().definitions()) == 1
    assert not far.to(f"{DEFINITIONS}/key:EmailDemographics")


@pytest.mark.parametrize("wrapper", ["item", "attributeSetDefinition", None])
@pytest.mark.parametrize("listed", [(404, {}, b""), (400, {}, b'{"errorcode":10000}'), (500, {}, b"<html>")])
def test_a_list_that_fails_leaves_the_single_set(far, clients, wrapper, listed):
    found = {"key": "EmailDemographics", "name": "Email Demographics"}
    single = (200, {}, orjson.dumps({wrapper: found} if wrapper else found))
    serve_definitions(far, 0, listed=listed, single=single)
    assert clients.make().definitions() == [found]


def test_neither_list_nor_set_tells_what_the_list_said(far, clients):
    serve_definitions(far, 0, listed=(400, {}, b'{"errorcode":10000,"message":"no"}'))
    with pytest.raises(DestinationBroken) as caught:
        clients.make().definitions()
    assert (caught.value.code, caught.value.service_message) == ("rest_10000", "no")


def test_definitions_without_permission_are_told_as_such(far, clients):
    serve_definitions(far, 0, listed=(403, {}, b'{"errorcode":20002}'), single=(200, {}, b"{}"))
    with pytest.raises(DestinationBroken) as caught:
        clients.make().definitions()
    assert caught.value.code == "missing_scope"
    assert not far.to(f"{DEFINITIONS}/key:EmailDemographics")


def test_a_list_that_never_ends_is_left(far, clients):
    endless = {"page": 1, "pageSize": 1, "count": 10**9, "items": [{"key": "EmailDemographics"}]}
    serve_definitions(far, 0, listed=(200, {}, orjson.dumps(endless)))
    assert len(clients.make().definitions()) == 100


@pytest.fixture
def raw_server():
    """A socket that says whatever a test writes, to each that connects."""
    servers = []

    def serve(talk):
        listener = socket.create_server(("127.0.0.1", 0))
        servers.append(listener)

        def run():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer, suppress(OSError):
                    peer.recv(65_536)
                    talk(peer)

        threading.Thread(target=run, daemon=True).start()
        return Transport(
            f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout_seconds=1, read_timeout_seconds=0.5,
            local=True,
        )  # fmt: skip

    yield serve
    for listener in servers:
        listener.close()


def test_what_comes_unasked_is_no_answer_to_the_next_call(raw_server):
    """An answer that comes once more while the connection is kept: taken for that to the next call, all after it would be wrong."""
    came_again = threading.Event()
    asked = count(1)

    def talk(peer):
        is_asked = True  # as soon as somebody connects
        while is_asked:
            answer = HEAD + b"Content-Length: 1\r\n\r\n%d" % next(asked)
            peer.sendall(answer)
            if not came_again.is_set():
                time.sleep(0.05)  # in a packet of its own, once the first was read
                peer.sendall(answer)
                came_again.set()
            is_asked = bool(peer.recv(65_536))

    transport = raw_server(talk)
    answers = [EVENT_LOOP.run(transport.call("PATCH", "/x", body=b"{}")).body]
    assert came_again.wait(5)
    time.sleep(0.1)  # until it has come, nobody can tell
    answers += [EVENT_LOOP.run(transport.call("PATCH", "/x", body=b"{}")).body for _ in range(3)]
    assert answers == [b"1", b"2", b"3", b"4"]


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def drip(peer, piece, times=100):
    for _ in range(times):
        peer.sendall(piece)
        time.sleep(0.3)  # slower than any timeout of a socket would notice


@pytest.mark.parametrize(
    "talk",
    [
        lambda peer: (peer.sendall(HEAD + b"Content-Length: 1000\r\n\r\n"), drip(peer, b" ")),
        lambda peer: (peer.sendall(HEAD), drip(peer, b"X-A: b\r\n")),
        lambda peer: (peer.sendall(b"HTTP/1.1 200 "), drip(peer, b"O")),
        lambda peer: (peer.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n"), drip(peer, b"1\r\n \r\n")),
    ],
    ids=["body", "headers", "status", "chunks"],
)
def test_an_answer_that_drips_ends_at_its_deadline(raw_server, talk):
    with pytest.raises(TransientFailure) as told:
        EVENT_LOOP.run(raw_server(talk).call("PATCH", "/x", body=b"{}", when_lost=TransientFailure))
    assert told.value.code == "read_timeout"


@cache
def packed_zeros(count):
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(b"0" * 1_000_000) for _ in range(count // 1_000_000)) + packer.flush()


def endless(peer):
    peer.sendall(HEAD + b"\r\n")
    for _ in range(2_000):
        peer.sendall(b"x" * 65_536)


@pytest.mark.parametrize(
    "talk",
    [
        endless,
        lambda peer: peer.sendall(HEAD + b"Content-Length: 999999999999999\r\n\r\n" + b"x" * 2_000_000),
        lambda peer: peer.sendall(HEAD + b"Content-Encoding: gzip\r\n\r\n" + packed_zeros(300_000_000)),
    ],
    ids=["endless", "huge length", "bomb"],
)
def test_no_answer_fills_the_memory(raw_server, talk):
    packed_zeros(300_000_000)  # it is made once
    tracemalloc.start()
    try:
        with pytest.raises(TransientFailure) as told:
            EVENT_LOOP.run(raw_server(talk).call("PATCH", "/x", body=b"{}", when_lost=TransientFailure))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert told.value.code == "answer_too_large"
    assert most < 30_000_000


@pytest.mark.parametrize(
    "talk",
    [
        lambda peer: peer.sendall(b"\x00\xff" * 100),
        lambda peer: peer.sendall(b"HTTP/1.1 99999 \xff\r\n\r\n"),
        lambda peer: peer.sendall(HEAD + b"Content-Length: -5\r\n\r\nxx"),
        lambda peer: peer.sendall(HEAD + b"Content-Length: 99999999999999999999\r\n\r\nxx"),
        lambda peer: peer.sendall(HEAD + b"Content-Length: ten\r\n\r\n{}"),
        lambda peer: peer.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        lambda peer: peer.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"),
        lambda peer: peer.sendall(HEAD + b"Content-Encoding: gzip\r\n\r\nno gzip"),
        lambda peer: peer.sendall(HEAD + b"X: " + b"y" * 200_000 + b"\r\n\r\n{}"),
        lambda peer: peer.sendall(HEAD + b"X: y\r\n" * 500 + b"\r\n{}"),
        lambda peer: None,
    ],
)
def test_whatever_bytes_come_it_is_an_answer_or_trouble(raw_server, talk):
    server = raw_server(talk)
    for _ in range(2):  # the next call finds the pool in order
        try:
            answer = EVENT_LOOP.run(server.call("PATCH", "/x", body=b"{}", when_lost=TransientFailure))
        except TransientFailure:
            continue
        assert isinstance(answer.body, bytes)
