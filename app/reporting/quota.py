"""An account's calls this year, by Redis's clock, against what the contract allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.keys import AccountKeys

if TYPE_CHECKING:
    from redis import Redis

RECENT_DAYS = 7
MORE_CALLS = (
    "Ask Salesforce for more calls, then raise limits.calls_per_year in the file and `activation connect` it "
    "(`--limits-of-account` for all destinations of the account)."
)


@dataclass(frozen=True, slots=True)
class Quota:
    """An account's calls this year.

    `forecast`: the year's calls if the rest of it continues like the last seven days. `stops`: no call is made beyond what
      is allowed.
    """

    used: int
    allowed: int
    forecast: int
    stops: bool = False

    @property
    def share(self) -> float:
        return self.used / self.allowed

    @property
    def standstill(self) -> str:
        """Why delivery stands still, until the year ends or somebody follows `MORE_CALLS`; '' while it does not."""
        if not self.stops or self.used < self.allowed:
            return ""
        return (
            f"All {self.allowed:,} calls of this year are used and limits.stop_at_yearly_quota is set: "
            "delivery stands still until the year ends (UTC)."
        )


def read_quota(redis: Redis, account: str, *, calls_per_year: int, stops: bool = False) -> Quota:
    """Return an account's quota. `stops`: the limit stop_at_yearly_quota. Only reads."""
    keys = AccountKeys(account)
    raw: Any = redis.hgetall(keys.calls)
    last_second: Any = redis.hget(keys.pace, "calls")
    counts = {name.decode(): int(count) for name, count in raw.items()}
    days = {int(name): count for name, count in counts.items() if name.isdecimal()}
    reply: Any = redis.time()
    now = datetime.fromtimestamp(reply[0], UTC)
    today = int(now.timestamp() // 86_400)
    used = counts.get(f"y{now.year}", 0) + int(last_second or 0)
    recent = sum(count for day, count in days.items() if day > today - RECENT_DAYS)
    # an account that began this week is judged by its days so far
    observed = min(RECENT_DAYS, today - min(days, default=today) + 1)
    days_left = (datetime(now.year + 1, 1, 1, tzinfo=UTC) - now).total_seconds() / 86_400
    return Quota(used=used, allowed=calls_per_year, forecast=int(used + recent / observed * days_left), stops=stops)
