"""Taking turns at the interpreter.

Threads that all have work for the interpreter hand it to each other around every system call, and each handing over costs
as much as a fifth of a call: sixteen busy lanes of one process were measured at three times the CPU per contact of one. So where
calls are so quick that a process is busy rather than waiting, its lanes work one after another, some milliseconds each.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

TURN_SECONDS = 0.01
STUCK_SECONDS = 0.05


class Turns:
    """One turn in a process, given on in order of asking. Advisory: nobody waits behind a turn that is stuck."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._taken = False
        self._since = 0.0
        self._line: deque[Lock] = deque()

    @contextmanager
    def turn(self, *, wanted: bool) -> Iterator[None]:
        """A turn for what is done within, if it is `wanted`."""
        mine = wanted and self.take()
        try:
            yield
        finally:
            if mine:
                self.give()

    def take(self) -> bool:
        """Wait for the turn. False when whoever has it is stuck, waiting for a server: then go on without, and do not `give`."""
        with self._guard:
            if not self._taken:
                self._taken, self._since = True, time.monotonic()
                return True
            gate = Lock()
            gate.acquire()
            self._line.append(gate)
        while not gate.acquire(timeout=STUCK_SECONDS):
            if time.monotonic() - self._since > STUCK_SECONDS:
                with self._guard:
                    if gate in self._line:
                        self._line.remove(gate)
                        return False
        return True

    def give(self) -> None:
        """Pass the turn on."""
        with self._guard:
            self._since = time.monotonic()
            if self._line:
                self._line.popleft().release()
            else:
                self._taken = False
