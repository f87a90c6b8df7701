"""One clock for all processes: that of Redis.

Machines' clocks differ by seconds and jump; what one process writes and another compares is therefore told by the server's
clock, carried on between two questions by the monotonic one of the process.
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
_DRIFT = 0.001  # more than two clocks may part in each second
_MINE_BITS = 12
_MOST_IN_A_MS = (1 << _MINE_BITS) - 1


class ServerTime:
    """How far a server's clock is ahead of time.monotonic(): of its answers, what the quickest told, until that is old."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0
        self._asked_at = _UNKNOWN
        self._error_seconds = float("inf")  # half of the time that the answer took

    def learn(self, asked_at: float, answered_at: float, server_seconds: float) -> None:
        """The server said this between those moments of time.monotonic()."""
        error_seconds = (answered_at - asked_at) / 2
        # an answer that was held up tells less than a former one that was quick
        if error_seconds <= self._error_seconds + (asked_at - self._asked_at) * _DRIFT:
            self.ahead_seconds = server_seconds - (asked_at + answered_at) / 2
            self._error_seconds, self._asked_at = error_seconds, asked_at


class RedisClock:
    """The time by the Redis server, right to the time of a round trip. Safe for many threads."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._lock = Lock()
        self._server = ServerTime()
        self._asked_at = _UNKNOWN
        self._last_ms = 0
        self._count = 0
        self._mine = secrets.randbelow(1 << _MINE_BITS)  # two processes do not make the same stamp

    def now_ms(self) -> int:
        """Epoch ms. Raises redis-py's errors when the server was never reached; later it goes on by itself without it."""
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
            # the next question is as far away after an error as after an answer, however long it took
            now = self._asked_at = time.monotonic()
        return int((now + self._server.ahead_seconds) * 1000)

    def _ask(self) -> float:
        """Learn from one answer; for how many seconds it was waited for."""
        asked = time.monotonic()
        reply: Any = self._redis.time()
        answered = time.monotonic()
        self._server.learn(asked, answered, reply[0] + reply[1] / 1e6)
        return answered - asked

    def _ask_again(self) -> None:
        """The first answer was slow, and there is no quicker one to go by: half of its time may be wrong for long."""
        with suppress(RedisError):  # the first one is better than none
            for _ in range(_TRIES):
                if self._ask() <= _SLOW_SECONDS:
                    break

    def known_ms(self) -> int | None:
        """The same without asking, for who must not wait; None as long as nobody has asked."""
        if self._asked_at == _UNKNOWN:
            return None
        return int((time.monotonic() + self._server.ahead_seconds) * 1000)

    def stamp(self, many: int = 1) -> tuple[int, int]:
        """The time in ms, and a number (24 bits) that tells it from the other stamps of that ms; each is greater than the last.

        It never goes back, also when the server's clock does: what comes later must not look older. Of `many`, the first: `following`
        tells the others.
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
    """The stamp at this place (from 0) of many that were made at once."""
    ahead, count = divmod((first[1] >> _MINE_BITS) + place, _MOST_IN_A_MS + 1)
    return first[0] + ahead, count << _MINE_BITS | first[1] & _MOST_IN_A_MS
