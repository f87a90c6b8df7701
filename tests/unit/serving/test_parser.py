from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.serving.parser import RequestParser

UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
SAME_WITHOUT = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
OTHER = b"POST /other HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\n{}"


class Listener:
    """Writes down what it is told; joins what comes in pieces."""

    def __init__(self):
        self.told = []
        self.parser = RequestParser(self)

    def on_message_begin(self):
        self.url, self.headers, self.body = b"", [], b""

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers.append((name.lower(), value))

    def on_headers_complete(self):
        head = [field for field in self.headers if field[0] != b"upgrade"]
        self.told.append(
            (self.parser.get_method(), self.url, head, self.parser.get_http_version(), self.parser.should_keep_alive())
        )

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.told.append(self.body)


def heard(pieces):
    listener = Listener()
    for piece in pieces:
        listener.parser.feed_data(piece)
    return listener.told


def request(fields, *, version=b"1.1", path=b"/v1?job=a%20b", body=b"", chunked=False):
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % len(body)
    chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    sent = chunk + b"0\r\nX-Trailer: a\r\n\r\n" if chunked else body
    return b"POST %s HTTP/%s\r\nHost: a\r\n" % (path, version) + fields + framing + b"\r\n" + sent


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("body", [b"{}", OTHER, b"x" * 1000])
def test_the_body_after_an_upgrade_is_a_body_wherever_the_packets_part(body, chunked):
    wire = request(UPGRADE, body=body, chunked=chunked) + OTHER
    expected = [b"POST", body, b"POST", b"{}"]
    for at in range(len(wire) + 1):
        told = heard([wire[:at], wire[at:]])
        assert [one[0] if isinstance(one, tuple) else one for one in told] == expected
    assert heard(wire[at : at + 1] for at in range(len(wire))) == told


@pytest.mark.parametrize(
    ("fields", "keeps"),
    [
        (UPGRADE, True),
        (UPGRADE + b"Connection: close\r\n", False),
        (b"Connection: close, upgrade\r\nUpgrade: websocket\r\n", False),
        (b"connection: UPGRADE\r\nupgrade: h2c\r\nUpgrade: websocket\r\n", True),
    ],
)
def test_all_else_that_the_head_says_counts(fields, keeps):
    (method, path, headers, version, keep_alive), body = heard([request(fields, body=b"{}")])
    assert (method, path, version, body, keep_alive) == (b"POST", b"/v1?job=a%20b", "1.1", b"{}", keeps)
    assert headers[0] == (b"host", b"a")
    assert headers[-1] == (b"content-length", b"2")


def test_an_old_sender_is_not_kept():
    assert heard([request(UPGRADE, version=b"1.0")])[0][3:] == ("1.0", False)


@pytest.mark.parametrize(
    "wire",
    [
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n" + OTHER,
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n" + UPGRADE + b"\r\n" + OTHER,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + OTHER,
        b"POST / HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n" + OTHER,
        b"POST / HTTP/1.1\r\n" + UPGRADE + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + OTHER,
    ],
    ids=["tunnel", "tunnel and upgrade", "prior knowledge", "two framings", "two lengths", "no last chunk"],
)
def test_what_may_be_read_in_two_ways_is_an_error(wire):
    listener = Listener()
    with pytest.raises(httptools.HttpParserError):
        listener.parser.feed_data(wire)
    assert b"/other" not in [one[1] for one in listener.told if isinstance(one, tuple)]


requests = st.builds(
    lambda upgrade, body, chunked, close: (upgrade, body, chunked, b"Connection: close\r\n" if close else b""),
    st.booleans(), st.sampled_from([b"", b"{}", OTHER]) | st.binary(max_size=50), st.booleans(), st.booleans(),
)  # fmt: skip


@given(st.lists(requests, min_size=1, max_size=4), st.data())
def test_all_is_heard_as_if_nobody_had_asked(made, data):
    def wire(upgrade):
        return b"".join(
            request((upgrade if asks else b"") + close, body=body, chunked=chunked)
            for asks, body, chunked, close in made
        )

    asking = wire(UPGRADE)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(asking)), max_size=5)))
    pieces = [asking[start:end] for start, end in zip([0, *cuts], [*cuts, len(asking)], strict=True)]
    assert heard(pieces) == heard([wire(SAME_WITHOUT)])
