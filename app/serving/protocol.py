"""Uvicorn's HTTP protocol plus what it lacks: limits on unfinished heads and on connections, and ignoring upgrades."""

from __future__ import annotations

import logging
import resource
import time
from typing import TYPE_CHECKING, Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.logs import say_once
from app.serving.body_time import BODY_TIME
from app.serving.parser import RequestParser

if TYPE_CHECKING:
    from asyncio import TimerHandle, Transport

# longer than proxies, senders and browsers keep an idle connection, so that we never close one on which a request is on its way
KEEP_ALIVE_SECONDS = 120
HEAD_SECONDS = 20.0
MOST_HEAD_BYTES = 65_536
_OTHER_FILES = 100  # open besides: connections to Redis, logs, and the like
_BARE = b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout" + _BARE
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large" + _BARE

log = logging.getLogger(__name__)


def connections_of(most: int) -> int:
    """Return `most`, or fewer if the process may not have that many files open besides its others."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if files == resource.RLIM_INFINITY else min(most, max(files - _OTHER_FILES, files // 2))


class Connection(HttpToolsProtocol):
    """A connection that waits for its client's next head only for a limited time and a limited number of bytes.

    Once all allowed connections are taken, the one that has waited for its client longest is closed: clients that only hold
    connections cannot keep out those that use theirs. How long a body may take is up to the application (`BodyTime`).
    """

    most: ClassVar[int] = connections_of(1_000)
    _waiting: TimerHandle | None = None  # until a request's head must be complete
    waits_since: float | None = None  # since when it waits for its client (time.monotonic()); None while it answers
    _begun = False  # a head has begun but is not complete
    _stopping = False
    _moved = False  # the last data completed a head, brought part of a body, or ended a request
    # Bytes since something moved (of a head, a body's framing or trailers), all of which the parser keeps
    _kept_bytes = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = RequestParser(self)  # type: ignore[assignment]  # it is used as one

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.waits_since = time.monotonic()
        self._wait()
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        if self._waiting is None and self._is_idle():  # what comes now must begin a head
            self._wait()
        self._moved = False
        super().data_received(data)
        self._kept_bytes = 0 if self._moved else self._kept_bytes + len(data)
        if self._kept_bytes > MOST_HEAD_BYTES:
            self._end_with(_TOO_LARGE)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # initially None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True
        if self._waiting is None:
            self._wait()

    def on_headers_complete(self) -> None:
        self._begun = False
        self._moved = True
        self._wait_no_more()
        self.waits_since = time.monotonic()
        super().on_headers_complete()
        if self._stopping and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._moved = True
        super().on_message_complete()
        if self._is_idle():  # answered before its body had come
            self._wait_no_more()
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            self.waits_since = None

    def on_response_complete(self) -> None:
        if self._is_idle():
            self.waits_since = time.monotonic()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Stop, but answer requests that have begun first."""
        self.app_state[BODY_TIME].begin_to_stop()
        self._stopping = True
        if not self._begun:
            super().shutdown()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_slow(self) -> None:
        self._waiting = None
        self._end_with(_TOO_SLOW)

    def _end_with(self, answer: bytes) -> None:
        """Close the connection, answering a head that has begun."""
        if not self.transport.is_closing():
            if self._begun:
                self.transport.write(answer)
            self.transport.close()

    def _make_room(self) -> None:
        """Close the connection that has waited for its client longest; it may be this one, which is new and one too many."""
        say_once(
            log,
            "connections",
            "All %d connections are taken: those whose clients send nothing are closed.",
            self.most,
            level=logging.WARNING,
        )
        waiting = [one for one in cast("set[Connection]", self.connections) if one.waits_since is not None]
        longest = min(waiting, key=lambda one: one.waits_since or 0.0)
        longest.waits_since = None  # it is about to be gone
        longest.transport.abort()
