"""What a process measures of calls and times, gathered here and added about once a second to the hour's run in Redis.

So a call costs no round trip of its own, and what is read from Redis holds for the whole installation. Outcomes are exact:
they are counted in the step that settles them (`settle.lua`). What is gathered here may lose its last second if a process
is killed, and is counted twice if a connection breaks between the step and its answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from threading import Lock
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.errors import (
    AccountThrottled,
    CallError,
    ContactRefused,
    DestinationBroken,
    TokenRefused,
    TransientFailure,
)
from app.keys import RUN_LIFE_SECONDS, DestinationKeys
from app.lanes import counters
from app.logs import say_once
from app.lua import write
from app.moments import hour_of
from app.reporting.histograms import BUCKETS, Buckets, Timed

if TYPE_CHECKING:
    from redis import Redis

    from app.clock import RedisClock

FLUSH_SECONDS = 1.0
_CALL, _ACCEPTANCE, _ENQUEUE = BUCKETS[Timed.CALL], BUCKETS[Timed.ACCEPTANCE], BUCKETS[Timed.ENQUEUE]
_ACCEPTED = f"{counters.ANSWER}accepted"

log = logging.getLogger(__name__)


def answer_class(error: CallError) -> str:
    """Return a stable word for the result of a call that was not accepted."""
    match error:
        case AccountThrottled():
            return error.code
        case TokenRefused():
            return "token_refused"
        case ContactRefused():
            return "contact_refused"
        case TransientFailure():
            return "transient_failure"
        case DestinationBroken():
            return "destination_broken"
        case _:
            return "unreachable"


class Measures:
    """The counts that a process has not yet added. Safe to share between threads; each count takes some two microseconds."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[str, dict[str, int]] = {}
        self._clock: RedisClock | None = None
        self._flushed_at = 0.0

    def begin(self, clock: RedisClock) -> None:
        """Compute ages by this clock, once it has been read; without one they are not counted."""
        self._clock = clock

    def called(self, destination_id: str, seconds: float, error: CallError | None) -> None:
        """Count one HTTP call for a contact, by duration and result."""
        answer = _ACCEPTED if error is None else f"{counters.ANSWER}{answer_class(error)}"
        self._count(destination_id, _CALL, seconds, answer)

    def accepted(self, destination_id: str, enqueued_ms: int) -> None:
        """Count the age of a profile that was accepted."""
        now_ms = None if self._clock is None else self._clock.known_ms()
        if now_ms is not None:
            self._count(destination_id, _ACCEPTANCE, max(0.0, (now_ms - enqueued_ms) / 1000))

    def matched(self, destination_id: str, fields: Iterable[str]) -> None:
        """Count the fields that a delivered profile had values for."""
        with self._lock:
            counts = self._counts.setdefault(destination_id, {})
            for field in fields:
                name = counters.MATCHED + field
                counts[name] = counts.get(name, 0) + 1

    def enqueued(self, destination_id: str, seconds: float) -> None:
        """Count the duration of one producer call."""
        self._count(destination_id, _ENQUEUE, seconds)

    def _count(self, destination_id: str, buckets: Buckets, seconds: float, also: str = "") -> None:
        bucket, total = buckets.field_of(seconds), buckets.total
        with self._lock:
            counts = self._counts.setdefault(destination_id, {})
            counts[bucket] = counts.get(bucket, 0) + 1
            counts[total] = counts.get(total, 0) + round(seconds * 1000)
            if also:
                counts[also] = counts.get(also, 0) + 1

    def flush_when_due(self, redis: Redis, clock: RedisClock) -> None:
        """Flush unless that was done within the last second."""
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush(redis, clock)

    def flush(self, redis: Redis, clock: RedisClock) -> None:
        """Add the counts to the run of this hour.

        While Redis is away they are kept; those of a disconnected destination are dropped.
        """
        with self._lock:
            self._flushed_at = time.monotonic()
            gathered, self._counts = self._counts, {}
        while gathered:
            destination_id, counts = gathered.popitem()
            keys = DestinationKeys(destination_id)
            try:
                run = keys.run(hour_of(clock.now_ms()))
                write(
                    redis,
                    *(("HINCRBY", run, name, count) for name, count in counts.items()),
                    ("EXPIRE", run, RUN_LIFE_SECONDS),
                    keys=[run],
                    only_with=keys.epoch,
                )
            except RedisError as error:
                say_once(log, "measures", "Measures wait for Redis (%s).", type(error).__name__)
                self._take_back({**gathered, destination_id: counts})
                return

    def _take_back(self, gathered: dict[str, dict[str, int]]) -> None:
        with self._lock:
            for destination_id, counts in gathered.items():
                kept = self._counts.setdefault(destination_id, {})
                for name, count in counts.items():
                    kept[name] = kept.get(name, 0) + count
