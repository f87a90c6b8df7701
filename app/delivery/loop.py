"""Carrying a session out: reading, calling and settling as the state machine says, and telling it what came of that."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from redis.exceptions import RedisError

from app.delivery import session as state
from app.delivery.contacts import Contact, Contacts
from app.delivery.opening import locked, open_entry, seal_for_lane, set_aside, unforeseen
from app.delivery.outage import outlast
from app.delivery.reloading import Reloading
from app.delivery.work import Result
from app.errors import (
    AccountThrottled,
    AttributeRefused,
    CallError,
    ContactRefused,
    ContactUnknown,
    DestinationBroken,
    DestinationUnreachable,
    EpochEnded,
    LeaseLost,
    SealBroken,
    TransientFailure,
)
from app.event_loop import EVENT_LOOP, LongComputation, Signal
from app.lanes.outcomes import Ledger
from app.pacing.place import Called, Held, Place
from app.sfmc.responses import Accepted
from app.tracing import TRACES

if TYPE_CHECKING:
    from app.delivery.plan import Pair
    from app.delivery.work import Work
    from app.lanes.entries import Entry
    from app.lanes.lane import Read

T = TypeVar("T")

MOST_HAND_OVER_SECONDS = 0.4
# A token that is never at hand, as one that lives for a moment, must not keep every call away
MISSED_IN_A_ROW = 20
DOUBTFUL_IN_A_ROW = 5  # so many contacts in doubt and none well: it is the destination


async def carry_out(work: Work) -> Result:
    """Work until the lane is empty, the slice is over or something stops it. Raises `LeaseLost` and redis-py's errors."""
    return await _Loop(work).run()


class _StartMissed(Exception):  # within this module: the call goes out at another start
    pass


class _Loop:
    def __init__(self, work: Work) -> None:
        self.w = work
        settings = work.settings
        self.rules = state.Rules(
            settings.window_size, settings.slice_seconds, one_call=work.one_call,
            # lanes that began together must not end together: none would call while all wait for their calls in flight
            slices=random.randint(state.SLICES_AT_LEAST, state.SLICES_AT_MOST),  # noqa: S311  # spread, not a secret
            # a lease is renewed once a third of it is over, and nothing is sent in its last part
            rest_seconds=min(state.REST_SECONDS, settings.lease_seconds / 20),
        )  # fmt: skip
        self.session = state.Session.begun(time.monotonic(), self.rules)
        self.ledger = Ledger(work.destination.id, work.ring, work.settings, work.measures)
        self.moved_to: set[int] = set()
        self.contacts = Contacts(
            work.destination, work.mapping, self.ledger, work.pepper, lane=work.lane.number,
            move=self.move,
        )  # fmt: skip
        self.place = Place(work.destination.id, self.call, self.hold)
        self.changed = Signal()
        self.broken: Exception | None = None  # ends the session
        self.left = False
        self.wanted = 0  # as the gate knows it
        self.wanted_backfill = False
        self.read = 0  # entries
        self.started = 0  # calls
        self.answered = 0
        self.reloading = Reloading(self.look_at_the_catalog)
        self.missed = 0  # starts, in a row

    async def run(self) -> Result:
        try:
            while not isinstance(command := await self.next_command(), state.End):
                match command:
                    case state.Settle():
                        await self.settle(close_doubtful=command.close_doubtful)
                    case state.LookAround():
                        goes_on = await self.outlast(self.w.goes_on)
                        self.session = state.slice_over(self.session, self.rules, goes_on=goes_on)
                    case state.Read():
                        await self.read_more(command)
                    case state.Wait():
                        self.want(command.want)
                        await self.changed.wait(command.seconds)
        finally:
            await self.leave()
        session = self.session
        return Result(self.answered, session.error, session.wait_seconds, frozenset(self.moved_to), session.epoch_ended)

    async def next_command(self) -> state.Command:
        if self.broken is not None:
            raise self.broken
        if self.w.lane.renewal_is_due:
            await self.outlast(lambda: self.w.trips.run(self.w.lane.renewing()))
        if self.w.stopping.is_set():
            self.session = state.told_to_end(self.session)
        return state.next_command(self.session, self.load(), time.monotonic(), self.rules)

    async def outlast(self, act: Callable[[], Awaitable[T]]) -> T:
        return await outlast(self.w.lane, act)

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

    # -- commands ------------------------------------------------------------------------------------------------------

    async def read_more(self, command: state.Read) -> None:
        try:
            step = self.w.lane.reading(live=command.live, backfill=command.backfill)
            read = await self.outlast(lambda: self.w.trips.run(step))
        except EpochEnded:
            self.session = state.epoch_over(self.session)
            return
        found = len(read.live) + len(read.backfill)
        if state.takes_long(self.session, found, self.rules) and not await self.outlast(self.w.stays):
            # one after another, or the other process would open all of them before its first call
            await self.changed.wait(random.uniform(0, MOST_HAND_OVER_SECONDS))  # noqa: S311  # spread, not a secret
            self.session = state.told_to_end(self.session)
            return
        self.read += found
        error = await self.take_in(read)
        self.session = state.read_done(
            self.session, command, live=len(read.live), backfill=len(read.backfill), recovered=read.recovered,
            now=time.monotonic(),
        )  # fmt: skip
        if error is not None:
            self.fail(error)

    async def take_in(self, read: Read) -> CallError | None:
        """Give what was read to its contacts. Returns the error of the destination as a whole when no key opens what waits."""
        contacts, destination_id, ring = self.contacts, self.w.destination.id, self.w.ring
        contacts.now_ms = read.now_ms
        updates: list[Pair] = []
        unopened: list[Entry] = []
        async with LongComputation() as computation:
            for entry in read.entries():
                try:
                    update = open_entry(
                        entry, read, contacts.mapping, self.ledger, ring, destination_id,
                        crashes_allowed=self.w.settings.crashes_allowed,
                    )  # fmt: skip
                except SealBroken:
                    unopened.append(entry)
                else:
                    if update is not None:
                        updates.append((entry, update))
                await computation.pause()
        if unopened:
            aside_ms = await EVENT_LOOP.in_thread(self.w.lane.locked_aside_ms)
            if any(entry.origin.stamp_ms >= aside_ms for entry in unopened):
                return locked(destination_id)
            for entry in unopened:
                self.ledger.fail(entry, set_aside(destination_id), now_ms=read.now_ms)
        arrivals = contacts.arrange(updates)
        if unknown := contacts.unknown(arrivals):
            contacts.learn(await self.outlast(lambda: self.w.trips.run(self.w.lane.delivered(unknown))))
        async with LongComputation() as computation:
            for arrival in arrivals:
                contacts.take_in(arrival)
                await computation.pause()
        return None

    async def settle(self, *, close_doubtful: bool = False) -> None:
        if close_doubtful:
            self.contacts.park_doubtful()
        if self.ledger.pending and not self.session.epoch_ended:
            # few outcomes can wait for others to travel with
            few = not close_doubtful and len(self.ledger.pending) < state.SETTLE_AT_ENTRIES
            step = self.w.lane.settling(self.ledger.take(), hour=self.w.clock.now_ms() // 3_600_000)
            try:
                within_seconds = state.COMPANY_SECONDS if few else 0.0
                await self.outlast(lambda: self.w.trips.run(step, within_seconds=within_seconds))
            except EpochEnded:
                self.session = state.epoch_over(self.session)
        self.session = state.settled(self.session, time.monotonic())

    def want(self, count: int) -> None:
        if self.reloading.is_under_way:
            count = 0
        backfill = not self.contacts.live
        if count != self.wanted or backfill != self.wanted_backfill:
            self.wanted, self.wanted_backfill = count, backfill
            self.w.gate.want(self.place, count, backfill=backfill)

    async def leave(self) -> None:
        """Wait for the calls in flight, and keep the lane meanwhile: nobody else may call these contacts."""
        self.w.gate.leave(self.place)
        self.session = state.told_to_end(self.session)
        self.left = True
        while self.contacts.in_flight:
            await self.changed.wait(state.LOOK_SECONDS)
            with suppress(RedisError, LeaseLost):
                if self.w.lane.renewal_is_due:
                    await self.w.trips.run(self.w.lane.renewing())

    # -- events --------------------------------------------------------------------------------------------------------

    def hold(self, held: Held) -> None:
        self.session = state.held(self.session, held.seconds)
        self.changed.set()

    async def call(self, latest: float) -> Called | None:
        """Call the next contact."""
        self.wanted -= 1
        if (
            self.broken
            or self.reloading.is_under_way
            or not self.contacts.waiting
            or not state.goes_on(self.session, self.load(), self.rules)
        ):
            return None
        contact = self.contacts.next()
        self.started += 1
        called = None
        sent: list[float] = []  # once, or twice where the token was not good any more

        def make_sure() -> None:
            """Asked when all that a call waits for is there, as a token is, right before it goes out."""
            if not self.w.lane.may_send():
                raise LeaseLost(f"Lane {self.w.lane.number} of {self.w.destination.id} is not surely ours any more.")
            now = time.monotonic()
            if now > latest and self.missed < MISSED_IN_A_ROW:
                self.missed += 1
                raise _StartMissed
            self.missed = 0
            sent.append(now)

        try:
            result = await self.send(contact, self.contacts.body(contact), make_sure)
            if sent:
                called = Called(isinstance(result, Accepted), time.monotonic() - sent[-1])
            if not self.left:
                self.ledger.count_calls(len(sent))
                await self.answer(contact, result, sent[-1] if sent else 0.0)
        except Exception as error:  # noqa: BLE001  # the session ends by it
            self.broken = self.broken or error
        finally:
            self.contacts.in_flight.pop(contact.key, None)
            self.changed.set()
        return called

    async def send(self, contact: Contact, body: bytes, make_sure: Callable[[], None]) -> Accepted | Exception:
        try:
            calls = self.w.client.contacts
            with TRACES.call(self.w.destination.id, [entry.job_id for entry, _ in contact.group]):
                return await (calls.post if contact.post else calls.patch)(body, before_sending=make_sure)
        except Exception as error:  # noqa: BLE001  # what it means is decided by its class
            return error

    async def answer(self, contact: Contact, answer: Accepted | Exception, sent_at: float) -> None:
        """What an answer means for the contact, the account or the destination."""
        if isinstance(answer, LeaseLost):
            raise answer
        result = None if isinstance(answer, _StartMissed) else answer
        if isinstance(result, AccountThrottled):  # all of its lanes wait, and the contact is called again
            kind, wait_seconds = result.kind, result.wait_seconds
            seconds = await self.outlast(lambda: self.w.gate.refused(kind, wait_seconds))
            self.session = state.held(self.session, seconds)
            result = None
        elif isinstance(result, AttributeRefused) and self.reloading.concerns(sent_at):
            await self.reloading.wait()
            result = None
        contacts = self.contacts
        del contacts.in_flight[contact.key]
        if result is None:
            contacts.put_back(contact)
            return
        match result:
            case Accepted():
                self.answered += 1
                contacts.park_doubtful()
                contacts.accept(contact)
            case DestinationUnreachable() | DestinationBroken():
                self.fail(result)
            case TransientFailure():
                self.doubt(contact, result)
            case ContactUnknown() if contacts.may_create(contact):
                contacts.create(contact)
            case ContactRefused():
                self.answered += 1
                contacts.park_doubtful()
                contacts.refuse(contact, result)
            case _:
                self.doubt(contact, unforeseen(result))

    async def look_at_the_catalog(self) -> None:
        """Marketing Cloud does not know an attribute that the catalog knows."""
        try:
            self.contacts.mapping = await self.w.reload_mapping()
        except CallError as error:
            self.fail(error)

    def doubt(self, contact: Contact, error: TransientFailure) -> None:
        """A call came to nothing. Whether that is the contact's trouble or the destination's is told by those after it."""
        count = self.contacts.doubt(contact, error)
        if self.w.one_call:
            # the next probe is another contact's: this one's trouble may be its own
            self.contacts.park_doubtful()
        elif count < DOUBTFUL_IN_A_ROW:
            return
        many = "" if self.w.one_call else f"{count} calls in a row failed; the last one: "
        self.fail(
            DestinationUnreachable(
                f"{many}{error}", code="outage", remedy=error.remedy, http_status=error.http_status,
                wait_seconds=error.wait_seconds,
            )
        )  # fmt: skip

    def fail(self, error: CallError) -> None:
        """The destination as a whole is in trouble: nothing more is started, the entries stay in the lane."""
        self.contacts.leave_doubtful()
        self.session = state.destination_failed(self.session, error)

    def move(self, entry: Entry, tag: bytes, lane: int) -> None:
        """An entry belongs to a contact of another lane by now."""
        self.ledger.move(entry, lane, seal_for_lane(entry, tag, self.w.ring, self.w.destination.id))
        self.moved_to.add(lane)
