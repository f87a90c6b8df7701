"""How an account's calls have added up this year, day by day, and what total they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.keys import AccountKeys
from app.reporting.quota import Quota, read_quota

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True, slots=True)
class BurnUp:
    """`points`: (days since the year began, calls by then). `days`: the length of the year."""

    points: tuple[tuple[int, int], ...]
    used: int
    allowed: int
    forecast: int
    days: int


def read_burn_up(redis: Redis, account: str, *, calls_per_year: int) -> BurnUp:
    raw: Any = redis.hgetall(AccountKeys(account).calls)
    reply: Any = redis.time()
    quota = read_quota(redis, account, calls_per_year=calls_per_year)
    return burn_up(
        {int(day): int(count) for day, count in raw.items() if day.isdigit()},  # the hash also holds the sums of years
        datetime.fromtimestamp(reply[0], UTC),
        quota,
    )


def burn_up(calls: dict[int, int], now: datetime, quota: Quota) -> BurnUp:
    """Compute the burn-up; `calls` by epoch day. Pure."""
    first = int(datetime(now.year, 1, 1, tzinfo=UTC).timestamp() // 86_400)
    days = int(datetime(now.year + 1, 1, 1, tzinfo=UTC).timestamp() // 86_400) - first
    today = int(now.timestamp() // 86_400) - first
    points, total = [(0, 0)], 0
    for day in range(today + 1):
        if count := calls.get(first + day, 0):
            if points[-1][0] < day:
                points.append((day, total))
            total += count
            points.append((day + 1, total))
    # calls since the last full second are only in the year's sum
    points = [*(point for point in points if point[0] <= today), (today + 1, max(total, quota.used))]
    return BurnUp(tuple(points), quota.used, quota.allowed, quota.forecast, days)
