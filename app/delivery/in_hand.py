"""What a session has in hand, for the coroutines that read, call and settle for it."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from app.delivery import session as state
from app.delivery.contacts import Contacts
from app.delivery.opening import seal_for_lane
from app.delivery.outage import outlast
from app.delivery.work import Result
from app.event_loop import Signal
from app.lanes.outcomes import Ledger

if TYPE_CHECKING:
    from app.delivery.work import Work
    from app.errors import CallError
    from app.lanes.entries import Entry

T = TypeVar("T")


class InHand:
    """The state of a session and what it is decided by. For coroutines of one event loop.

    `changed` wakes the session after an event. `read` counts entries, `started` calls begun, without those that were throttled or
    never left, `answered` those that Marketing Cloud has judged. `error` is an unexpected one, by which the session ends.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        settings = work.settings
        self.rules = state.Rules(
            settings.window_size, settings.slice_seconds, one_call=work.one_call,
            # lanes that began together must not end together: none would call while all wait for their calls in flight
            reads_seconds=random.uniform(state.READS_SECONDS_AT_LEAST, state.READS_SECONDS_AT_MOST),  # noqa: S311  # spread, not a secret
            # a lease is renewed once a third of it is over, and nothing is sent in its last part
            rest_seconds=min(state.REST_SECONDS, settings.lease_seconds / 20),
        )  # fmt: skip
        self.session = state.Session.begun(time.monotonic(), self.rules)
        self.ledger = Ledger(work.destination.id, work.ring, settings, work.measures)
        self.contacts = Contacts(
            work.destination, work.mapping, self.ledger, work.pepper, lane=work.lane.number,
            move=self._move,
        )  # fmt: skip
        self.changed = Signal()
        self.error: Exception | None = None
        self.read = 0
        self.started = 0
        self.answered = 0
        self._moved_to: set[int] = set()

    def load(self) -> state.Load:
        contacts = self.contacts
        return state.Load(
            live=len(contacts.live),
            backfill=len(contacts.backfill),
            in_flight=len(contacts.in_flight),
            started=self.started,
            unsettled=len(self.ledger.pending) or int(bool(self.ledger.pending)),
            held=self.read - self.ledger.left,
            doubtful=len(contacts.doubtful),
        )

    def may_call(self) -> bool:
        """Whether a call may be started."""
        return (
            self.error is None
            and self.contacts.waiting > 0
            and state.goes_on(self.session, self.load(), self.rules)
        )  # fmt: skip

    def fail(self, error: CallError) -> None:
        """The destination as a whole is in trouble: nothing more is started, the entries stay in the lane."""
        self.contacts.leave_doubtful()
        self.session = state.destination_failed(self.session, error)

    def hour(self) -> int:
        """Hours since 1970 by the clock of Redis, told at the last look into the lane: it need not be asked."""
        return self.contacts.now_ms // 3_600_000

    def result(self) -> Result:
        session = self.session
        return Result(
            self.answered, session.error, session.wait_seconds, frozenset(self._moved_to), session.epoch_ended
        )

    async def goes_on(self) -> bool:
        """Asked after each slice: whether another may follow. Not where entries were moved: the session's end wakes their lanes."""
        return not self._moved_to and await self.outlast(self.work.goes_on)

    async def outlast(self, act: Callable[[], Awaitable[T]]) -> T:
        return await outlast(self.work.lane, act)

    def _move(self, entry: Entry, tag: bytes, lane: int) -> None:
        """An entry belongs to a contact of another lane by now."""
        self.ledger.move(entry, lane, seal_for_lane(entry, tag, self.work.ring, self.work.destination.id))
        self._moved_to.add(lane)
