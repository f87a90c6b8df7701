"""An account's pace as people see it: what is configured, what was learned, and how long the account is left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.keys import AccountKeys
from app.pacing.pace import from_bytes

if TYPE_CHECKING:
    from redis import Redis

    from app.destinations.model import Limits

SHOWN_SECONDS = 10.0  # if nobody has learned the pace for this long, the account is not being called
BACK_SECONDS = 1.0  # a wait that begins this far in the future dates from before the clock went back


@dataclass(frozen=True, slots=True)
class Shown:
    """Calls per minute: allowed by the configuration, learned, and accepted lately.

    `why` the pace is what it is: configured or learned; or, while the account is left alone for `wait_seconds`: rate,
    blocked, unavailable, tokens or throttled.
    """

    allowed_per_minute: float
    learned_per_minute: float
    used_per_minute: float
    permits: int
    max_in_flight: int
    why: str
    wait_seconds: float


def read_pace(redis: Redis, account: str, limits: Limits) -> Shown:
    """Return the pace of an account with these limits, by Redis's clock. Raises: redis-py's errors."""
    reply: Any = redis.hmget(AccountKeys(account).pace, "state", "blocked", "since", "why", "learn_at")
    state, blocked, since, why, learn_at = reply
    pace = from_bytes(state, limits)
    seconds, micros = redis.time()
    now = seconds + micros / 1e6
    wait_seconds = _wait_seconds(blocked, since, now)
    is_called = float(learn_at or 0) / 1e6 + SHOWN_SECONDS > now
    known = "learned" if pace.rate.learned else "configured"
    return Shown(
        allowed_per_minute=limits.calls_per_minute,
        learned_per_minute=min(pace.rate.calls_per_second * 60, limits.calls_per_minute),
        used_per_minute=pace.rate.recent * 60 if is_called else 0.0,
        permits=min(int(pace.concurrency.permits), limits.max_in_flight),
        max_in_flight=limits.max_in_flight,
        why=(why.decode() if why else "throttled") if wait_seconds else known,
        wait_seconds=wait_seconds,
    )


def _wait_seconds(blocked_us: Any, since_us: Any, now: float) -> float:
    """Return how much longer the account is left alone; 0 for a wait that began in the future, before the clock went back."""
    if float(since_us or 0) / 1e6 > now + BACK_SECONDS:
        return 0.0
    return max(0.0, float(blocked_us or 0) / 1e6 - now)
