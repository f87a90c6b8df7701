"""The one place of a worker process that asks Redis for starts and permits of an account, for all of its lanes.

A lane says how many calls it would make (`want`); when its turn has come, it makes one (`Place.call`), which holds a permit until it
ends. The gate asks for the next tenth of a second, while anybody waits; what comes free meanwhile is handed on at once. When the
account has to be left alone, the lanes that wait are told for how long (`Place.hold`).

Here are its tasks and its timer. What it has in hand is kept by `schedule.py` and `permits.py`; when to ask is decided by `asking.py`,
for how much by `demand.py`; `questions.py` makes the round trips.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.event_loop import EVENT_LOOP, Signal
from app.logs import say_once
from app.pacing.asking import RETRY_SECONDS, Ask, Asking, GiveBack, Load, Sleep
from app.pacing.line import Line
from app.pacing.permits import Permits
from app.pacing.place import Held, Place
from app.pacing.questions import Questions
from app.pacing.schedule import Schedule

if TYPE_CHECKING:
    from app.errors import Throttle
    from app.pacing.account import AccountPace
    from app.pacing.room import Room
    from app.round_trips import RoundTrips

log = logging.getLogger(__name__)


class Gate:
    """The gate of one account in this process. For coroutines of its event loop alone."""

    def __init__(self, account: AccountPace, room: Room, trips: RoundTrips) -> None:
        self._room = room
        self._line: Line[Place] = Line()
        self._schedule = Schedule()
        self._permits = Permits()
        self._asking = Asking()
        self._questions = Questions(account, trips, asking=self._asking, schedule=self._schedule, permits=self._permits)
        self._changed = Signal()
        self._next_start: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()  # a task that nobody holds may be gone before its end

    # -- for lanes -----------------------------------------------------------------------------------------------------

    def want(self, place: Place, count: int, *, backfill: bool) -> None:
        """How many calls a lane would start now, beyond those that it was admitted for."""
        waited, of_its = bool(self._line), self._line.waits(place.destination_id)
        if not waited:
            self._schedule.drop_late(time.monotonic())
        self._line.want(place, place.destination_id, count, backfill=backfill)
        if not self._line:
            self._room.leave(self)
            return
        self.hand_out()
        if not of_its and not self._schedule and self._line.waits(place.destination_id):
            self._asking.newcomer()
            waited = False
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
        elif not waited and self._line:
            self._changed.set()

    async def refused(self, kind: Throttle, wait_seconds: float | None) -> float:
        """The account asks to be left alone; for how many seconds it will be. Raises redis-py's errors."""
        seconds = await self._questions.refused(kind, wait_seconds)
        self._pause(seconds)
        return seconds

    def leave(self, place: Place) -> None:
        """The lane wants nothing more. A call that it has the turn for may still come."""
        self._line.want(place, place.destination_id, 0, backfill=False)
        if not self._line:
            self._room.leave(self)

    def close(self) -> None:
        """Give the permits back as soon as no call is in flight: others need not wait until they end by themselves."""
        self._asking.close()
        self._changed.set()

    async def rest(self) -> None:
        """Wait until there is nothing left to tell: soon after `close` and the last call, else after a while without calls."""
        while (running := self._running) is not None:
            await asyncio.wait({running})

    # -- calls ---------------------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many calls have not ended."""
        return self._permits.in_use

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
        start = self._schedule.first
        if start is None or not (self._line and self._permits.free):
            self._room.leave(self)
            return
        self._room.come(self)
        if self._room.has_slot(self):
            self._next_start = loop.call_at(start, self.hand_out)
        else:
            self._room.wait(self)

    def _next_turn(self) -> tuple[Place, float] | None:
        """Who may call now, and not after which moment; None when nobody may yet."""
        if not self._may_hand_out:
            return None
        now = time.monotonic()
        if not self._schedule.is_due(now) or (place := self._line.next()) is None:
            return None
        self._permits.begin(now)
        self._room.take()
        return place, self._schedule.take()

    async def _call(self, place: Place, latest: float) -> None:
        """Let a lane make a call, and hand on what is free by its end."""
        try:
            called = await place.call(latest)
        except Exception:
            log.exception("A call ended in an unexpected error.")
            called = None
        if not self._may_hand_out and self._questions.rate_is_far:
            self._schedule.put_off(time.monotonic())
        self._permits.end(called.seconds if called is not None and called.let_through else None)
        if called is None:
            self._schedule.unused += 1
        elif called.let_through:
            self._questions.accepted(called.seconds)
        self._room.give_back(self)

    @property
    def _may_hand_out(self) -> bool:
        return self._permits.free and self._room.has_slot(self)

    # -- questions -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        rests = False
        while not rests:
            try:
                rests = await self._do_what_is_next()
            except RedisError as error:
                say_once(log, "gate", "Starts cannot be asked for: %s. Lanes wait.", type(error).__name__)
                self._fail()
            except Exception:
                log.exception("A gate met an unexpected error. It goes on in a moment, if anybody needs it.")
                self._fail()
                rests = not (self._line or self.in_flight)
                if not rests:  # whatever it was, it must not keep the loop busy
                    await self._changed.wait(RETRY_SECONDS)
        self._running = None

    async def _do_what_is_next(self) -> bool:
        """True when the gate rests."""
        match self._asking.next_command(self._load(), time.monotonic()):
            case Ask():
                await self._ask()
            case Sleep(seconds):
                await self._changed.wait(seconds)
            case GiveBack():
                with suppress(RedisError):  # permits end by themselves
                    await self._questions.give_back()
                return not self._line
        return False

    def _load(self) -> Load:
        if not self._line:
            self._schedule.drop_late(time.monotonic())
        return Load(
            waits=bool(self._line),
            in_flight=self._permits.in_use > 0,
            tells=self._questions.tells,
            renew_at=self._permits.renew_at,
        )

    async def _ask(self) -> None:
        line, free_slots = self._line, self._room.free
        answer = await self._questions.ask(live=line.live, backfill=line.backfill, free_slots=free_slots)
        self.hand_out()
        self._questions.handed_out(answer)
        starts = answer.starts
        self._asking.answered(
            answer.heard_at, waits=answer.waiting > 0, given=starts.count, wait_seconds=starts.wait_seconds
        )
        if starts.why in ("throttled", "quota"):
            self._pause(starts.wait_seconds)
            for place in self._line.places():
                place.hold(Held(starts.wait_seconds, starts.why))
        if starts.look:
            await EVENT_LOOP.in_thread(self._questions.look)

    def _fail(self) -> None:
        self._asking.failed(time.monotonic())
        if self._asking.is_closing:  # which does not wait until Redis is back
            self._questions.tell_nothing()

    def _pause(self, seconds: float) -> None:
        self._asking.paused(seconds, time.monotonic())
        self._schedule.clear()
        self._room.leave(self)
