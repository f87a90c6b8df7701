"""Uvicorn's HTTP protocol plus what it lacks: when a request began, a limit on unfinished heads, and ignoring upgrades."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.intake.application import BEGIN_TO_STOP
from app.intake.parser import RequestParser
from app.intake.posts import FIRST_BYTE

if TYPE_CHECKING:
    from asyncio import TimerHandle

HEAD_SECONDS = 20.0
MOST_HEAD_BYTES = 65_536
_CONTINUE = b"HTTP/1.1 100 "
_BARE = b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout" + _BARE
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large" + _BARE


class _Gathering:
    """A transport that sends an answer's head and body together: each packet costs as much as reading a profile."""

    __slots__ = ("_parts", "_transport")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if data.startswith(_CONTINUE):
            self._transport.write(data)
        else:
            self._parts.append(data)

    def flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()

    def close(self) -> None:
        self.flush()
        self._transport.close()


class IntakeProtocol(HttpToolsProtocol):
    """One connection."""

    _waiting: TimerHandle | None = None  # until a request's head must be complete
    _begun = False  # a head has begun but is not complete
    _stopping = False
    _moved = False  # the last data completed a head, brought part of a body, or ended a request
    # Bytes since something moved (of a head, a body's framing or trailers), all of which the parser keeps
    _kept_bytes = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = RequestParser(self)  # type: ignore[assignment]  # it is used as one

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Gathering(transport))  # type: ignore[arg-type]  # it is used as one
        self._wait()

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
        self.scope[FIRST_BYTE] = time.monotonic()  # type: ignore[literal-required]  # ours
        self._begun = True
        if self._waiting is None:
            self._wait()

    def on_headers_complete(self) -> None:
        self._begun = False
        self._moved = True
        self._wait_no_more()
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

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]  # ours
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Stop, but answer requests that have begun first."""
        self.app_state[BEGIN_TO_STOP]()
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
