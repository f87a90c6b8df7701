"""Connections on which a test says every byte itself."""

from __future__ import annotations

import json
import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

WITHIN_SECONDS = 30.0


@dataclass
class Sent:
    """An answer that came over a bare socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """A connection on which a test says every byte itself."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WITHIN_SECONDS)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def drip(self) -> None:
        """Send a byte from time to time until the other side says something, or closes."""
        while not self.is_told(within_seconds=0.02):
            with suppress(OSError):  # it has closed meanwhile
                self.send(b"a")

    def is_told(self, *, within_seconds: float = 0) -> bool:
        """Whether the other side has said something, or closed."""
        return bool(select.select([self.socket], [], [], within_seconds)[0])

    def answer(self) -> Sent:
        status = int(self.file.readline().split()[1])
        headers: dict[str, str] = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return Sent(status, headers, self.file.read(int(headers.get("content-length", 0))))

    def ended(self) -> bool:
        """Whether the other side closes, with nothing more to say."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:  # it has not read all that was sent
            return True

    def close(self) -> None:
        self.file.close()
        self.socket.close()
