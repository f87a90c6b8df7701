"""The pace of an account, shared by all workers in Redis: its schedule of starts, permits, back-off, and what was learned.

Three small scripts keep the first three. About once a second, the worker whose turn it is decides by `pace.py` how fast to
call and how many calls to allow at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.clock import ServerTime
from app.errors import AccountThrottled, Throttle
from app.keys import CALLS_LIFE_SECONDS, AccountKeys
from app.pacing.observations import Observations
from app.pacing.pace import from_bytes, next_pace, to_bytes
from app.pacing.permits import PERMIT_LIFE_SECONDS
from app.pacing.rate import top_of
from app.pacing.starts import Starts, Why
from app.round_trips import Step

if TYPE_CHECKING:
    from redis import Redis

    from app.destinations.model import Limits

REACH_SECONDS = 0.15  # how far ahead starts are granted
LEARN_SECONDS = 1.0
# The first and the longest wait of a back-off, by kind. 50200 asks for at least a minute (Salesforce, "Rate Limiting Errors").
WAITS = {
    Throttle.RATE: (1.0, 60.0),
    Throttle.UNAVAILABLE: (2.0, 120.0),
    Throttle.BLOCKED: (60.0, 900.0),
    Throttle.TOKENS: (10.0, 900.0),
}


class AccountPace:
    """The pace of one account, for one holder (a worker process). `now_us` is for tests; 0 means Redis's clock."""

    def __init__(self, redis: Redis, account: str, holder: str, limits: Limits) -> None:
        self._limits = limits
        self._redis = redis
        self._keys = AccountKeys(account)
        self._holder = holder
        self._server = ServerTime()

    def ask(
        self,
        wanted: int,
        *,
        backfill: bool,
        urgent: bool = False,
        unused: int = 0,
        lead_seconds: float = 0.0,
        observed: Mapping[str, int] | None = None,
        now_us: int = 0,
    ) -> Step[Starts]:
        """Return the step that asks for `wanted` starts, gives back `unused` ones and reports what was observed.

        `observed`: fields of the `observed` hash.
        `urgent`: the calls include a live one for a destination that was not waiting here before.
        `lead_seconds`: how long it takes until an answer can be used; no start is granted sooner.
        """
        limits = self._limits
        interval_us = 1e6 / top_of(limits)
        pairs = [part for pair in (observed or {}).items() if pair[1] for part in pair]
        kind = "urgent" if urgent else "backfill" if backfill else "live"
        asked_at = time.monotonic()

        def read(reply: Any) -> Starts:
            answered_us, count, first_us, interval_us, wait_us, why, learns, scarce = reply
            # when Redis answered, not when we read it: on a busy machine that may be much later
            heard_at = time.monotonic()
            self._server.learn(asked_at, heard_at, answered_us / 1e6)
            answered_at = min(heard_at, max(asked_at, answered_us / 1e6 - self._server.ahead_seconds))
            return Starts(
                count,
                answered_at,
                first_us / 1e6,
                interval_us / 1e6,
                wait_us / 1e6,
                Why(why.decode()),
                bool(learns),
                bool(scarce),
            )

        return Step(
            "app.pacing",
            "starts",
            [self._keys.pace, self._keys.shares, self._keys.calls, self._keys.observed],
            [
                now_us,
                self._holder,
                wanted,
                interval_us,
                max(REACH_SECONDS * 1e6, 1.5 * interval_us),
                kind,
                limits.calls_per_year if limits.stop_at_yearly_quota else 0,
                CALLS_LIFE_SECONDS,
                unused,
                int(LEARN_SECONDS * 1e6),
                int(lead_seconds * 1e6),
                *pairs,
            ],
            read,
        )

    def lease(self, wanted: int, *, in_use: int, now_us: int = 0) -> Step[tuple[int, int]]:
        """Return the step that asks for `wanted` permits in total.

        Its reply is (permits held from now on, permits of the account).
        """
        return Step(
            "app.pacing",
            "permits",
            [self._keys.permits, self._keys.pace],
            [now_us, self._holder, wanted, in_use, self._limits.max_in_flight, int(PERMIT_LIFE_SECONDS * 1e6)],
            lambda reply: (int(reply[0]), int(reply[1])),
        )

    def back_off(self, kind: Throttle, wait_seconds: float | None, *, now_us: int = 0) -> Step[float]:
        """Return the step that makes the whole account wait; its reply is for how many seconds."""
        first, most = WAITS[kind]
        return Step(
            "app.pacing",
            "back_off",
            [self._keys.pace, self._keys.observed],
            [
                now_us,
                str(kind),
                int((wait_seconds or 0) * 1e6),
                random.random(),  # noqa: S311  # jitter, not a secret
                int(first * 1e6),
                int(most * 1e6),
            ],
            lambda wait_us: float(wait_us) / 1e6,
        )

    def learn(self) -> None:
        """Learn the pace from what all processes observed since the last time.

        Only the process whose turn it is calls this; it blocks.
        """
        keys = self._keys
        reply: Any = self._redis.time()
        now_us = reply[0] * 1_000_000 + reply[1]
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(keys.observed)
            pipeline.delete(keys.observed)
            pipeline.hset(keys.observed, "since", now_us)
            pipeline.expire(keys.observed, 3600)
            pipeline.hmget(keys.pace, "state", "since", "blocked")
            observed, _, _, _, (state, since, blocked) = pipeline.execute()
        seen = Observations.of(
            {name.decode(): int(value) for name, value in observed.items()},
            waits_since_us=float(since or 0),
            waits_until_us=float(blocked or 0),
            now_us=now_us,
        )
        before = from_bytes(state, self._limits)
        pace = next_pace(before, seen, self._limits)
        if pace != before:
            learned: Any = {
                "state": to_bytes(pace),
                "interval": f"{1e6 / pace.rate.calls_per_second:.0f}",
                "permits": f"{pace.concurrency.permits:.3f}",
            }
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hset(keys.pace, mapping=learned)
                pipeline.expire(keys.pace, 86_400)
                pipeline.execute()

    def leave(self) -> Sequence[Step[None]]:
        """Return the steps that give back all permits and the share of the schedule."""
        return [
            Step("", "HDEL", [key], [self._holder], lambda _: None) for key in (self._keys.permits, self._keys.shares)
        ]


def tell_throttled(redis: Redis, account: str, limits: Limits, throttled: AccountThrottled) -> float:
    """Make the account wait after a request that passes no gate was throttled. Returns for how many seconds.

    Raises: redis-py's errors.
    """
    return AccountPace(redis, account, "", limits).back_off(throttled.kind, throttled.wait_seconds).run(redis)


def end_wait(redis: Redis, account: str) -> None:
    """Call the account again at once, as an operator wishes. If it still objects, it will say so again."""
    redis.hdel(AccountKeys(account).pace, "blocked", "in_a_row", "why", "single")
