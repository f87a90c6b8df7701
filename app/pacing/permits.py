"""The permits of an account that one process holds: how many are in use, will be needed, and are to be asked for. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

from app.pacing.asking import TICK_SECONDS

PERMIT_LIFE_SECONDS = 10.0  # a holder renews well before; a dead one must not keep its permits for long
RENEW_SECONDS = PERMIT_LIFE_SECONDS / 3
AT_FIRST = 4  # the account's assumed limit until Redis says
SPARE = 1  # calls do not all take the same time
TIGHT_SECONDS = 5.0  # after somebody was short, hold no more than are needed on average for this long
KEPT_SECONDS = 1.0  # how long unused permits are kept while nobody is short; else most ticks would have to ask
KEPT_SHARE = 0.9  # weight of the known mean call time when a call ends


def permits_needed(begun: Iterable[float], starts: Iterable[float], call_seconds: float, *, now: float) -> int:
    """Return the most calls in flight at any time, of those that have `begun` and the `starts` to come (both ascending).

    A call that has already taken longer than `call_seconds` (0: unknown) is assumed to go on.
    """
    takes = call_seconds or math.inf
    ends = deque(at + takes for at in begun)
    overdue = 0
    while ends and ends[0] <= now:
        ends.popleft()
        overdue += 1
    most = len(ends)
    for start in starts:
        while ends and ends[0] <= start:
            ends.popleft()
        ends.append(max(start, now) + takes)
        most = max(most, len(ends))
    return overdue + most


def starts_worth_having(
    begun: Iterable[float],
    starts: Iterable[float],
    call_seconds: float,
    *,
    permits: int,
    used_share: float,
    now: float,
) -> int:
    """Return how many of the `starts` to take, so that the last one, and at least `used_share` of all, find a free permit."""
    ends = deque(max(at + call_seconds, now) for at in begun)
    used = worth = 0
    for number, start in enumerate(starts, 1):
        while ends and ends[0] <= start:
            ends.popleft()
        if len(ends) < permits:
            ends.append(max(start, now) + call_seconds)
            used += 1
            if used >= used_share * number:
                worth = number
    return worth


class Permits:
    """The permits of one account in this process. All times are those of time.monotonic().

    `limit`: how many the account has. `call_seconds`: how long a call lately takes (0: unknown). `short`: fewer were given
      than asked for.
    """

    def __init__(self) -> None:
        self._begun: deque[float] = deque()
        self._held = 0
        self._leased_at = 0.0
        self._tight_until = 0.0
        self.limit = AT_FIRST
        self.call_seconds = 0.0
        self.short = False

    @property
    def in_use(self) -> int:
        return len(self._begun)

    @property
    def begun(self) -> Sequence[float]:
        """When the calls in flight began; ascending."""
        return self._begun

    @property
    def free(self) -> bool:
        return len(self._begun) < self._held

    @property
    def renew_at(self) -> float:
        """When the permits in use have to be renewed."""
        return self._leased_at + RENEW_SECONDS

    # -- calls ---------------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """Note that a call begins with a free permit."""
        self._begun.append(now)

    def end(self, seconds: float | None) -> None:
        """Note that a call has ended. `seconds`: its duration, or None if it says nothing about how long calls take."""
        self._begun.popleft()
        if seconds is not None:
            known = self.call_seconds
            self.call_seconds = KEPT_SHARE * known + (1 - KEPT_SHARE) * seconds if known else seconds

    # -- asking for them -----------------------------------------------------------------------------------------------

    def to_lease(self, starts: Sequence[float], usable: int, now: float) -> int | None:
        """Return how many permits to ask for, enough for the `starts` that come soon and not many more; None: no need to ask.

        `usable`: starts that could be used within a tick if there were permits for them (`Demand.usable`). Until the answer
          is `granted`, no more permits are used than now.
        """
        needed = self._needed(starts, usable, now)
        if not self._asks(needed, now):
            return None
        self._held = self.in_use  # the number reported as in use must stay true until the answer comes
        return needed

    def granted(self, held: int, limit: int, *, wanted: int, now: float) -> None:
        """Take the answer to a question asked at `now` for `wanted` permits.

        `held`: the permits held. `limit`: those of the account.
        """
        self._held, self.limit = held, limit
        self._leased_at = now
        self.short = held < wanted

    def learn_of_shortage(self, now: float) -> None:
        """Hold no more permits than calls need on average, because somebody else is short of them."""
        self._tight_until = now + TIGHT_SECONDS

    def give_back(self) -> None:
        """Hold nothing from now on; the account has to be told."""
        self._held = 0

    def to_reckon_with(self, now: float) -> int:
        """Return how many permits can be counted on for the starts to come."""
        if self._tight(now):
            return max(self._held, 0 if self.short else 1)
        return self.limit

    def _needed(self, starts: Sequence[float], usable: int, now: float) -> int:
        if self._tight(now):
            calls = self.in_use + usable
            if usable and self.call_seconds:
                average = calls * self.call_seconds / (self.call_seconds + TICK_SECONDS)
                return max(self.in_use, math.ceil(average) + SPARE)
            return calls
        return permits_needed(self._begun, starts, self.call_seconds, now=now) + (SPARE if starts else 0)

    def _tight(self, now: float) -> bool:
        return self.short or now < self._tight_until

    def _asks(self, needed: int, now: float) -> bool:
        if not (needed or self._held):
            return False
        if needed > self._held or self.short or now > self.renew_at:
            return True
        return needed < self._held and (self._tight(now) or now - self._leased_at > KEPT_SECONDS)
