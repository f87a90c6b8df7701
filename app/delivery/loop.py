"""Carrying a session out: reading, calling and settling as the state machine says, and telling it what came of that."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.delivery import session as state
from app.delivery.contacts import Contact, Contacts
from app.delivery.opening import seal_for_lane, take_in, unforeseen
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
    TransientFailure,
)
from app.lanes.outcomes import Ledger
from app.mapping.compiled import CompiledMapping
from app.pacing.place import Admitted, Called, Held, Place
from app.sfmc.responses import Accepted
from app.tracing import TRACES

if TYPE_CHECKING:
    from threading import Event

    from app.clock import RedisClock
    from app.destinations.model import Destination
    from app.lanes.entries import Entry
    from app.lanes.lane import Lane
    from app.pacing.gate import Gate
    from app.sealing import KeyRing
    from app.settings import Settings
    from app.sfmc import MarketingCloud

DOUBTFUL_IN_A_ROW = 5  # so many contacts in doubt and none well: it is the destination


@dataclass(frozen=True, slots=True)
class Work:
    """What a session works with; `run` makes it go."""

    lane: Lane
    destination: Destination
    mapping: CompiledMapping
    reload_mapping: Callable[[], CompiledMapping]
    pepper: bytes
    client: MarketingCloud
    gate: Gate
    ring: KeyRing
    clock: RedisClock
    settings: Settings
    stopping: Event
    goes_on: Callable[[], bool]  # asked after each slice: whether another may follow at once
    one_call: bool = False  # a probe

    def run(self) -> Result:
        """Work until the lane is empty, the slice is over or something stops it. Raises `LeaseLost` and redis-py's errors."""
        return _Loop(self).run()


@dataclass(frozen=True, slots=True)
class Result:
    """How a session ended.

    `error` stands for the destination as a whole; `wait_seconds` before coming back. `moved_to` are the lanes that got entries
    of this one. `epoch_ended`: the destination was connected anew; what was not settled is still in the lane.
    """

    answered: int = 0
    error: CallError | None = None
    wait_seconds: float = 0.0
    moved_to: frozenset[int] = frozenset()
    epoch_ended: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call: what Marketing Cloud said, or the error that it amounts to; None when its start was missed."""

    contact: Contact
    result: Accepted | Exception | None
    never_sent: bool = False  # the error is ours


class _Loop:
    def __init__(self, work: Work) -> None:
        self.w = work
        settings = work.settings
        self.rules = state.Rules(
            settings.window_size, settings.slice_seconds, one_call=work.one_call,
            # a lease is renewed once a third of it is over, and nothing is sent in its last part
            rest_seconds=min(state.REST_SECONDS, settings.lease_seconds / 20),
        )  # fmt: skip
        self.session = state.Session.begun(time.monotonic(), self.rules)
        self.ledger = Ledger(work.destination.id, work.ring, work.settings)
        self.moved_to: set[int] = set()
        self.contacts = Contacts(
            work.destination, work.mapping, self.ledger, work.pepper, work.lane.delivered, lane=work.lane.number,
            move=self.move,
        )  # fmt: skip
        self.lock = Lock()  # of the contacts: those who call take the next one
        self.events: SimpleQueue[Answer | Held] = SimpleQueue()
        self.place = Place(work.destination.id, self.call, self.events.put)
        self.wanted = 0  # as the gate knows it
        self.wanted_backfill = False
        self.read = 0  # entries
        self.started = 0  # calls
        self.answered = 0
        self.reloaded = False

    def run(self) -> Result:
        try:
            while not isinstance(command := self.next_command(), state.End):
                match command:
                    case state.Settle():
                        self.settle(close_doubtful=command.close_doubtful)
                    case state.LookAround():
                        self.session = state.slice_over(self.session, self.rules, goes_on=self.w.goes_on())
                    case state.Read():
                        self.read_more(command)
                    case state.Wait():
                        self.want(command.want)
                        self.wait(command.seconds)
        finally:
            self.leave()
        session = self.session
        return Result(self.answered, session.error, session.wait_seconds, frozenset(self.moved_to), session.epoch_ended)

    def next_command(self) -> state.Command:
        self.w.lane.renew_when_due()
        if self.w.stopping.is_set():
            self.session = state.told_to_end(self.session)
        with self.lock:
            load = self.load()
        return state.next_command(self.session, load, time.monotonic(), self.rules)

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

    def read_more(self, command: state.Read) -> None:
        try:
            read = self.w.lane.read(live=command.live, backfill=command.backfill)
        except EpochEnded:
            self.session = state.epoch_over(self.session)
            return
        self.read += len(read.live) + len(read.backfill)
        with self.lock:
            error = take_in(
                read, self.contacts, self.ledger, self.w.ring, self.w.destination.id,
                crashes_allowed=self.w.settings.crashes_allowed, locked_aside_ms=self.w.lane.locked_aside_ms,
            )  # fmt: skip
        self.session = state.read_done(
            self.session, command, live=len(read.live), backfill=len(read.backfill), recovered=read.recovered,
            now=time.monotonic(),
        )  # fmt: skip
        if error is not None:
            self.fail(error)

    def settle(self, *, close_doubtful: bool = False) -> None:
        if close_doubtful:
            with self.lock:
                self.contacts.park_doubtful()
        if self.ledger.pending and not self.session.epoch_ended:
            try:
                self.w.lane.settle(self.ledger.take(), hour=self.w.clock.now_ms() // 3_600_000)
            except EpochEnded:
                self.session = state.epoch_over(self.session)
        self.session = state.settled(self.session, time.monotonic())

    def want(self, count: int) -> None:
        backfill = not self.contacts.live
        if count != self.wanted or backfill != self.wanted_backfill:
            self.wanted, self.wanted_backfill = count, backfill
            self.w.gate.want(self.place, count, backfill=backfill)

    def wait(self, seconds: float) -> None:
        """Wait for an event, and deal with all that are there."""
        try:
            event = self.events.get(timeout=seconds)
            while True:
                self.handle(event)
                event = self.events.get_nowait()
        except Empty:
            pass

    def leave(self) -> None:
        """Wait for the calls in flight, and keep the lane meanwhile: nobody else may call these contacts."""
        self.w.gate.leave(self.place)
        with self.lock:
            self.session = state.told_to_end(self.session)
        while self.contacts.in_flight:
            with suppress(Empty):
                event = self.events.get(timeout=state.LOOK_SECONDS)
                if isinstance(event, Answer):
                    self.contacts.in_flight.pop(event.contact.key, None)
            with suppress(RedisError, LeaseLost):
                self.w.lane.renew_when_due()

    # -- events --------------------------------------------------------------------------------------------------------

    def handle(self, event: Answer | Held) -> None:
        if isinstance(event, Held):
            self.session = state.held(self.session, event.seconds)
        elif event.never_sent and isinstance(event.result, Exception):
            raise event.result
        elif self.throttled(event.result):
            with self.lock:
                self.answer(event.contact, None)
        else:
            with self.lock:
                self.answer(event.contact, event.result)

    def call(self, admitted: Admitted) -> Called | None:
        """On a thread of the pool: call the next contact, at its time."""
        with self.lock:
            self.wanted -= 1
            if not self.contacts.waiting or not state.goes_on(self.session, self.load(), self.rules):
                return None
            contact = self.contacts.next()
            self.started += 1
            try:
                body = self.contacts.body(contact)
            except Exception as error:  # noqa: BLE001  # the session ends by it, and finds out whose entries do that
                self.events.put(Answer(contact, error, never_sent=True))
                return None
        result: Accepted | Exception | None = None
        started = time.monotonic()
        if started < admitted.start_at:
            time.sleep(admitted.start_at - started)
            started = time.monotonic()
        on_time = started <= admitted.latest
        if on_time:
            try:
                calls = self.w.client.contacts
                with TRACES.call(self.w.destination.id, [entry.job_id for entry, _ in contact.group]):
                    result = (calls.post if contact.post else calls.patch)(body, before_sending=self.make_sure)
            except Exception as error:  # noqa: BLE001  # handed to the session, which decides by its class
                result = error
        self.events.put(Answer(contact, result))
        if not on_time or isinstance(result, LeaseLost):
            return None
        return Called(isinstance(result, Accepted), time.monotonic() - started)

    def make_sure(self) -> None:
        """Asked when all that a call waits for is there, right before it goes out."""
        if not self.w.lane.may_send():
            raise LeaseLost(f"Lane {self.w.lane.number} of {self.w.destination.id} is not surely ours any more.")

    def answer(self, contact: Contact, result: Accepted | Exception | None) -> None:
        """What an answer means for the contact, the account or the destination."""
        contacts = self.contacts
        del contacts.in_flight[contact.key]
        if result is None:
            contacts.put_back(contact)
            return
        if isinstance(result, LeaseLost):
            raise result
        self.ledger.count_call()
        match result:
            case Accepted():
                self.answered += 1
                contacts.park_doubtful()
                contacts.accept(contact)
            case DestinationUnreachable() | DestinationBroken():
                self.fail(result)
            case TransientFailure():
                self.doubt(contact, result)
            case AttributeRefused() if not self.reloaded:
                self.reload(contact)
            case ContactUnknown() if contacts.may_create(contact):
                contacts.create(contact)
            case ContactRefused():
                self.answered += 1
                contacts.park_doubtful()
                contacts.refuse(contact, result)
            case _:
                self.doubt(contact, unforeseen(result))

    def throttled(self, result: Accepted | Exception | None) -> bool:
        """Whether the account asks to be left alone: then all of its lanes wait, and the contact is called again."""
        if not isinstance(result, AccountThrottled):
            return False
        self.ledger.count_call()
        self.session = state.held(self.session, self.w.gate.refused(result.kind, result.wait_seconds))
        return True

    def reload(self, contact: Contact) -> None:
        """Marketing Cloud does not know an attribute that the catalog knows: look once whether the catalog is old."""
        self.reloaded = True
        try:
            self.contacts.mapping = self.w.reload_mapping()
        except CallError as error:
            self.fail(error)
            return
        self.contacts.put_back(contact)

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
