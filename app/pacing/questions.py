"""What a gate asks its account, and what it tells of its calls: the round trips, and what their answers change."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.pacing.asking import TICK_SECONDS
from app.pacing.demand import Demand, Situation, bound_by, demand, rate_is_far

if TYPE_CHECKING:
    from app.errors import Throttle
    from app.pacing.account import AccountPace, Starts
    from app.pacing.asking import Asking
    from app.pacing.permits import Permits
    from app.pacing.schedule import Schedule
    from app.round_trips import RoundTrips


@dataclass(frozen=True, slots=True)
class Answer:
    """So many calls waited when it was asked; starts and permits are there since `heard_at`, of time.monotonic()."""

    waiting: int
    demand: Demand
    starts: Starts
    heard_at: float


class Questions:
    """Of one gate, about its account. What is asked raises redis-py's errors; what could not be told then is kept."""

    def __init__(
        self, account: AccountPace, trips: RoundTrips, *, asking: Asking, schedule: Schedule, permits: Permits
    ) -> None:
        self._account = account
        self._trips = trips
        self._asking = asking
        self._schedule = schedule
        self._permits = permits
        self._observed: Counter[str] = Counter()

    @property
    def rate_is_far(self) -> bool:
        """See `demand.rate_is_far`."""
        return rate_is_far(self._permits.limit, self._schedule.interval_seconds, self._permits.call_seconds)

    # -- what there is to tell -----------------------------------------------------------------------------------------

    @property
    def tells(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._observed or self._schedule.unused)

    def accepted(self, seconds: float) -> None:
        """A call was accepted, and took so long."""
        self._observed["accepted"] += 1
        self._observed["call_us"] += int(seconds * 1e6)

    def tell_nothing(self) -> None:
        """Forget what there is to tell."""
        self._schedule.take_unused()
        self._observed.clear()

    # -- round trips ---------------------------------------------------------------------------------------------------

    async def ask(self, *, live: int, backfill: int, free_slots: int) -> Answer:
        """Ask for starts and permits, for so many calls that wait, while the process has so many slots for them."""
        waiting = live + backfill
        now = time.monotonic()
        wants = demand(Situation.of(self._schedule, self._permits, waiting=waiting, free_slots=free_slots, now=now))
        # where permits bind, it is known before starts are there how many to ask for
        leases = [asyncio.ensure_future(self._lease((), wants.usable))] if self._permits.short else []
        try:
            starts = await self._starts(wants.wanted, live=live > 0)
        finally:
            leased = await asyncio.gather(*leases, return_exceptions=True)
        heard_at = time.monotonic()
        for error in leased:
            if error is not None:
                raise error
        if starts.scarce:
            self._permits.learn_of_shortage(heard_at)
        if not leases:
            await self._lease(self._schedule.before(heard_at + TICK_SECONDS), wants.usable)
        return Answer(waiting, wants, starts, heard_at)

    async def _starts(self, wanted: int, *, live: bool) -> Starts:
        question = self._asking.begin(time.monotonic(), live=live)
        unused, observed = self._schedule.take_unused(), Counter[str]()
        if question.tells:
            observed, self._observed = self._observed, observed
        lead_seconds = self._schedule.delay_seconds
        asked = self._account.ask(
            wanted, backfill=not live, urgent=question.urgent, unused=unused, observed=observed, lead_seconds=lead_seconds
        )  # fmt: skip
        try:
            starts = await self._trips.run(asked)
        except RedisError:
            self._schedule.unused += unused
            self._observed += observed
            raise
        if observed["accepted"]:
            self._asking.told_accepted()
        self._schedule.learn(starts, wanted=wanted, lead_seconds=lead_seconds)
        if self._asking.is_paused(time.monotonic()):  # a refusal was told meanwhile
            self._schedule.unused += starts.count
        else:
            self._schedule.add(starts)
        return starts

    async def _lease(self, starts: Sequence[float], usable: int) -> None:
        """See to it that there are permits for the `starts` that come soon, and not many more."""
        now = time.monotonic()
        wanted = self._permits.to_lease(starts, usable, now)
        if wanted is not None:
            held, limit = await self._trips.run(self._account.lease(wanted, in_use=self._permits.in_use))
            self._permits.granted(held, limit, wanted=wanted, now=now)

    def handed_out(self, answer: Answer) -> None:
        """All calls that can begin after an answer have begun: what is seen by that."""
        schedule, permits, starts = self._schedule, self._permits, answer.starts
        schedule.used(starts, time.monotonic())
        if not answer.waiting:
            return
        bound = bound_by(
            starts.why,
            cut=answer.demand.cut,
            short=permits.short,
            starts_left=len(schedule) > 0,
            far=self.rate_is_far,
            ahead_seconds=schedule.ahead_seconds,
            paced=answer.demand.paced,
        )
        if bound:
            self._observed[bound] += 1

    async def refused(self, kind: Throttle, wait_seconds: float | None) -> float:
        """The account asks to be left alone; for how many seconds it will be."""
        return await self._trips.run(self._account.back_off(kind, wait_seconds))

    async def give_back(self) -> None:
        """Hold nothing any more."""
        self._permits.give_back()
        await asyncio.gather(*map(self._trips.run, self._account.leave()))

    def look(self) -> None:
        """Have the pace learned; blocks."""
        self._account.learn()
