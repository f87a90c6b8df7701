"""The shared limiter as one holder (a worker at a lane) sees it.

One question to Redis answers three things at once: how many calls the holder may have in flight, when its next calls may
start, and how long to wait when they may not. Calls are evenly spaced by a GCRA schedule on Redis' clock; each question
also counts the calls it is granted towards the account's year.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.errors import Throttle
from app.keys import CALLS_LIFE_SECONDS, AccountKeys
from app.lua import script

if TYPE_CHECKING:
    from redis import Redis

# The schedule runs a little below the allowed rate, so that what it may catch up after a pause (the burst) and the jitter of the
# network stay within the rate over any minute.
RATE_USED = 0.995
HORIZON_SECONDS = 0.075
BURST_SECONDS = 0.1
SEAT_LIFE_SECONDS = 10.0  # a holder asks again well before; a dead one must not keep its seats long
CIRCUIT_SECONDS = 60.0
CIRCUIT_MOST_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to one question. `first_at` is in time.monotonic(); `reason` is why no more may start now."""

    seats: int
    starts: int
    first_at: float
    interval_seconds: float
    wait_seconds: float
    reason: str


class Pacer:
    """The limiter for one flow (destination and kind) of one account, asked by one holder."""

    def __init__(
        self,
        redis: Redis,
        account: str,
        *,
        holder: str,
        flow: str,
        calls_per_minute: int,
        max_in_flight: int,
        calls_per_year: int,
        stop_at_yearly_quota: bool,
    ) -> None:
        self._redis = redis
        self._keys = AccountKeys(account)
        self._holder = holder
        self._flow = flow
        self._interval_us = 60_000_000 / (calls_per_minute * RATE_USED)
        self._max_in_flight = max_in_flight
        self._calls_per_year = calls_per_year
        self._stop = int(stop_at_yearly_quota)

    def ask(
        self,
        *,
        in_flight: int,
        outstanding: int,
        most_seats: int,
        starts: int,
        accepted: int,
        backfill: bool,
        call_seconds: float,
    ) -> Admission:
        """Ask for `starts` new calls, while `in_flight` are made and `outstanding` were granted in all and not answered.

        `accepted` calls since the last time are reported; `call_seconds` is how long a call takes of late (0: not known): where
        seats serve several calls within the horizon, that many starts are given at once. Asking for no start keeps the seats.
        """
        # at least three starts ahead, so that a slow rate does not deny what it could grant
        horizon_us = max(HORIZON_SECONDS * 1e6, 3 * self._interval_us)
        burst_us = max(BURST_SECONDS * 1e6, self._interval_us)
        granted, starts, first_us, wait_us, reason = script(self._redis, "app.pacing", "admit")(
            keys=[self._keys.pace, self._keys.seats, self._keys.flows, self._keys.calls],
            args=[
                self._holder, f"{self._flow}{'/backfill' if backfill else ''}", in_flight, most_seats, starts,
                self._interval_us, self._max_in_flight, horizon_us, burst_us, accepted,
                self._calls_per_year, first_day_of_year(), self._stop,
                CALLS_LIFE_SECONDS, int(SEAT_LIFE_SECONDS * 1000), int(backfill), int(call_seconds * 1e6), outstanding,
            ],
        )  # fmt: skip
        return Admission(
            seats=granted,
            starts=starts,
            first_at=time.monotonic() + first_us / 1e6,
            interval_seconds=self._interval_us / 1e6,
            wait_seconds=wait_us / 1e6,
            reason=reason.decode(),
        )

    def leave(self) -> None:
        """Give all seats back, and the place in line."""
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hdel(self._keys.seats, self._holder)
            pipeline.hdel(self._keys.flows, f"w:{self._holder}")
            pipeline.execute()

    def back_off(self, kind: Throttle, wait_seconds: float | None) -> float:
        """Make the whole account wait; returns for how many seconds."""
        waits_us = script(self._redis, "app.pacing", "back_off")(
            keys=[self._keys.pace],
            args=[
                str(kind),
                int((wait_seconds or 0) * 1e6),
                random.random(),  # noqa: S311  # jitter, not a secret
                int(CIRCUIT_SECONDS * 1e6),
                int(CIRCUIT_MOST_SECONDS * 1e6),
            ],
        )
        return float(waits_us) / 1e6


def first_day_of_year() -> int:
    """January 1st of this year (UTC) in days since the epoch, as the account's calls are counted."""
    return int(datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC).timestamp() // 86_400)


def read_wait(redis: Redis, account: str) -> float:
    """For how many seconds an account that was asked for too much is left alone yet."""
    keys = AccountKeys(account)
    until_us: Any = redis.hget(keys.pace, "blocked")
    seconds, micros = redis.time()
    return max(0.0, float(until_us or 0) / 1e6 - seconds - micros / 1e6)


def end_wait(redis: Redis, account: str) -> None:
    """Go on calling at once: an operator says so. If the account disagrees, it says so again."""
    redis.hdel(AccountKeys(account).pace, "blocked", "blocks", "why")
