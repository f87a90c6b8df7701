"""The threads that make a session's calls.

As many as there are seats to fill, and no more: where calls take long, each call has a thread; where they are quick, one
thread makes several in a row, since handing each to another costs more CPU than the call itself.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from app.delivery.turns import TURN_SECONDS, Turns
from app.sfmc.responses import Accepted

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

C = TypeVar("C")

LONG_CALL_SECONDS = 0.1
QUICK_CALL_SECONDS = 0.0015
ANSWERS_AT_ONCE = 32  # so many answers are worth waking the session for, even while its callers have work


class StartMissed(Exception):  # no error: nothing was sent, and the call needs a new start
    """A call's time has passed. Made late it would come together with those of others, and so exceed the rate."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[C]):
    """What came of a call: what Marketing Cloud said, or the error that it amounts to."""

    contact: C
    result: Accepted | Exception
    seconds: float


class Pulse:
    """How long calls to a destination take, as this process sees it."""

    def __init__(self) -> None:
        self.call_seconds = 0.0  # the mean of late; 0 when nothing is known
        self._shortest = 1.0

    def beat(self, seconds: float) -> None:
        """An accepted call took so long."""
        self.call_seconds = 0.9 * self.call_seconds + 0.1 * seconds if self.call_seconds else seconds
        self._shortest = min(seconds, self._shortest * 1.02)

    @property
    def quick(self) -> bool:
        """Whether calls cost more work than waiting, so that lanes do better to take turns."""
        return self._shortest < QUICK_CALL_SECONDS

    @property
    def most_seats(self) -> int:
        """How many calls at once are worth their threads for one lane: one for every 10 ms that a call takes.

        Where a process has its hands full, calls wait for the interpreter and look slow. To make more of them at once, as for
        a server that is slow, would make them slower still; bounded like this, it settles at a few.
        """
        return max(1, round(self.call_seconds * 100))


class Callers(Generic[C]):
    """`send` makes one call, and raises what it amounts to; it runs on the threads of `pool`.

    `pulse` is what is known of how long calls take, shared by all sessions of the destination in this process.
    """

    def __init__(self, pool: Executor, send: Callable[[C, bytes], Accepted], pulse: Pulse, turns: Turns) -> None:
        self._pool = pool
        self._send = send
        self._calls: deque[tuple[C, bytes, float, float]] = deque()
        self._answers: deque[Answer[C]] = deque()
        self._news: SimpleQueue[None] = SimpleQueue()
        self._begun: dict[object, float] = {}  # caller -> when it began the call it is at
        self._seats = 0
        self._pulse = pulse
        self._turns = turns

    def add(self, contact: C, body: bytes, start_at: float, *, by: float) -> None:
        """A call to be made at a time of time.monotonic(), after those added before; not at all after `by`."""
        self._calls.append((contact, body, start_at, by))

    def staff(self, seats: int) -> None:
        """See to it that up to `seats` calls are made at once, and no more. To be called again whenever there is news."""
        self._seats = seats
        for _ in range(min(seats - len(self._begun), len(self._calls))):
            caller = object()
            self._begun[caller] = 0.0
            self._pool.submit(self._work, caller)

    def drop_waiting(self) -> None:
        """Make no more calls; those in flight end."""
        self._calls.clear()

    @property
    def in_flight(self) -> int:
        """How many calls are made at once."""
        return len(self._begun)

    @property
    def late(self) -> bool:
        """Whether a call that is due waits for its caller."""
        try:
            return time.monotonic() - self._calls[0][2] > 0.02
        except IndexError:
            return False

    def call_seconds(self) -> float:
        """How long a call takes of late; when one takes unheard-of long, as long as that. 0 when nothing is known."""
        began = min((at for at in tuple(self._begun.values()) if at), default=0.0)
        age = time.monotonic() - began if began else 0.0
        usual = self._pulse.call_seconds
        return max(usual, age) if usual and age > LONG_CALL_SECONDS else usual

    def answers(self, timeout_seconds: float) -> list[Answer[C]]:
        """What has come, after waiting for it; may be nothing."""
        try:
            self._news.get(timeout=timeout_seconds)
            while True:
                self._news.get_nowait()
        except Empty:
            pass
        found = []
        while self._answers:
            answer = self._answers.popleft()
            if isinstance(answer.result, Accepted):
                self._pulse.beat(answer.seconds)
            found.append(answer)
        return found

    def _work(self, caller: object) -> None:
        """On a thread of the pool: make calls, each at its time, until there are none."""
        turns, turn_ends, mine = self._turns, 0.0, False
        try:
            while self._calls and len(self._begun) <= self._seats:
                try:
                    contact, body, start_at, by = self._calls.popleft()
                except IndexError:
                    break
                now = time.monotonic()
                if mine and (start_at > now or now > turn_ends):
                    turns.give()
                    mine = False
                if start_at > now:
                    time.sleep(start_at - now)
                if not mine and self._pulse.quick:
                    mine = turns.take()
                    turn_ends = time.monotonic() + TURN_SECONDS
                if time.monotonic() > by:
                    self._answers.append(Answer(contact, StartMissed(), 0.0))
                else:
                    self._answers.append(self._call(caller, contact, body))
                if len(self._answers) >= ANSWERS_AT_ONCE:
                    self._news.put(None)
        finally:
            if mine:
                turns.give()
            # gone before it says so: the session, looking again, sends another if a call came in just now
            del self._begun[caller]
            self._news.put(None)

    def _call(self, caller: object, contact: C, body: bytes) -> Answer[C]:
        started = self._begun[caller] = time.monotonic()
        result: Accepted | Exception
        try:
            result = self._send(contact, body)
        except Exception as error:  # noqa: BLE001  # handed to the session, which decides by its class
            result = error
        self._begun[caller] = 0.0
        return Answer(contact, result, time.monotonic() - started)
