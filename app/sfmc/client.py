"""The client of one account: tokens, hosts and calls put together. It knows nothing of pacing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from app.errors import AccountThrottled, CallError, DestinationBroken, DestinationUnreachable, TokenRefused
from app.event_loop import EVENT_LOOP
from app.sfmc.attribute_sets import fetch_definitions
from app.sfmc.calls import Verdict
from app.sfmc.contacts import Contacts
from app.sfmc.http import Transport, WhenLost
from app.sfmc.responses import judge_read
from app.sfmc.tokens import Token, TokenSource

if TYPE_CHECKING:
    from redis import Redis

    from app.destinations.model import Account
    from app.sealing import KeyRing

Measure = Callable[[float, CallError | None], None]

_TOKEN_READ_TIMEOUT_SECONDS = 30.0


class MarketingCloud:
    """One account of Marketing Cloud; for any number of threads, and for coroutines of the process' event loop.

    `measure` is told of every call for a contact: its seconds, and the error if it was not accepted. `when_throttled` is told when a
    question about the account meets `AccountThrottled`, and returns for how many seconds the account is left alone, which the error
    says from then on; who calls for a contact sees to that itself.
    """

    def __init__(
        self,
        account: Account,
        redis: Redis,
        ring: KeyRing,
        *,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        measure: Measure | None = None,
        when_throttled: Callable[[AccountThrottled], float] | None = None,
    ) -> None:
        self._account = account
        self._measure = measure
        self._when_throttled = when_throttled
        self._connect_timeout_seconds = connect_timeout_seconds
        self._read_timeout_seconds = read_timeout_seconds
        token_read_seconds = min(_TOKEN_READ_TIMEOUT_SECONDS, read_timeout_seconds)
        self._auth = Transport(
            account.auth_base_url,
            connect_timeout_seconds=connect_timeout_seconds,
            read_timeout_seconds=token_read_seconds,
            local=account.local,
        )
        self._tokens = TokenSource(
            redis, ring, account, self._auth, longest_request_seconds=connect_timeout_seconds + token_read_seconds
        )
        self._hosts: dict[str, Transport] = {}
        self._fetching: asyncio.Future[Token] | None = None
        self.contacts = Contacts(self)

    def token(self) -> Token:
        """A token that is good now; its `scopes` tell what the package allows."""
        return self._tokens.get()

    def definitions(self) -> list[dict[str, Any]]:
        """Every attribute-set definition as Marketing Cloud spells it."""
        return fetch_definitions(self)

    def test_connection(self) -> Token:
        """Get a token and use it for a call that needs no permission; the token if both went well.

        Asks anew even if there is a good token, or one was refused a moment ago: whoever tests has just changed something, and
        a token outlives the secret and the permissions it was granted for. Raises the `CallError` of whichever did not go
        well.
        """
        with self._telling():
            token = self._tokens.renew()
        self.call("GET", "/platform/v1/tokenContext", judge_read)
        return token

    def forget_token(self) -> None:
        """Let the next call fetch a token with the scopes that the package has by then: a token keeps those it was made with."""
        self._tokens.forget()

    def forget_refusal(self) -> None:
        """Let the next call ask for a token at once, whatever the token endpoint said a moment ago."""
        self._tokens.forget_refusal()

    def call(
        self,
        method: str,
        path: str,
        judge: Callable[[int, Mapping[str, str], bytes], Verdict],
        *,
        body: bytes | None = None,
    ) -> Verdict:
        """`request`, for a thread that waits for the answer, of a call whose loss means that the service is away. Not measured."""
        with self._telling():
            self._tokens.get()  # here, and not on a thread that outlives an interrupt
            return EVENT_LOOP.run(self.request(method, path, judge, body=body))

    async def request(
        self,
        method: str,
        path: str,
        judge: Callable[[int, Mapping[str, str], bytes], Verdict],
        *,
        body: bytes | None = None,
        when_lost: WhenLost = DestinationUnreachable,
        before_sending: Callable[[], None] | None = None,
        is_measured: bool = False,
    ) -> Verdict:
        """One call with the shared token, and once more with a new one if that token was not accepted.

        `before_sending` is called when the token is there, right before the call goes out; what it raises ends it. Returns what
        `judge` makes of the answer, raises what it raises; `DestinationBroken` if the new token is refused too.
        """
        token = await self._token()
        if before_sending is not None:
            before_sending()
        try:
            return await self._call_with(token, method, path, judge, body, when_lost, is_measured=is_measured)
        except TokenRefused:
            await EVENT_LOOP.in_token_thread(self._tokens.drop, token.value)
        token = await self._token()
        if before_sending is not None:
            before_sending()
        try:
            return await self._call_with(token, method, path, judge, body, when_lost, is_measured=is_measured)
        except TokenRefused as refused:
            # A fresh token that is refused as well is left where it is: one more would only be refused again.
            raise DestinationBroken(
                "Marketing Cloud does not accept the access token that it has just granted.",
                code="token_rejected",
                remedy="Check that account.subdomain is the installed package's, and that the package is enabled.",
                http_status=refused.http_status,
                service_message=refused.service_message,
            ) from None

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except AccountThrottled as error:
            if self._when_throttled is not None:
                error.wait_seconds = self._when_throttled(error)
            raise

    async def _token(self) -> Token:
        """The token at hand; one thread asks for the next on behalf of all, while those that have a good one go on with it."""
        token, is_due = self._tokens.at_hand()
        if token is not None and not is_due:
            return token
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.ensure_future(EVENT_LOOP.in_token_thread(self._tokens.get))
            self._fetching.add_done_callback(lambda done: done.cancelled() or done.exception())  # who waits is told
        return token if token is not None else await asyncio.shield(self._fetching)

    async def _call_with(
        self,
        token: Token,
        method: str,
        path: str,
        judge: Callable[[int, Mapping[str, str], bytes], Verdict],
        body: bytes | None,
        when_lost: WhenLost,
        *,
        is_measured: bool,
    ) -> Verdict:
        host = self._hosts.get(token.rest_base_url) or self._open_host(token.rest_base_url)
        began, failed = time.perf_counter(), None
        try:
            status, headers, answer = await host.call(method, path, body=body, bearer=token.value, when_lost=when_lost)
            return judge(status, headers, answer)
        except CallError as error:
            failed = error
            raise
        finally:
            if is_measured and self._measure is not None:
                self._measure(time.perf_counter() - began, failed)

    def _open_host(self, rest_base_url: str) -> Transport:
        host = self._hosts[rest_base_url] = Transport(
            rest_base_url,
            connect_timeout_seconds=self._connect_timeout_seconds,
            read_timeout_seconds=self._read_timeout_seconds,
            local=self._account.local,
        )
        return host
