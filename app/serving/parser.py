"""A request parser that knows no protocol but HTTP/1.1 and ignores requests to upgrade (RFC 9110, 7.8).

Java's clients and `curl --http2` ask to upgrade in the first request over plain HTTP. httptools stops at such a head: it
does not recognise the body that follows, nor anything in the next packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class RequestParser:
    """Replaces `httptools.HttpRequestParser`.

    A head that asks for an upgrade is reported once, then read again without its Upgrade headers by a new parser, which
    alone decides where the body ends.
    """

    def __init__(self, listener: HttpToolsProtocol) -> None:
        self._listener = listener
        self._again = False  # a head that was already reported is being read
        self._renew()

    def _renew(self) -> None:
        self._parser = HttpRequestParser(self)
        # as in uvicorn: data after a request that closes the connection is no error
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: bytes) -> None:
        """Parse the next bytes. Raises: `HttpParserError`."""
        rest = memoryview(data)
        while True:
            try:
                self._parser.feed_data(rest)
            except HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            else:
                return
            self._read_again()

    def _read_again(self) -> None:
        if self._parser.get_method() == b"CONNECT":
            raise HttpParserError("this is no proxy")
        head = [
            b"%s %s HTTP/%s\r\n" % (self._parser.get_method(), self._listener.url, self.get_http_version().encode())
        ]
        head += [b"%s: %s\r\n" % field for field in self._listener.headers if field[0] != b"upgrade"]
        self._renew()
        self._again = True
        self._parser.feed_data(b"".join(head) + b"\r\n")

    def get_http_version(self) -> str:
        return str(self._parser.get_http_version())

    def get_method(self) -> bytes:
        return bytes(self._parser.get_method())

    def should_keep_alive(self) -> bool:
        return bool(self._parser.should_keep_alive())

    def should_upgrade(self) -> bool:
        return False

    # -- callbacks of httptools

    def on_message_begin(self) -> None:
        if not self._again:
            self._listener.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._again:
            self._listener.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._again:
            self._listener.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._parser.should_upgrade():
            self._again = False
            self._listener.on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._listener.on_body(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_upgrade():
            self._listener.on_message_complete()
