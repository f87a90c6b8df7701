"""The one place in a worker process that asks Redis for an account's starts and permits, for all of its lanes.

A lane says how many calls it would make (`want`). At its turn it makes one (`Place.call`), which holds a permit until it
ends. While anybody waits, the gate asks for the next tenth of a second; what becomes free meanwhile is passed on at once.
If the account has to be left alone, waiting lanes are told for how long (`Place.hold`).

This module has the gate's tasks and timer. `line.py` decides who is next; `supply.py` holds starts and permits, and asks
for more.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.event_loop import EVENT_LOOP, Signal
from app.logs import say_once
from app.pacing.asking import RETRY_SECONDS, Ask, GiveBack, Sleep
from app.pacing.line import Line
from app.pacing.supply import Supply

if TYPE_CHECKING:
    from app.errors import Throttle
    from app.pacing.account import AccountPace
    from app.pacing.place import Place
    from app.pacing.room import Room
    from app.round_trips import RoundTrips

log = logging.getLogger(__name__)


class Gate:
    """The gate of one account in this process. Use only from coroutines of its event loop."""

    def __init__(self, account: AccountPace, room: Room, trips: RoundTrips) -> None:
        self._account = account
        self._room = room
        self._line: Line[Place] = Line()
        self._supply = Supply(account, trips)
        self._changed = Signal()
        self._next_start: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()  # a task without a reference may be collected before its end

    # -- for lanes -----------------------------------------------------------------------------------------------------

    def want(self, place: Place, count: int, *, backfill: bool) -> None:
        """Set how many calls a lane would start now, beyond those already granted."""
        waited, of_its = bool(self._line), self._line.waits(place.destination_id)
        if not waited:
            self._supply.drop_late()
        self._line.want(place, place.destination_id, count, backfill=backfill)
        if not self._line:
            self._room.leave(self)
            return
        self.hand_out()
        if not of_its and self._supply.first_start is None and self._line.waits(place.destination_id):
            self._supply.newcomer()
            waited = False
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
        elif not waited and self._line:
            self._changed.set()

    async def refused(self, kind: Throttle, wait_seconds: float | None) -> float:
        """Make the account wait after a refusal; returns for how many seconds. Raises: redis-py's errors."""
        seconds = await self._supply.refused(kind, wait_seconds)
        self._room.leave(self)
        return seconds

    def pause(self, seconds: float) -> None:
        """Make no calls for `seconds`. The account knows already, from a request that passed no gate."""
        self._supply.pause(seconds)
        self._room.leave(self)

    def leave(self, place: Place) -> None:
        """Take a lane out of the line. A call whose turn has already come may still be made."""
        self._line.want(place, place.destination_id, 0, backfill=False)
        if not self._line:
            self._room.leave(self)

    def close(self) -> None:
        """Give the permits back as soon as no call is in flight, so that others need not wait until they expire."""
        self._supply.close()
        self._changed.set()

    async def rest(self) -> None:
        """Wait until nothing is left to report: soon after `close` and the last call, otherwise after a while without calls."""
        while (running := self._running) is not None:
            await asyncio.wait({running})

    # -- calls ---------------------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many calls have not ended."""
        return self._supply.in_flight

    def hand_out(self) -> None:
        """Begin the calls that are due, in turn, as far as permits and slots allow, and set the timer for the next start."""
        loop = asyncio.get_running_loop()  # its clock is time.monotonic()
        while (turn := self._next_turn()) is not None:
            call = loop.create_task(self._call(*turn))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        if self._next_start is not None:
            self._next_start.cancel()
            self._next_start = None
        start = self._supply.first_start
        if start is None or not (self._line and self._supply.has_permit):
            self._room.leave(self)
            return
        self._room.come(self)
        if self._room.has_slot(self):
            self._next_start = loop.call_at(start, self.hand_out)
        else:
            self._room.wait(self)

    def _next_turn(self) -> tuple[Place, float] | None:
        """Return who may call now and the latest moment for it; None if nobody may yet."""
        if not (self._may_hand_out and self._supply.is_due()) or (place := self._line.next()) is None:
            return None
        self._room.take()
        return place, self._supply.begin_call()

    async def _call(self, place: Place, latest: float) -> None:
        """Let a lane make a call, and pass on what its end frees."""
        try:
            called = await place.call(latest)
        except Exception:
            log.exception("A call ended in an unexpected error.")
            called = None
        self._supply.end_call(called, held_up=not self._may_hand_out)
        self._room.give_back(self)

    @property
    def _may_hand_out(self) -> bool:
        return self._supply.has_permit and self._room.has_slot(self)

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        rests = False
        while not rests:
            try:
                rests = await self._do_what_is_next()
            except RedisError as error:
                say_once(log, "gate", "Starts cannot be asked for: %s. Lanes wait.", type(error).__name__)
                self._supply.failed()
            except Exception:
                log.exception("A gate met an unexpected error. It goes on in a moment, if anybody needs it.")
                self._supply.failed()
                rests = not (self._line or self.in_flight)
                if not rests:  # whatever the error, it must not keep the loop busy
                    await self._changed.wait(RETRY_SECONDS)
        self._running = None

    async def _do_what_is_next(self) -> bool:
        """Carry out the next command. Returns True when the gate rests."""
        match self._supply.next_command(waits=bool(self._line)):
            case Ask():
                await self._ask()
            case Sleep(seconds):
                await self._changed.wait(seconds)
            case GiveBack():
                with suppress(RedisError):  # permits expire by themselves
                    await self._supply.give_back()
                return not self._line
        return False

    async def _ask(self) -> None:
        starts = await self._supply.ask(
            live=self._line.live, backfill=self._line.backfill, free_slots=self._room.free, hand_out=self.hand_out
        )
        if starts.is_pause:
            self._room.leave(self)
            for place in self._line.places():
                place.hold(starts.wait_seconds)
        if starts.learns:
            await EVENT_LOOP.in_thread(self._account.learn)
