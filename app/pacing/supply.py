"""The starts and permits that a gate holds of its account, and the round trips for more.

`schedule.py` and `permits.py` keep what is in hand; `asking.py` decides when to ask, `demand.py` for how much.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.pacing.asking import TICK_SECONDS, Asking, Command, Needs
from app.pacing.demand import HandedOut, Situation, bound_by, demand_of, rate_is_far
from app.pacing.permits import Permits
from app.pacing.schedule import Schedule

if TYPE_CHECKING:
    from app.errors import Throttle
    from app.pacing.account import AccountPace
    from app.pacing.demand import Demand
    from app.pacing.place import Called
    from app.pacing.starts import Starts
    from app.round_trips import RoundTrips


class Supply:
    """The starts and permits of one gate.

    Methods that ask Redis raise redis-py's errors, and keep what they could not report.
    """

    def __init__(self, account: AccountPace, trips: RoundTrips) -> None:
        self._account = account
        self._trips = trips
        self._asking = Asking()
        self._schedule = Schedule()
        self._permits = Permits()
        self._observed: Counter[str] = Counter()

    # -- calls ---------------------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many calls have not ended."""
        return self._permits.in_use

    @property
    def has_permit(self) -> bool:
        """Whether a permit is free for another call."""
        return self._permits.free

    @property
    def first_start(self) -> float | None:
        """When the next call may begin (time.monotonic()), as far as starts go; None if there is no start."""
        return self._schedule.first

    def is_due(self) -> bool:
        """Return whether there is a start for a call now; gives up missed starts."""
        return self._schedule.is_due(time.monotonic())

    def drop_late(self) -> None:
        """Give up missed starts."""
        self._schedule.drop_late(time.monotonic())

    def begin_call(self) -> float:
        """Use a permit and the start that is due. Returns the moment after which the call must not begin."""
        self._permits.begin(time.monotonic())
        return self._schedule.take()

    def end_call(self, called: Called | None, *, held_up: bool) -> None:
        """Note that a call has ended; None: it was not made after all. `held_up`: no other call could begin until now."""
        if held_up and self._rate_is_far:
            self._schedule.put_off(time.monotonic())
        self._permits.end(called.seconds if called is not None and called.let_through else None)
        if called is None:
            self._schedule.came_to_nothing(1)
        elif called.let_through:
            self._observed["accepted"] += 1
            self._observed["call_us"] += int(called.seconds * 1e6)

    # -- when to ask ---------------------------------------------------------------------------------------------------

    def next_command(self, *, waits: bool) -> Command:
        """Return what the gate does next. `waits`: lanes wait."""
        if not waits:
            self.drop_late()
        needs = Needs(
            waits=waits,
            in_flight=self.in_flight > 0,
            tells=bool(self._observed or self._schedule.unused),
            renew_at=self._permits.renew_at,
        )
        return self._asking.next_command(needs, time.monotonic())

    def newcomer(self) -> None:
        """Ask soon, because a destination has come for which there is no start."""
        self._asking.newcomer()

    def close(self) -> None:
        """Keep nothing that others could use: the process is ending."""
        self._asking.close()

    def failed(self) -> None:
        """Note that no answer came."""
        self._asking.failed(time.monotonic())
        if self._asking.is_closing:  # closing does not wait until Redis is back
            self._schedule.take_unused()
            self._observed.clear()

    # -- round trips ---------------------------------------------------------------------------------------------------

    async def ask(self, *, live: int, backfill: int, free_slots: int, hand_out: Callable[[], None]) -> Starts:
        """Ask for starts and permits for the waiting calls, `live` and `backfill`.

        `free_slots`: how many the process has for them.

        `hand_out` begins all calls that the answer allows; what is left then shows what holds up the others.
        """
        waiting = live + backfill
        now = time.monotonic()
        demand = demand_of(Situation.of(self._schedule, self._permits, waiting=waiting, free_slots=free_slots, now=now))
        # if permits are short, how many to ask for is known before the starts come
        leases = [asyncio.ensure_future(self._lease((), demand.usable))] if self._permits.short else []
        try:
            starts = await self._ask_for_starts(demand.wanted, live=live > 0)
        finally:
            leased = await asyncio.gather(*leases, return_exceptions=True)
        heard_at = time.monotonic()
        for error in leased:
            if error is not None:
                raise error
        if starts.scarce:
            self._permits.learn_of_shortage(heard_at)
        if not leases:
            await self._lease(self._schedule.before(heard_at + TICK_SECONDS), demand.usable)
        hand_out()
        self._schedule.used(starts, time.monotonic())
        if waiting:
            self._observe(demand, starts)
        self._asking.answered(heard_at, waits=waiting > 0, given=starts.count, wait_seconds=starts.wait_seconds)
        if starts.is_pause:
            self.pause(starts.wait_seconds)
        return starts

    async def refused(self, kind: Throttle, wait_seconds: float | None) -> float:
        """Make the account wait after a refusal; returns for how many seconds."""
        seconds = await self._trips.run(self._account.back_off(kind, wait_seconds))
        self.pause(seconds)
        return seconds

    async def give_back(self) -> None:
        """Give back everything."""
        self._permits.give_back()
        await asyncio.gather(*map(self._trips.run, self._account.leave()))

    async def _ask_for_starts(self, wanted: int, *, live: bool) -> Starts:
        question = self._asking.begin(time.monotonic(), live=live)
        unused, observed = self._schedule.take_unused(), Counter[str]()
        if question.tells:
            observed, self._observed = self._observed, observed
        lead_seconds = self._schedule.delay_seconds
        asked = self._account.ask(
            wanted,
            backfill=not live,
            urgent=question.urgent,
            unused=unused,
            observed=observed,
            lead_seconds=lead_seconds,
        )
        try:
            starts = await self._trips.run(asked)
        except RedisError:
            self._schedule.came_to_nothing(unused)
            self._observed += observed
            raise
        if observed["accepted"]:
            self._asking.told_accepted()
        self._schedule.learn(starts, wanted=wanted, lead_seconds=lead_seconds)
        if self._asking.is_paused(time.monotonic()):  # a refusal was reported meanwhile
            self._schedule.came_to_nothing(starts.count)
        else:
            self._schedule.add(starts)
        return starts

    async def _lease(self, starts: Sequence[float], usable: int) -> None:
        """Get permits for the `starts` that come soon, and not many more."""
        now = time.monotonic()
        wanted = self._permits.to_lease(starts, usable, now)
        if wanted is not None:
            held, limit = await self._trips.run(self._account.lease(wanted, in_use=self._permits.in_use))
            self._permits.granted(held, limit, wanted=wanted, now=now)

    # -- what answers change -------------------------------------------------------------------------------------------

    @property
    def _rate_is_far(self) -> bool:
        return rate_is_far(self._permits.limit, self._schedule.interval_seconds, self._permits.call_seconds)

    def _observe(self, demand: Demand, starts: Starts) -> None:
        handed_out = HandedOut(
            why=starts.why,
            short=self._permits.short,
            starts_left=self._schedule.first is not None,
            rate_is_far=self._rate_is_far,
            ahead_seconds=self._schedule.ahead_seconds,
        )
        bound = bound_by(demand, handed_out)
        if bound is not None:
            self._observed[bound] += 1

    def pause(self, seconds: float) -> None:
        self._asking.paused(seconds, time.monotonic())
        self._schedule.clear()
