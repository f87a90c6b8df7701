"""What all processes observed of an account since its pace was last learned. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

IDLE_AFTER_SECONDS: Final = 2.0  # time beyond this was idle and says nothing about the rate


@dataclass(frozen=True, slots=True)
class Observations:
    """What was observed in the last `seconds`.

    `waited_seconds`: how long the account was left alone after a refusal. `throttled`: calls refused for the rate;
      `crowded`: for too many at once. `call_seconds`: mean time of accepted calls (0: none). `rate_bound`, `permits_bound`:
      calls waited for a start, or for a permit.
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
        """Build from the counts since the first report (`since`), and the begin and end of the account's last wait."""
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
