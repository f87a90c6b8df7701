"""One clock for all processes: that of Redis.

Machines' clocks differ by seconds and jump. What one process writes and another compares is therefore timed by the server's
clock, extrapolated between two questions by the process's monotonic clock.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis import Redis

_ASK_AGAIN_SECONDS = 30.0
_UNKNOWN = float("-inf")
_SLOW_SECONDS, _TRIES = 0.02, 3
_DRIFT = 0.001  # more than two clocks drift apart per second
_MINE_BITS = 12
_MOST_IN_A_MS = (1 << _MINE_BITS) - 1


class ServerTime:
    """How far a server's clock is ahead of time.monotonic(), by its quickest recent answer."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0
        self._asked_at = _UNKNOWN
        self._error_seconds = float("inf")  # half the time that the answer took

    def learn(self, asked_at: float, answered_at: float, server_seconds: float) -> None:
        """Take an answer: the server's time, read between two moments of time.monotonic()."""
        error_seconds = (answered_at - asked_at) / 2
        # a slow answer is less accurate than an earlier quick one
        if error_seconds <= self._error_seconds + (asked_at - self._asked_at) * _DRIFT:
            self.ahead_seconds = server_seconds - (asked_at + answered_at) / 2
            self._error_seconds, self._asked_at = error_seconds, asked_at


class RedisClock:
    """The time by the Redis server, to within a round trip. Safe to share between threads."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._lock = Lock()
        self._server = ServerTime()
        self._asked_at = _UNKNOWN
        self._last_ms = 0
        self._count = 0
        self._mine = secrets.randbelow(1 << _MINE_BITS)  # so that two processes do not make the same stamp

    def now_ms(self) -> int:
        """Return epoch milliseconds.

        Raises: redis-py's errors if the server was never reached; afterwards it works without the server.
        """
        now = time.monotonic()
        if now - self._asked_at > _ASK_AGAIN_SECONDS:
            is_first = self._asked_at == _UNKNOWN
            try:
                took_seconds = self._ask()
            except RedisError:
                if is_first:
                    raise
            else:
                if is_first and took_seconds > _SLOW_SECONDS:
                    self._ask_again()
            # wait as long before the next question after an error as after an answer
            now = self._asked_at = time.monotonic()
        return int((now + self._server.ahead_seconds) * 1000)

    def _ask(self) -> float:
        """Learn from one answer; returns how many seconds it took."""
        asked = time.monotonic()
        reply: Any = self._redis.time()
        answered = time.monotonic()
        self._server.learn(asked, answered, reply[0] + reply[1] / 1e6)
        return answered - asked

    def _ask_again(self) -> None:
        """Try for a quicker answer: the first one was slow, so the time may be wrong by half of what it took."""
        with suppress(RedisError):  # the first answer is better than none
            for _ in range(_TRIES):
                if self._ask() <= _SLOW_SECONDS:
                    break

    def known_ms(self) -> int | None:
        """Return the time without asking, for callers that must not wait; None if nobody has asked yet."""
        if self._asked_at == _UNKNOWN:
            return None
        return int((time.monotonic() + self._server.ahead_seconds) * 1000)

    def stamp(self, many: int = 1) -> tuple[int, int]:
        """Return the time in milliseconds and a number (24 bits) that distinguishes it from other stamps of that millisecond.

        Each stamp is greater than the last, even if the server's clock goes back: what comes later must not look older.
        `many`: reserve this many stamps and return the first; `following` gives the others.
        """
        with self._lock:
            now_ms = self.now_ms()
            if now_ms > self._last_ms:
                self._last_ms, self._count = now_ms, 0
            elif self._count == _MOST_IN_A_MS:
                self._last_ms, self._count = self._last_ms + 1, 0
            else:
                self._count += 1
            first = self._last_ms, self._count << _MINE_BITS | self._mine
            if many > 1:
                last_ms, number = following(first, many - 1)
                self._last_ms, self._count = last_ms, number >> _MINE_BITS
            return first


def following(first: tuple[int, int], place: int) -> tuple[int, int]:
    """Return the stamp at a place (from 0) among several reserved at once."""
    ahead, count = divmod((first[1] >> _MINE_BITS) + place, _MOST_IN_A_MS + 1)
    return first[0] + ahead, count << _MINE_BITS | first[1] & _MOST_IN_A_MS
