"""Ends connections whose answer takes too long as a whole.

A timeout of a socket begins anew with each byte, so a server that sends one now and then holds a caller for ever. One thread
in a process looks once a second at the answers that are awaited, and shuts the connections of those that are overdue.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any

_LOOK_SECONDS = 1.0


class Deadlines:
    """The answers that are awaited in this process. Safe for many threads."""

    def __init__(self) -> None:
        self._awaited: dict[Any, float] = {}  # connection -> time.monotonic() at which it is overdue
        self._overdue: set[Any] = set()
        self._lock = Lock()
        self._news = Event()
        self._thread: Thread | None = None

    def begin(self, connection: Any, seconds: float) -> None:
        """The answer on this connection is due within so many seconds."""
        self._awaited[connection] = time.monotonic() + seconds
        if self._thread is None:
            self._start()
        self._news.set()

    def end(self, connection: Any) -> bool:
        """The answer is there, or will not come. True when it was overdue, and its connection shut."""
        self._awaited.pop(connection, None)
        if connection in self._overdue:
            self._overdue.discard(connection)
            return True
        return False

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._watch, name="deadlines", daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        while True:
            if not self._awaited:
                self._news.wait()
                self._news.clear()
            time.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            for connection, due in list(self._awaited.items()):
                if due < now and self._awaited.pop(connection, None) is not None:
                    self._overdue.add(connection)
                    if (sock := connection.sock) is not None:
                        with suppress(OSError, ValueError):  # closed by its own thread just now
                            sock.shutdown(socket.SHUT_RDWR)


DEADLINES = Deadlines()
