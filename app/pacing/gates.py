"""The gates of a worker process: one for each account, and a new one when its limits change."""

from __future__ import annotations

import asyncio
from secrets import token_hex
from threading import Lock
from typing import TYPE_CHECKING

from app.event_loop import EVENT_LOOP
from app.pacing.account import AccountPace
from app.pacing.gate import Gate
from app.pacing.room import Room

if TYPE_CHECKING:
    from app.destinations.model import Limits
    from app.round_trips import RoundTrips


class Gates:
    """All gates of a process."""

    def __init__(self, trips: RoundTrips, calls_at_once: int) -> None:
        self._trips = trips
        self._room = Room(calls_at_once)
        self._lock = Lock()
        self._holder = token_hex(8)
        self._gates: dict[tuple[str, Limits], Gate] = {}  # also for former limits: lanes may still use them

    def room_used_share(self) -> float:
        """Return the share, from 0 to 1, of this process's call slots that are in use."""
        return self._room.used_share

    def close(self) -> None:
        """Close all gates, because the process ends; calls in flight may finish."""
        with self._lock:
            gates = list(self._gates.values())
        for gate in gates:
            EVENT_LOOP.call(gate.close)

    def wait_until_they_rest(self, most_seconds: float) -> bool:
        """Wait until everything is given back to the accounts. Returns False if Redis did not answer in time."""
        return EVENT_LOOP.run(self._rest(most_seconds))

    async def _rest(self, most_seconds: float) -> bool:
        with self._lock:
            rests = [asyncio.ensure_future(gate.rest()) for gate in self._gates.values()]
        if not rests:
            return True
        _, unfinished = await asyncio.wait(rests, timeout=most_seconds)
        for rest in unfinished:
            rest.cancel()
        return not unfinished

    def of(self, account: str, limits: Limits) -> Gate:
        """Return the gate of an account; a new one when its limits have changed."""
        with self._lock:
            gate = self._gates.get((account, limits))
            if gate is None:
                holder = f"{self._holder}-{len(self._gates)}-{token_hex(2)}"
                gate = Gate(AccountPace(self._trips.redis, account, holder, limits), self._room, self._trips)
                self._gates[account, limits] = gate
            return gate
