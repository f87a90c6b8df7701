"""The client of one account, which combines tokens, hosts and calls. It knows nothing of pacing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from app.errors import AccountThrottled, CallError, DestinationBroken, TokenRefused, TransientFailure
from app.event_loop import EVENT_LOOP
from app.sfmc.attribute_sets import fetch_definitions
from app.sfmc.calls import Judged
from app.sfmc.contacts import Contacts
from app.sfmc.http import Transport
from app.sfmc.responses import judge_read
from app.sfmc.tokens import Tested, Token, TokenSource

if TYPE_CHECKING:
    from redis import Redis

    from app.destinations.model import Account
    from app.sealing import KeyRing

Measure = Callable[[float, CallError | None], None]

_TOKEN_READ_TIMEOUT_SECONDS = 30.0


class MarketingCloud:
    """One account of Marketing Cloud, for any number of threads and for coroutines of the process's event loop.

    `measure`: called after every contact call, with its seconds and the error if it was not accepted.
    `when_throttled`: called when a request about the account meets `AccountThrottled`; returns for how many seconds the account is
      paused, which the error then says. For contact calls the caller handles that.
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
        """Return a valid token; its `scopes` say what the package allows."""
        return self._tokens.get()

    def definitions(self) -> list[dict[str, Any]]:
        """Return every attribute-set definition as Marketing Cloud spells it."""
        return fetch_definitions(self)

    def test_connection(self, needed: Collection[str] = (), *, anew: bool = False) -> Tested:
        """Use a token for a call that needs no permission, and return it with what it shows.

        A token outlives the secret and the permissions it was granted for. So a new one is requested if another secret was
        given, if the last request was refused, if the shared token lacks a scope `needed` or is some minutes old, or if `anew`
        says so. That the endpoint is asked too often is not told to the account, which may have a good token: whoever has none
        finds the refusal noted.

        Raises: the `CallError` of either call.
        """
        tested = self._tokens.test(needed, anew=anew)
        self.call("GET", "/platform/v1/tokenContext", judge_read)
        # another one if that one was not accepted
        return tested._replace(token=self._tokens.get())

    def forget_token(self) -> None:
        """Let the next call fetch a token with the package's current scopes: a token keeps those it was granted with."""
        self._tokens.forget()

    def forget_refusal(self) -> None:
        """Let the next call request a token at once, even if the token endpoint has just refused one."""
        self._tokens.forget_refusal()

    def call(
        self,
        method: str,
        path: str,
        judge: Callable[[int, Mapping[str, str], bytes], Judged],
        *,
        body: bytes | None = None,
    ) -> Judged:
        """Ask a question about the account from a thread that waits for the answer. Returns what `judge` makes of it.

        Raises: what `judge` raises; `DestinationUnreachable` for a lost answer.
        """

        async def send(token: Token) -> Judged:
            return judge(*await self._host(token).call(method, path, body=body, bearer=token.value))

        with self._telling():
            self._tokens.get()  # here, not on a thread that outlives an interrupt
            return EVENT_LOOP.run(self._with_token(send))

    async def write(
        self,
        method: str,
        path: str,
        judge: Callable[[int, Mapping[str, str], bytes], Judged],
        body: bytes,
        *,
        before_sending: Callable[[], None] | None = None,
    ) -> Judged:
        """Make a call for a contact, and report it to `measure`. Returns what `judge` makes of the answer.

        `before_sending`: called with the token at hand, right before the call goes out; an error it raises ends the call.

        Raises: what `judge` raises; `TransientFailure` for a lost answer.
        """

        async def send(token: Token) -> Judged:
            if before_sending is not None:
                before_sending()
            host = self._host(token)
            began, failed = time.perf_counter(), None
            try:
                return judge(*await host.call(method, path, body=body, bearer=token.value, when_lost=TransientFailure))
            except CallError as error:
                failed = error
                raise
            finally:
                if self._measure is not None:
                    self._measure(time.perf_counter() - began, failed)

        return await self._with_token(send)

    async def _with_token(self, send: Callable[[Token], Awaitable[Judged]]) -> Judged:
        """Make a call with the shared token, and once more with a new one if that token was not accepted.

        Raises: what `send` raises; `DestinationBroken` if the new token is refused too.
        """
        token = await self._token()
        try:
            return await send(token)
        except TokenRefused:
            await EVENT_LOOP.in_token_thread(self._tokens.drop, token.value)
        token = await self._token()
        try:
            return await send(token)
        except TokenRefused as refused:
            # A fresh token that is also refused is left in place: another would only be refused again.
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
        """Return the token at hand. One thread fetches the next for everybody; meanwhile a token that is still valid is used."""
        token, is_due = self._tokens.at_hand()
        if token is not None and not is_due:
            return token
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.ensure_future(EVENT_LOOP.in_token_thread(self._tokens.get))
            self._fetching.add_done_callback(lambda done: done.cancelled() or done.exception())  # waiters get the error
        return token if token is not None else await asyncio.shield(self._fetching)

    def _host(self, token: Token) -> Transport:
        """Return the connections to the host at which this token is valid."""
        host = self._hosts.get(token.rest_base_url)
        if host is None:
            host = self._hosts[token.rest_base_url] = Transport(
                token.rest_base_url,
                connect_timeout_seconds=self._connect_timeout_seconds,
                read_timeout_seconds=self._read_timeout_seconds,
                local=self._account.local,
            )
        return host
