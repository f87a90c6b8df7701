"""Uvicorn's HTTP protocol with what it leaves out: an end to heads that do not come, a bound on connections, upgrades not heard."""

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

# longer than proxies, senders and browsers keep a connection that is idle: who closes it must not be the one who does not know of a
# request
KEEP_ALIVE_SECONDS = 120
HEAD_SECONDS = 20.0
MOST_HEAD_BYTES = 65_536
_OTHER_FILES = 100  # that a process has open besides: to Redis, logs, what it runs
_BARE = b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout" + _BARE
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large" + _BARE

log = logging.getLogger(__name__)


def connections_of(most: int) -> int:
    """So many, or as many as the process may have files open beside its others."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if files == resource.RLIM_INFINITY else min(most, max(files - _OTHER_FILES, files // 2))


class Connection(HttpToolsProtocol):
    """One connection. It waits for its client, for a head or a body, for so long and for so many bytes and no more.

    Where all that there may be are taken, the client that has kept its own waiting longest has to go: who only holds connections
    cannot keep out those who use theirs. For how long a body may come is up to the application (`BodyTime`).
    """

    most: ClassVar[int] = connections_of(1_000)
    _waiting: TimerHandle | None = None  # for the head of a request
    waits_since: float | None = None  # for its client, by time.monotonic(); None while it is answered
    _begun = False  # a head has begun and is not complete
    _stopping = False
    _moved = False  # what came last has completed a head, brought a part of a body, or ended a request
    # Of what came since something moved: of a head, of a body's framing or of trailers, which the parser keeps
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
        if self._waiting is None and self._is_idle():  # whatever comes now, a head is to follow
            self._wait()
        self._moved = False
        super().data_received(data)
        self._kept_bytes = 0 if self._moved else self._kept_bytes + len(data)
        if self._kept_bytes > MOST_HEAD_BYTES:
            self._end_with(_TOO_LARGE)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # it begins with None

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
        if self._is_idle():  # it was answered before its body had come
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
        """What has begun is answered first."""
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
        """Close the connection; a head that has begun is answered."""
        if not self.transport.is_closing():
            if self._begun:
                self.transport.write(answer)
            self.transport.close()

    def _make_room(self) -> None:
        """This one is new, and one too many: close the one whose client is waited for longest, which may be this."""
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
