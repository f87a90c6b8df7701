"""A connection of the intake: it notes when a request began, and sends an answer in one packet."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from app.intake.posts import FIRST_BYTE
from app.serving.protocol import Connection, connections_of

_CONTINUE = b"HTTP/1.1 100 "


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


class IntakeProtocol(Connection):
    """One connection."""

    most: ClassVar[int] = connections_of(10_000)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Gathering(transport))  # type: ignore[arg-type]  # it is used as one

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[FIRST_BYTE] = time.monotonic()  # type: ignore[literal-required]  # ours

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]  # ours
        super().on_response_complete()
