"""What all processes saw of an account since its pace was last learned. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

IDLE_AFTER_SECONDS: Final = 2.0  # what is beyond this was idle, and tells nothing of the rate


@dataclass(frozen=True, slots=True)
class Observations:
    """`seconds` passed, of which the account was left alone for `waited_seconds` after a refusal. `throttled` calls were refused for
    the rate, `crowded` for too many at once. `call_seconds` is the mean of the accepted (0: none). `rate_bound` and `permits_bound`
    tell whether calls waited for a start, or for a permit.
    """

    seconds: float
    waited_seconds: float = 0.0
    accepted: int = 0
    throttled: int = 0
    crowded: int = 0
    call_seconds: float = 0.0
    rate_bound: bool = False
    permits_bound: bool = False

    @property
    def active_seconds(self) -> float:
        return max(0.0, self.seconds - self.waited_seconds)

    @classmethod
    def of(
        cls, counts: Mapping[str, int], *, waits_since_us: float, waits_until_us: float, now_us: int
    ) -> Observations:
        """From what was counted since the first report (`since`), and when the account's last wait began and ends."""
        begun_us = counts.get("since", now_us)
        waited = max(0.0, min(now_us, waits_until_us) - max(begun_us, waits_since_us)) / 1e6
        active = min(IDLE_AFTER_SECONDS, max(0.0, (now_us - begun_us) / 1e6 - waited))
        accepted = counts.get("accepted", 0)
        return cls(
            seconds=active + waited,
            waited_seconds=waited,
            accepted=accepted,
            throttled=counts.get("throttled", 0),
            crowded=counts.get("crowded", 0),
            call_seconds=counts.get("call_us", 0) / 1e6 / accepted if accepted else 0.0,
            rate_bound=counts.get("rate_bound", 0) > 0,
            permits_bound=counts.get("permits_bound", 0) > 0,
        )
