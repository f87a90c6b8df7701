"""The one place of a worker process that asks Redis for starts and permits of an account, for all of its lanes.

A lane says how many calls it would make (`want`); when its turn has come, it makes one (`Place.call`), which holds a permit until it
ends. The gate asks for the next tenth of a second, while anybody waits; what comes free meanwhile is handed on at once. When the
account has to be left alone, the lanes that wait are told for how long (`Place.hold`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.errors import Throttle
from app.event_loop import EVENT_LOOP, Signal
from app.logs import say_once
from app.pacing.account import TICK_SECONDS
from app.pacing.line import Line
from app.pacing.permits import Permits
from app.pacing.place import Held, Place

if TYPE_CHECKING:
    from app.pacing.account import AccountPace, Starts
    from app.pacing.room import Room
    from app.round_trips import RoundTrips


SOON_SECONDS = 0.02  # for a destination that has just come
REPORT_SECONDS = 1.0  # what was observed is told so often, and at once where calls are made singly
# An account that has to be left alone is asked for again so often: an operator may have ended the wait
HOLD_SECONDS = 5.0
RETRY_SECONDS = 1.0  # while Redis is away
IDLE_SECONDS = 2.0  # so long after the last call it asks for nothing more
# A start that is missed by more than this share of the seconds between two is given up: a busy machine makes fewer calls and never a
# bunch of them. One that comes together with the next uses up what an account lets pass as a burst of two, and it stays used up, as
# the pace is only a little below what is allowed.
LATEST_START, MOST_LATE_SECONDS, LEAST_LATE_SECONDS = 0.75, 0.1, 0.015
# A slow Redis must not make every start too late: none is asked for that lies nearer than answers take
MOST_DELAY_SECONDS, DELAY_KEPT = 0.5, 0.9
STARTS_AT_FIRST = 4  # until it is known how long a call takes
FAR_SHARE = 0.5  # of the rate, which permits let through at the most
# Where the schedule is given out so far ahead, a start without a permit is one that others lack
FULL_SECONDS = TICK_SECONDS / 3
SPARE_STARTS = 2  # calls do not end evenly

log = logging.getLogger(__name__)


def late_seconds(interval_seconds: float) -> float:
    """By how much a call may begin too late where starts are so far apart."""
    return min(MOST_LATE_SECONDS, max(LEAST_LATE_SECONDS, LATEST_START * interval_seconds))


class Gate:
    """The gate of one account in this process. For coroutines of its event loop alone."""

    def __init__(self, account: AccountPace, room: Room, trips: RoundTrips) -> None:
        self._account = account
        self._room = room
        self._trips = trips
        self._changed = Signal()
        self._line: Line[Place] = Line()
        self._starts: deque[float] = deque()
        self._next_start: asyncio.TimerHandle | None = None
        self._interval_seconds = 0.0
        self._late_seconds = MOST_LATE_SECONDS
        self._delay_seconds = 0.0  # from an answer of Redis until its starts can be used, lately
        self._ahead_seconds = 0.0  # so far the schedule of starts was given out, when last asked
        self._permits = Permits(account, trips)
        self._unused = 0
        self._observed: Counter[str] = Counter()
        self._ask_at = self._asked_at = 0.0
        self._urgent = False  # a destination has come for which there is no start
        self._held_until = 0.0
        self._careful = False  # after a refusal, until a call was accepted and told
        self._report_at = 0.0
        self._closing = False
        self._asking: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()  # a task that nobody holds may be gone before its end

    # -- for lanes -----------------------------------------------------------------------------------------------------

    def want(self, place: Place, count: int, *, backfill: bool) -> None:
        """How many calls a lane would start now, beyond those that it was admitted for."""
        waited, of_its = bool(self._line), self._line.waits(place.destination_id)
        if not waited:
            self._drop_late()
        self._line.want(place, place.destination_id, count, backfill=backfill)
        if not self._line:
            self._room.leave(self)
            return
        self.hand_out()
        if not of_its and not self._starts and self._line.waits(place.destination_id):
            self._urgent, waited = True, False
            self._ask_at = min(self._ask_at, self._asked_at + SOON_SECONDS)
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._run())
        elif not waited and self._line:
            self._changed.set()

    async def refused(self, kind: Throttle, wait_seconds: float | None) -> float:
        """The account asks to be left alone; for how many seconds it will be. Raises redis-py's errors."""
        seconds = await self._trips.run(self._account.back_off(kind, wait_seconds))
        self._hold(seconds)
        return seconds

    def leave(self, place: Place) -> None:
        """The lane wants nothing more. A call that it has the turn for may still come."""
        self._line.want(place, place.destination_id, 0, backfill=False)
        if not self._line:
            self._room.leave(self)

    def close(self) -> None:
        """Give the permits back as soon as no call is in flight: others need not wait until they end by themselves."""
        self._closing = True
        self._changed.set()

    async def rest(self) -> None:
        """Wait until there is nothing left to tell: soon after `close` and the last call, else after a while without calls."""
        while (asking := self._asking) is not None:
            await asyncio.wait({asking})

    # -- inside --------------------------------------------------------------------------------------------------------

    def _hold(self, seconds: float) -> None:
        self._careful = True
        self._held_until = time.monotonic() + min(seconds, HOLD_SECONDS)
        self._unused += len(self._starts)
        self._starts.clear()
        self._room.leave(self)

    def hand_out(self) -> None:
        """Give starts whose time has come to those whose turn it is, as far as permits go; and again at the time of the next."""
        loop = asyncio.get_running_loop()  # its time is that of time.monotonic()
        while (turn := self._next_turn()) is not None:
            call = loop.create_task(self._call(*turn))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        if self._next_start is not None:
            self._next_start.cancel()
            self._next_start = None
        if not (self._starts and self._line and self._permits.free):
            self._room.leave(self)
            return
        self._room.come(self)
        if self._room.has_slot(self):
            self._next_start = loop.call_at(self._starts[0], self.hand_out)
        else:
            self._room.wait(self)

    def _next_turn(self) -> tuple[Place, float] | None:
        """Who may call now, and not after which moment; None when nobody may yet."""
        if not self._may_hand_out:
            return None
        self._drop_late()
        if not self._starts or self._starts[0] > time.monotonic():
            return None
        place = self._line.next()
        if place is None:
            return None
        self._permits.begin()
        self._room.take()
        return place, self._starts.popleft() + self._late_seconds

    def _drop_late(self) -> None:
        late = time.monotonic() - self._late_seconds
        while self._starts and self._starts[0] < late:
            self._starts.popleft()
            self._unused += 1

    async def _call(self, place: Place, latest: float) -> None:
        """Let a lane make a call, and hand on what is free by its end."""
        try:
            called = await place.call(latest)
        except Exception:
            log.exception("A call ended in an error that nobody foresaw.")
            called = None
        if not self._may_hand_out and self._rate_is_far:
            self._put_off()
        self._permits.end(called.seconds if called is not None and called.accepted else None)
        if called is None:
            self._unused += 1
        elif called.accepted:
            self._observed["accepted"] += 1
            self._observed["call_us"] += int(called.seconds * 1e6)
        self._room.give_back(self)

    @property
    def in_flight(self) -> int:
        """How many calls have not ended."""
        return self._permits.in_use

    def _put_off(self) -> None:
        """Starts whose time came while all permits were in use come now, as far apart as they were, or calls would go in step with
        the questions to Redis.
        """
        if self._starts and (seconds := time.monotonic() - self._starts[0]) > 0:
            self._starts = deque(start + seconds for start in self._starts)

    @property
    def _rate_is_far(self) -> bool:
        """Whether permits hold calls up long before the rate does: else a start that comes later is at the time of another's."""
        return self._permits.limit * self._interval_seconds < FAR_SHARE * self._permits.call_seconds

    @property
    def _may_hand_out(self) -> bool:
        return self._permits.free and self._room.has_slot(self)

    async def _run(self) -> None:
        try:
            while await self._wait():
                try:
                    await self._ask()
                except RedisError as error:
                    say_once(log, "gate", "Starts cannot be asked for: %s. Lanes wait.", type(error).__name__)
                    self._ask_at = time.monotonic() + RETRY_SECONDS
                    if self._closing:
                        self._unused = 0
                        self._observed.clear()
        except Exception:
            log.exception("A gate ended in an error that nobody foresaw; the next call makes a new one.")
        self._asking = None

    async def _wait(self) -> bool:
        """Wait until there is something to ask. False when nothing was for a while: then the gate rests."""
        idle_since = time.monotonic()
        while True:
            now = time.monotonic()
            if self._line or self._permits.in_use:
                idle_since = now
            if not self._line:
                self._drop_late()
            due = max(self._ask_at, self._held_until) if self._line else self._next_report_at()
            if due is not None and due <= now:
                return True
            linger = 0.0 if self._closing else IDLE_SECONDS
            if due is None and now - idle_since >= linger:
                break
            if self._permits.in_use:  # there may be something to tell by then: the end of a call sets no signal
                due = min(due or now + REPORT_SECONDS, now + REPORT_SECONDS)
            await self._changed.wait((due or idle_since + linger) - now)
        self._permits.give_back()
        with suppress(RedisError):  # permits end by themselves
            await asyncio.gather(*map(self._trips.run, self._account.leave()))
        return bool(self._line)

    def _next_report_at(self) -> float | None:
        """When nobody waits: what was observed is told within a second, permits in use are renewed. None: nothing to tell."""
        due = []
        if self._observed or self._unused:
            due.append(0.0 if self._closing else self._report_at)
        if self._permits.in_use:
            due.append(self._permits.renew_at)
        return max(self._ask_at, min(due)) if due else None

    async def _ask(self) -> None:
        live = self._line.live
        waiting = live + self._line.backfill
        demand = self._demand(waiting)
        wanted = self._useful(demand)
        cut = len(self._starts) + wanted < demand
        urgent, self._urgent = self._urgent and live > 0, False
        self._asked_at = time.monotonic()
        unused, self._unused = self._unused, 0
        observed: Counter[str] = Counter()
        if self._careful or self._closing or time.monotonic() >= self._report_at:
            observed, self._observed = self._observed, observed
            self._report_at = time.monotonic() + REPORT_SECONDS
        lead_seconds = self._delay_seconds
        asked = self._account.ask(
            wanted, backfill=not live, urgent=urgent, unused=unused, observed=observed, lead_seconds=lead_seconds
        )
        # where permits bind, it is known before starts are there how many to ask for
        leases = [asyncio.ensure_future(self._permits.lease((), demand))] if self._permits.short else []
        try:
            starts = await self._trips.run(asked)
        except RedisError:
            self._unused += unused
            self._observed += observed
            raise
        finally:
            leased = await asyncio.gather(*leases, return_exceptions=True)
        now = time.monotonic()
        self._interval_seconds = starts.interval_seconds
        if wanted:
            self._ahead_seconds = starts.first_seconds - lead_seconds
        self._late_seconds = late_seconds(starts.interval_seconds)
        first = starts.answered_at + starts.first_seconds
        if self._starts:
            first = max(first, self._starts[-1] + starts.interval_seconds)
        if now < self._held_until:  # a refusal was told meanwhile
            self._unused += starts.count
        else:
            self._starts.extend(first + number * starts.interval_seconds for number in range(starts.count))
        for error in leased:
            if error is not None:
                raise error
        if starts.scarce:
            self._permits.learn_of_shortage()
        if not leases:
            await self._permits.lease([start for start in self._starts if start < now + TICK_SECONDS], demand)
        self.hand_out()
        delay_seconds = min(MOST_DELAY_SECONDS, time.monotonic() - starts.answered_at)
        self._delay_seconds = max(delay_seconds, DELAY_KEPT * self._delay_seconds)
        if waiting and (bound := self._bound_by(starts, cut=cut)):
            self._observed[bound] += 1
        if observed["accepted"]:
            self._careful = False
        if starts.why in ("throttled", "quota"):
            self._hold(starts.wait_seconds)
            for place in self._line.places():
                place.hold(Held(starts.wait_seconds, starts.why))
        if self._urgent:  # by who has come since
            self._ask_at = now + SOON_SECONDS
        elif waiting:
            self._ask_at = now + max(TICK_SECONDS, 0.0 if starts.count else min(starts.wait_seconds, HOLD_SECONDS))
        if starts.look:
            await EVENT_LOOP.in_thread(self._account.look)

    def _bound_by(self, starts: Starts, *, cut: bool) -> str:
        """What calls that wait are waiting for; `cut`: fewer starts were asked for than they would use, for want of permits."""
        full = self._ahead_seconds >= FULL_SECONDS
        if self._permits.short and (self._starts if self._rate_is_far else cut and not full):
            return "permits_bound"
        return "rate_bound" if starts.why == "rate" or (cut and full) else ""

    def _demand(self, waiting: int) -> int:
        """How many starts could be used within a tick if permits went as far as they do for the account."""
        permits = self._permits
        if not permits.call_seconds:
            return min(waiting, STARTS_AT_FIRST)
        limit = min(permits.limit, permits.in_use + self._room.free)
        most = math.ceil(limit * (1 + TICK_SECONDS / permits.call_seconds)) + SPARE_STARTS - permits.in_use
        if self._interval_seconds:
            most = min(most, math.ceil(TICK_SECONDS / self._interval_seconds) + 2)
        return max(0, min(waiting, most))

    def _useful(self, demand: int) -> int:
        """How many more starts are worth having. Where they may come later, some too many do no harm."""
        if demand and self._permits.call_seconds and not self._rate_is_far:
            first = self._starts[-1] + self._interval_seconds if self._starts else time.monotonic() + TICK_SECONDS
            coming = [first + number * self._interval_seconds for number in range(demand - len(self._starts))]
            scarce = min(1.0, self._ahead_seconds / FULL_SECONDS)
            demand = self._permits.worth_having([*self._starts, *coming], used_share=scarce)
        return max(0, demand - len(self._starts))
