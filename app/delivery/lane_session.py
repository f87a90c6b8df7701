"""One session at a lane: its state machine, the facts that decide it, and its access to Redis."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from app.delivery import session as machine
from app.delivery.opening import seal_for_lane
from app.delivery.redis_away import outlast
from app.delivery.work import Result
from app.delivery.working_set import WorkingSet
from app.event_loop import Signal
from app.lanes.outcomes import Ledger

if TYPE_CHECKING:
    from app.delivery.work import Work
    from app.errors import CallError
    from app.lanes.entries import Entry
    from app.lanes.lane import Batch
    from app.round_trips import Step

T = TypeVar("T")


class LaneSession:
    """Everything that happens in a session is reported here; nothing else changes its state.

    Use only from coroutines of one event loop. `changed` wakes the loop that carries the session out. `rest_seconds` is the
    longest wait before the lease is checked again.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.changed = Signal()
        self.ledger = Ledger(work.destination.id, work.shared.ring, work.shared.settings, work.shared.measures)
        self.contacts = WorkingSet(
            work.destination, work.mapping, self.ledger, work.connected.pepper, lane=work.lane.number, move=self._move
        )
        self._rules = _rules(work)
        self.rest_seconds = self._rules.rest_seconds
        self._begun = time.monotonic()
        self._state = machine.SessionState.begun(self._begun, self._rules)
        self._error: Exception | None = None
        self._read = 0  # entries
        self._started = 0  # calls, except those that told nothing
        self._answered = 0  # calls
        self._moved_to: set[int] = set()

    # -- what is to be done --------------------------------------------------------------------------------------------

    async def next_command(self) -> machine.Command:
        """Return what to do next, after renewing the lease if due.

        Raises: `LeaseLost`; redis-py's errors; any unexpected error of a call.
        """
        if self._error is not None:
            raise self._error
        await self.keep_lane()
        if self.work.shared.stopping.is_set():
            self.end()
        return machine.next_command(self._state, self._in_hand(), time.monotonic(), self._rules)

    def may_start_call(self) -> bool:
        """Return whether a contact is waiting and a call may be started."""
        return (
            self._error is None
            and self.contacts.waiting > 0
            and machine.may_start_calls(self._state, self._in_hand(), self._rules)
        )

    async def may_stay(self, batch: Batch) -> bool:
        """Return whether this process is to work on a batch; a long one may be another process's work."""
        if not machine.takes_long(self._state, batch.size, self._rules):
            return True
        work = self.work
        return await self.outlast(lambda: work.shared.staying.stays(work.destination, work.lane.number, self._begun))

    @property
    def epoch_ended(self) -> bool:
        """Whether nothing may be written any more."""
        return self._state.epoch_ended

    def result(self) -> Result:
        """Return how the session has ended."""
        state = self._state
        return Result(self._answered, state.error, state.wait_seconds, frozenset(self._moved_to), state.epoch_ended)

    # -- what has happened ---------------------------------------------------------------------------------------------

    def read_done(self, command: machine.Read, batch: Batch) -> None:
        """Note that the command read this batch and that its contacts have it."""
        self._read += batch.size
        self._state = machine.read_done(
            self._state,
            command,
            live=len(batch.live),
            backfill=len(batch.backfill),
            recovered=batch.recovered,
            now=time.monotonic(),
        )

    def settled(self) -> None:
        """Note that outcomes were written."""
        self._state = machine.settled(self._state, time.monotonic())

    async def slice_over(self) -> None:
        """Find out whether another slice may follow; not if entries were moved, since the session's end wakes their lanes."""
        work = self.work
        goes_on = not self._moved_to and await self.outlast(
            lambda: work.shared.staying.goes_on(work.destination, work.lane.number, self._begun)
        )
        self._state = machine.slice_over(self._state, self._rules, goes_on=goes_on)

    def call_begun(self) -> None:
        self._started += 1

    def call_told_nothing(self) -> None:
        """Uncount a call that never left or was throttled."""
        self._started -= 1

    def call_answered(self) -> None:
        """Note that Marketing Cloud has judged a call's content."""
        self._answered += 1

    def held(self, seconds: float) -> None:
        """Leave the account alone for `seconds`."""
        self._state = machine.held(self._state, seconds)

    def failed(self, error: CallError) -> None:
        """Note that the destination as a whole has failed: nothing more is started, the entries stay in the lane."""
        self.contacts.leave_doubtful()
        self._state = machine.destination_failed(self._state, error)

    def epoch_over(self) -> None:
        """Note that the destination was reconnected."""
        self._state = machine.epoch_over(self._state)

    def broken(self, error: Exception) -> None:
        """Note an unexpected error; the first one ends the session."""
        self._error = self._error or error

    def end(self) -> None:
        """Start nothing more."""
        self._state = machine.told_to_end(self._state)

    # -- Redis ---------------------------------------------------------------------------------------------------------

    async def keep_lane(self) -> None:
        """Renew the lease if due. Raises: `LeaseLost`; redis-py's errors."""
        if self.work.lane.renewal_is_due:
            # a new step for each try: the lease counts from when it was asked for
            await self.outlast(lambda: self.work.shared.trips.run(self.work.lane.renewing()))

    async def run(self, step: Step[T], *, within_seconds: float = 0.0) -> T:
        """Carry out a step, and repeat it while Redis is briefly away.

        Raises: what the step's reply means; redis-py's errors.
        """
        return await self.outlast(lambda: self.work.shared.trips.run(step, within_seconds=within_seconds))

    async def outlast(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do the same for anything else that asks Redis."""
        return await outlast(self.work.lane, act)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _in_hand(self) -> machine.InHand:
        contacts = self.contacts
        return machine.InHand(
            live=len(contacts.live),
            backfill=len(contacts.backfill),
            in_flight=len(contacts.in_flight),
            started=self._started,
            unsettled=len(self.ledger.pending) or int(bool(self.ledger.pending)),
            held=self._read - self.ledger.left,
            doubtful=len(contacts.doubtful),
        )

    def _move(self, entry: Entry, tag: bytes, lane: int) -> None:
        """Move an entry whose contact now belongs to another lane."""
        self.ledger.move(entry, lane, seal_for_lane(entry, tag, self.work.shared.ring, self.work.destination.id))
        self._moved_to.add(lane)


def _rules(work: Work) -> machine.Rules:
    settings = work.shared.settings
    return machine.Rules(
        settings.window_size,
        settings.slice_seconds,
        is_probe=work.is_probe,
        # lanes that began together must not end together: nothing would be called while all wait for calls in flight
        reads_seconds=random.uniform(machine.READS_SECONDS_AT_LEAST, machine.READS_SECONDS_AT_MOST),  # noqa: S311  # spread, not a secret
        # a lease is renewed after a third of its life, and nothing is sent near its end
        rest_seconds=min(machine.REST_SECONDS, settings.lease_seconds / 20),
    )
