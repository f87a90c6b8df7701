"""HTTP to one host over kept connections: urllib3's pool, with everything that is the same for each call settled once.

Proxies (HTTPS_PROXY, NO_PROXY) and certificates (REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE) are read when the transport is made, as
`requests` reads them. It keeps no cookies, follows no redirect and repeats nothing, so one `send` is at most one call at the other
end. An answer is bounded in size, packed or not, and in time as a whole.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import certifi
from requests.utils import get_environ_proxies
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from app.errors import CallError, DestinationUnreachable, TransientFailure, UsageError
from app.sfmc.deadlines import DEADLINES

# What a lost answer means depends on the call: trouble of one contact, or a service that gives no answer.
WhenLost: TypeAlias = type[TransientFailure] | type[DestinationUnreachable]

MOST_BYTES, MOST_BYTES_TO_READ = 1_000_000, 64_000_000  # of an answer, and of one to GET: definitions are long
_PIECE = 65_536
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Answer(NamedTuple):
    """What came back. `headers` may be asked in any case; `body` is decoded of gzip and complete."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _TooLarge(Exception):  # ends an answer, within this module
    pass


class _Watched:
    """A connection whose answer has a deadline, from the end of the request on."""

    answer_seconds = 0.0

    def getresponse(self) -> Any:
        DEADLINES.begin(self, self.answer_seconds)
        try:
            return super().getresponse()  # type: ignore[misc]  # of the connection that this is mixed into
        except Exception as error:
            if DEADLINES.end(self):
                raise TimeoutError from error
            raise


class _HTTP(_Watched, HTTPConnection):
    pass


class _HTTPS(_Watched, HTTPSConnection):
    pass


class Transport:
    """Calls to one base URL over kept connections; safe for as many threads as like to use it.

    `pool_size` bounds the connections; a thread beyond them waits for one. `read_timeout_seconds` is how long an answer may take as
    a whole. A loopback host (`local`) is never asked for through a proxy.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        pool_size: int,
        local: bool = False,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        parts = urlsplit(self.base_url)
        self.host = parts.netloc
        timeout = Timeout(connect=connect_timeout_seconds, read=read_timeout_seconds)
        proxy = None if local else get_environ_proxies(self.base_url).get(parts.scheme)
        # a proxy is asked for the whole URL, but where it only opens a tunnel
        self._prefix = self.base_url if proxy and parts.scheme == "http" else parts.path
        options: dict[str, Any] = {"maxsize": pool_size, "block": True, "timeout": timeout, "retries": False}
        if parts.scheme == "https":
            options |= _certificates()
        try:
            if proxy:
                manager = ProxyManager(proxy if "://" in proxy else f"http://{proxy}", **options)
                self._pool: HTTPConnectionPool = manager.connection_from_url(self.base_url)
            else:
                kind = HTTPSConnectionPool if parts.scheme == "https" else HTTPConnectionPool
                self._pool = kind(str(parts.hostname), parts.port, **options)
        except (LocationValueError, ValueError) as error:
            raise UsageError(
                f"The proxy for {self.host} is not usable.", remedy="Check HTTPS_PROXY and NO_PROXY."
            ) from error
        watched = _HTTPS if parts.scheme == "https" else _HTTP
        self._pool.ConnectionCls = type("Watched", (watched,), {"answer_seconds": read_timeout_seconds})
        self._headers = {
            "User-Agent": "activation-pipeline",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
        }

    def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        bearer: str | None = None,
        when_lost: WhenLost = DestinationUnreachable,
    ) -> Answer:
        """One call. `path` starts with a slash, `body` is JSON.

        Raises `DestinationUnreachable` if there is no connection, and `when_lost` if the request has gone out and its
        answer has not come: the other end may have done what was asked. Any answer is returned, whatever it says.
        """
        headers = self._headers.copy()
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        response: Any = None
        connection: Any = None
        try:
            response = self._pool.urlopen(
                method, self._prefix + path, body=body, headers=headers, redirect=False, preload_content=False,
                decode_content=False, assert_same_host=False,
            )  # fmt: skip
            connection = response.connection
            content = _read(response, MOST_BYTES_TO_READ if method == "GET" else MOST_BYTES)
        except (HTTPError, OSError, _TooLarge) as error:
            overdue = DEADLINES.end(connection)
            if response is not None:
                response.close()
            # `from None`: the error holds the request, and so the token and the contact.
            raise self._explain(error, when_lost, overdue=overdue) from None
        if DEADLINES.end(connection):  # what was read may be cut off
            response.close()
            raise self._explain(TimeoutError(), when_lost, overdue=True)
        response.release_conn()
        return Answer(response.status, response.headers, content)

    def _explain(self, error: Exception, when_lost: WhenLost, *, overdue: bool) -> CallError:
        if overdue or isinstance(error, ReadTimeoutError):
            return when_lost(f"{self.host} took the call and did not answer in time.", code="read_timeout")
        if isinstance(error, _TooLarge):
            return when_lost(
                f"{self.host} answered with more bytes than such an answer may have; the rest was not read.",
                code="answer_too_large",
            )
        if isinstance(error, ProxyError):
            return DestinationUnreachable(
                f"The proxy gives no connection to {self.host}.",
                code="no_proxy",
                remedy="Check HTTPS_PROXY and NO_PROXY.",
            )
        if isinstance(error, SSLError):
            return DestinationUnreachable(
                f"No secure connection to {self.host}: its certificate was not accepted, or the handshake broke off.",
                code="no_tls",
                remedy="If a proxy inspects TLS here, name its certificates in REQUESTS_CA_BUNDLE.",
            )
        if isinstance(error, NameResolutionError):
            return DestinationUnreachable(
                f"The name {self.host} does not resolve.",
                code="name_not_found",
                remedy="Check account.subdomain in the destination file, and this machine's DNS.",
            )
        if isinstance(error, ConnectTimeoutError):  # NewConnectionError is one, for history's sake
            timeout = "" if isinstance(error, NewConnectionError) else " (timeout)"
            return DestinationUnreachable(f"{self.host} does not take connections{timeout}.", code="no_connection")
        return when_lost(f"{self.host} cut the connection before its answer was complete.", code="connection_cut")

    def close(self) -> None:
        self._pool.close()


def _read(response: Any, most: int) -> bytes:
    """The whole body, unpacked. Raises `_TooLarge` before more than `most` bytes are in memory."""
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > most:
        raise _TooLarge
    window = _WINDOWS.get(response.headers.get("content-encoding", "").strip().lower())
    unpacker = None if window is None else zlib.decompressobj(window)
    pieces: list[bytes] = []
    size = 0
    while piece := response.read(_PIECE):
        if unpacker is not None:
            try:
                piece = unpacker.decompress(piece, most - size + 1)  # the same, unpacked
            except zlib.error:
                raise HTTPError("the answer cannot be unpacked") from None
        size += len(piece)
        if size > most or (unpacker is not None and unpacker.unconsumed_tail):
            raise _TooLarge
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _certificates() -> dict[str, Any]:
    """Which authorities are trusted: the bundle of `certifi`, or what the environment names in its place."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    path = Path(named or certifi.where())
    if not path.exists():
        raise UsageError(
            "The certificates that the environment names are not there.",
            remedy="Check REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE.",
        )
    return {"cert_reqs": "CERT_REQUIRED", "ca_cert_dir" if path.is_dir() else "ca_certs": str(path)}
