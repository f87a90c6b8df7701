"""Uvicorn's HTTP protocol with what it leaves out: when a request began, an end to heads that never come, upgrades not heard."""

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
_CONTINUE = b"HTTP/1.1 100 "
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


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

    _waiting: TimerHandle | None = None  # for the head of a request
    _begun = False  # a head has begun and is not complete
    _stopping = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = RequestParser(self)  # type: ignore[assignment]  # it is used as one

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Gathering(transport))  # type: ignore[arg-type]  # it is used as one
        self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[FIRST_BYTE] = time.monotonic()  # type: ignore[literal-required]  # ours
        self._begun = True
        if self._waiting is None:
            self._wait()

    def on_headers_complete(self) -> None:
        self._begun = False
        self._wait_no_more()
        super().on_headers_complete()
        if self._stopping and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]  # ours
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """What has begun is answered first."""
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
        if not self.transport.is_closing():
            if self._begun:
                self.transport.write(_TOO_SLOW)
            self.transport.close()
