"""The permits of an account that one process holds: how many are in use, how many will be, and asking for them."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from app.pacing.account import PERMIT_LIFE_SECONDS, TICK_SECONDS

if TYPE_CHECKING:
    from app.pacing.account import AccountPace
    from app.round_trips import RoundTrips

RENEW_SECONDS = PERMIT_LIFE_SECONDS / 3
AT_FIRST = 4  # taken for the most that there are until it was asked
SPARE = 1  # calls do not take the same time each
TIGHT_SECONDS = 5.0  # after somebody of the account was short
KEPT_SECONDS = 1.0  # permits without use, while nobody is short: or most ticks would have to ask


def permits_needed(begun: Iterable[float], starts: Iterable[float], call_seconds: float, *, now: float) -> int:
    """The most calls in flight at one time: those that have `begun`, and those of the `starts` to come (both ascending).

    A call that has taken longer than `call_seconds` (0: not known) already is taken to go on.
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
    """How many of the `starts` to take: the last finds a permit free, and so do at least `used_share` of all."""
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
    """The permits of one account in this process. For coroutines of its event loop alone."""

    def __init__(self, account: AccountPace, trips: RoundTrips) -> None:
        self._account = account
        self._trips = trips
        self._begun: deque[float] = deque()
        self._held = 0
        self._leased_at = 0.0
        self.limit = AT_FIRST  # of the account
        self.call_seconds = 0.0  # a call takes so long, lately
        self.short = False  # fewer were given than were asked for
        self._tight_until = 0.0

    @property
    def in_use(self) -> int:
        return len(self._begun)

    @property
    def free(self) -> bool:
        return len(self._begun) < self._held

    @property
    def renew_at(self) -> float:
        """When those in use have to be asked for again."""
        return self._leased_at + RENEW_SECONDS

    def begin(self) -> None:
        """A call begins, with a permit that is free."""
        self._begun.append(time.monotonic())

    def end(self, seconds: float | None) -> None:
        """A call has ended; `seconds` of one that is like others."""
        self._begun.popleft()
        if seconds is not None:
            self.call_seconds = 0.9 * self.call_seconds + 0.1 * seconds if self.call_seconds else seconds

    def worth_having(self, starts: Sequence[float], *, used_share: float) -> int:
        """See `starts_worth_having`; `starts` are ascending."""
        now = time.monotonic()
        permits = max(self._held, 0 if self.short else 1) if self._tight(now) else self.limit
        return starts_worth_having(
            self._begun, starts, self.call_seconds, permits=permits, used_share=used_share, now=now
        )

    async def lease(self, starts: Sequence[float], demand: int) -> None:
        """See to it that there are permits for the `starts` that come soon, and not many more. Raises redis-py's errors.

        `demand`: how many starts could be used within a tick if there were permits for them.
        """
        now, in_use = time.monotonic(), self.in_use
        needed = self._needed(starts, demand, now)
        if not self._asks(needed, now):
            return
        self._held = in_use  # what is said to be in use must not grow until the answer is there
        self._held, self.limit = await self._trips.run(self._account.lease(needed, in_use=in_use))
        self._leased_at = now
        self.short = self._held < needed

    def learn_of_shortage(self) -> None:
        """Somebody of the account is short of permits: only as many are held as calls take on average."""
        self._tight_until = time.monotonic() + TIGHT_SECONDS

    def _needed(self, starts: Sequence[float], demand: int, now: float) -> int:
        if self._tight(now):
            calls = self.in_use + demand
            if demand and self.call_seconds:
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

    def give_back(self) -> None:
        """Nothing is held from now on; the account is to be told."""
        self._held = 0
