"""HTTP to one host: requests' adapter with everything that is the same for each call settled once.

`requests.Session` reads the environment, merges settings, resolves proxies and makes a cookie jar for each single call,
which costs more CPU than sending it. Here proxies (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) and certificates
(REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE) are read when the transport is made. It keeps no cookies, follows no redirect and
repeats nothing, so one `send` is at most one call at the other end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from requests import PreparedRequest, Response, exceptions
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import HTTPError, MaxRetryError, NameResolutionError

from app.errors import CallError, ContactTroubled, DestinationUnreachable, UsageError

# What a lost answer means depends on the call: trouble of one contact, or a service that gives no answer.
WhenLost: TypeAlias = type[ContactTroubled] | type[DestinationUnreachable]


class Answer(NamedTuple):
    """What came back. `headers` may be asked in any case; `body` is decoded of gzip and complete."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _OneHostAdapter(HTTPAdapter):
    """Overrides methods that requests exposes for subclasses, so that each question is answered once, not per call."""

    def __init__(self, base_url: str, *, pool_size: int, verify: bool | str, proxies: dict[str, str]) -> None:
        # Blocking: a thread beyond pool_size waits for a connection, instead of opening one that is thrown away.
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=0, pool_block=True)
        sample = PreparedRequest()
        sample.method, sample.url = "GET", base_url
        self._pool = super().get_connection_with_tls_context(sample, verify, proxies=proxies)
        super().cert_verify(self._pool, base_url, verify, None)  # type: ignore[no-untyped-call]  # so in types-requests
        self._proxies = proxies
        self._targets: dict[str, str] = {}

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> ConnectionPool:
        return self._pool

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Done at construction; the inherited one looks at the file system for each call."""

    def request_url(self, request: PreparedRequest, proxies: Mapping[str, str] | None) -> str:  # noqa: ARG002
        url = str(request.url)
        target = self._targets.get(url)
        if target is None:
            target = self._targets[url] = super().request_url(request, self._proxies)
        return target

    # A Response would be built, with a cookie jar, only to be taken apart again; `send` hands this on as it is.
    def build_response(self, req: PreparedRequest, resp: BaseHTTPResponse) -> Response:  # noqa: ARG002
        # Reading to the end gives the connection back to the pool.
        return Answer(resp.status, resp.headers, resp.read(decode_content=True))  # type: ignore[return-value]


class Transport:
    """Calls to one base URL over kept connections; safe for as many threads as like to use it.

    `pool_size` bounds the connections. The read timeout is the longest silence that is borne, not a total.
    A loopback host (`local`) is never asked for through a proxy.
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
        self.host = urlsplit(self.base_url).netloc
        self._timeout = Timeout(connect=connect_timeout_seconds, read=read_timeout_seconds)
        try:
            self._adapter = _OneHostAdapter(
                self.base_url,
                pool_size=pool_size,
                verify=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True,
                proxies={} if local else get_environ_proxies(self.base_url),
            )
        except OSError:  # requests' own errors are of its kind
            raise UsageError(
                f"The proxy or the certificates for {self.host} are not usable.",
                remedy="Check HTTPS_PROXY, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE.",
            ) from None
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
            headers["Content-Length"] = str(len(body))
        request = PreparedRequest()
        request.method = method
        request.url = self.base_url + path
        # A plain dict does all that is asked of it here; requests' own is written for any case of any caller.
        request.headers = headers  # type: ignore[assignment]
        request.body = body
        try:
            return self._adapter.send(request, timeout=self._timeout)  # type: ignore[return-value,arg-type]  # see build_response; requests takes urllib3's Timeout
        except (exceptions.RequestException, HTTPError) as error:
            # `from None`: the error holds the request, and so the token and the contact.
            raise self._explain(error, when_lost) from None

    def _explain(self, error: Exception, when_lost: WhenLost) -> CallError:
        if isinstance(error, exceptions.SSLError):
            return DestinationUnreachable(
                f"No secure connection to {self.host}: its certificate was not accepted, or the handshake broke off.",
                code="no_tls",
                remedy="If a proxy inspects TLS here, name its certificates in REQUESTS_CA_BUNDLE.",
            )
        if isinstance(error, exceptions.ProxyError):
            return DestinationUnreachable(
                f"The proxy gives no connection to {self.host}.",
                code="no_proxy",
                remedy="Check HTTPS_PROXY and NO_PROXY.",
            )
        if isinstance(error, exceptions.ReadTimeout):
            return when_lost(f"{self.host} took the call and did not answer in time.", code="read_timeout")
        if isinstance(error, exceptions.ConnectTimeout):
            return DestinationUnreachable(f"{self.host} does not take connections (timeout).", code="no_connection")
        cause = error.args[0] if error.args else None
        if isinstance(error, exceptions.ConnectionError) and isinstance(cause, MaxRetryError):
            if isinstance(cause.reason, NameResolutionError):
                return DestinationUnreachable(
                    f"The name {self.host} does not resolve.",
                    code="name_not_found",
                    remedy="Check account.subdomain in the destination file, and this machine's DNS.",
                )
            return DestinationUnreachable(f"{self.host} does not take connections.", code="no_connection")
        return when_lost(f"{self.host} cut the connection before its answer was complete.", code="connection_cut")

    def close(self) -> None:
        self._adapter.close()
