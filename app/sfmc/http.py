"""HTTP to one host over kept connections, by aiohttp on the process's event loop.

Proxies (HTTPS_PROXY, NO_PROXY) and certificates (REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE) are read once, when the transport is
made, with the rules of `requests`. It keeps no cookies, follows no redirect and repeats nothing, so one call is at most one
call at the other end. An answer is bounded in size, compressed or not, and in total time.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import ssl
import zlib
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import certifi
from aiohttp.client_proto import ResponseHandler
from requests.utils import get_environ_proxies
from yarl import URL

from app.errors import CallError, DestinationUnreachable, TransientFailure, UsageError

# What a lost answer means depends on the call: a problem of one contact, or a service that does not answer.
WhenLost: TypeAlias = type[TransientFailure] | type[DestinationUnreachable]

MOST_BYTES, MOST_BYTES_TO_READ = 1_000_000, 64_000_000  # of an answer; of an answer to GET, as definitions are long
KEEP_SECONDS = 60.0  # how long an idle connection is kept
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Answer(NamedTuple):
    """An HTTP answer. `headers` ignore case; `body` is decompressed and complete."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _TooLarge(Exception):  # internal to this module
    pass


class _Unreadable(Exception):  # as above
    pass


class Transport:
    """Calls to one base URL, for any number of coroutines of the process's event loop.

    `connect_timeout_seconds`: how long a call may wait for a connection; both timeouts together limit the whole call.
    `local`: a loopback host, never reached through a proxy.
    """

    def __init__(
        self, base_url: str, *, connect_timeout_seconds: float, read_timeout_seconds: float, local: bool = False
    ) -> None:
        self.base_url = base_url.rstrip("/")
        parts = urlsplit(self.base_url)
        self.host = parts.netloc
        # an answer has its full time even if the connection had to be opened first
        self._timeout = aiohttp.ClientTimeout(
            total=connect_timeout_seconds + read_timeout_seconds, connect=connect_timeout_seconds
        )
        self._proxy = None if local else _proxy(parts.scheme, self.base_url, self.host)
        self._tls = _certificates() if parts.scheme == "https" else True
        self._headers = {
            "User-Agent": "activation-pipeline",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        bearer: str | None = None,
        when_lost: WhenLost = DestinationUnreachable,
    ) -> Answer:
        """Make one call and return its answer, whatever it says. `path` starts with a slash, `body` is JSON.

        Raises: `DestinationUnreachable` if there is no connection; `when_lost` if the request went out but no answer came,
        in which case the other end may have done what was asked.
        """
        headers = self._headers.copy()
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with _session().request(
                method,
                _url(self.base_url, path),
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
                ssl=self._tls,
                timeout=self._timeout,
            ) as response:
                content = await _read(response, MOST_BYTES_TO_READ if method == "GET" else MOST_BYTES)
                return Answer(response.status, response.headers, content)
        except (aiohttp.ClientError, OSError, ValueError, _TooLarge, _Unreadable) as error:
            # `from None`: the error holds the request, with the token and the contact.
            raise self._explain(error, when_lost) from None

    def _explain(self, error: Exception, when_lost: WhenLost) -> CallError:
        match error:
            case _TooLarge():
                return when_lost(
                    f"{self.host} answered with more bytes than such an answer may have; the rest was not read.",
                    code="answer_too_large",
                )
            case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
                return DestinationUnreachable(
                    f"The proxy gives no connection to {self.host}.",
                    code="no_proxy",
                    remedy="Check HTTPS_PROXY and NO_PROXY.",
                )
            case aiohttp.ClientSSLError():
                return DestinationUnreachable(
                    f"No secure connection to {self.host}: its certificate was not accepted, or the handshake broke off.",
                    code="no_tls",
                    remedy="If a proxy inspects TLS here, name its certificates in REQUESTS_CA_BUNDLE.",
                )
            case aiohttp.ClientConnectorDNSError():
                return DestinationUnreachable(
                    f"The name {self.host} does not resolve.",
                    code="name_not_found",
                    remedy="Check account.subdomain in the destination file, and this machine's DNS.",
                )
            case aiohttp.ClientConnectorError():
                return DestinationUnreachable(f"{self.host} does not take connections.", code="no_connection")
            case aiohttp.ConnectionTimeoutError():
                return DestinationUnreachable(f"{self.host} does not take connections (timeout).", code="no_connection")
            case TimeoutError():
                return when_lost(f"{self.host} took the call and did not answer in time.", code="read_timeout")
        return when_lost(f"{self.host} cut the connection before its answer was complete.", code="connection_cut")


@lru_cache(1_000)
def _url(base_url: str, path: str) -> URL:
    return URL(base_url + path, encoded=True)


class _Connection(ResponseHandler):
    def is_connected(self) -> bool:
        """Return whether a kept connection may be used again.

        Bytes that came unasked are no answer to the next call (RFC 9112, 9.2), but aiohttp would take them for one.
        """
        return super().is_connected() and not self.should_close


class _Connections(aiohttp.TCPConnector):
    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=KEEP_SECONDS)
        self._factory = partial(_Connection, loop=self._loop)  # type: ignore[assignment]  # a subclass of the default


_sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}


def _session() -> aiohttp.ClientSession:
    """Return this process's connections, to all hosts."""
    loop = asyncio.get_running_loop()
    session = _sessions.get(loop)
    if session is None:
        session = _sessions[loop] = aiohttp.ClientSession(
            connector=_Connections(),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        atexit.register(_close, loop, session)
    return session


def _close(loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> None:
    with suppress(Exception):
        asyncio.run_coroutine_threadsafe(session.close(), loop).result(1.0)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the whole body, decompressed. Raises: `_TooLarge` before more than `most` bytes are in memory; `_Unreadable`."""
    if (response.content_length or 0) > most:
        raise _TooLarge
    window = _WINDOWS.get(response.headers.get("content-encoding", "").strip().lower())
    unpacker = None if window is None else zlib.decompressobj(window)
    pieces: list[bytes] = []
    size = 0
    async for raw in response.content.iter_any():
        piece = raw
        if unpacker is not None:
            try:
                piece = unpacker.decompress(raw, most - size + 1)
            except zlib.error:
                raise _Unreadable from None
        size += len(piece)
        if size > most or (unpacker is not None and unpacker.unconsumed_tail):
            raise _TooLarge
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _proxy(scheme: str, base_url: str, host: str) -> str | None:
    proxy = get_environ_proxies(base_url).get(scheme)
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"The proxy for {host} is not usable.", remedy="Check HTTPS_PROXY and NO_PROXY.")
    return proxy


def _certificates() -> ssl.SSLContext:
    """Return the trusted authorities: the bundle of `certifi`, or the one named in the environment."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    path = Path(named or certifi.where())
    try:
        return _context(path)
    except OSError:  # includes ssl.SSLError
        raise UsageError(
            "The certificate files that the environment names are missing, or hold no certificate.",
            remedy="Check REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE.",
        ) from None


@cache
def _context(path: Path) -> ssl.SSLContext:
    if not path.exists():
        raise FileNotFoundError
    return ssl.create_default_context(
        cafile=None if path.is_dir() else str(path), capath=str(path) if path.is_dir() else None
    )
