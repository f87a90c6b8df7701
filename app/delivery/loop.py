"""The session itself: reading, asking the pacer, and what each answer means for the contact, the account or the destination."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from redis.exceptions import RedisError

from app.delivery.callers import Answer, Callers, Pulse, StartMissed
from app.delivery.contacts import Contact, Contacts, Pair
from app.delivery.turns import Turns
from app.errors import (
    AccountThrottled,
    AttributeRefused,
    CallError,
    ContactRefused,
    ContactTroubled,
    ContactUnknown,
    DestinationBroken,
    DestinationUnreachable,
    EpochEnded,
    LeaseLost,
    SealBroken,
)
from app.lanes.append import seal_origin
from app.lanes.outcomes import Ledger
from app.mapping.compiled import CompiledMapping, Excluded
from app.sfmc.responses import Accepted

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from threading import Event

    from app.clock import RedisClock
    from app.destinations.model import Destination
    from app.lanes.entries import Entry
    from app.lanes.lane import Lane, Read
    from app.pacing.pacer import Pacer
    from app.sealing import KeyRing
    from app.settings import Settings
    from app.sfmc import MarketingCloud

SETTLE_AT = 100  # entries
SETTLE_AFTER_SECONDS = 0.05
POLL_SECONDS = 0.05  # how long a live entry may lie unseen behind calls in flight
KEEP_SEATS_SECONDS = 3.0
LONGEST_WAIT_SECONDS = 2.0  # beyond that a session gives its slot back
STARTS_AT_ONCE = 64
# A start that is missed by more is given up, so that a busy machine makes fewer calls and never a bunch of them. At more than two
# hundred calls a second, as many come together within any system's reaction time.
LATEST_START_SECONDS = 0.1
FAST_RATE_SECONDS = 0.005
STARTS_AT_FIRST = 4  # until it is known how long a call takes
TROUBLES_IN_A_ROW = 5  # so many contacts in trouble and none well: it is the destination
BACKFILL_BATCH = 16
ENTRIES_AT_ONCE = 5_000  # unsettled: a contact that changes all the time would gather them without end
SLICES_AT_MOST = 15  # what a session remembers of contacts grows with it


@dataclass(frozen=True, slots=True)
class Session:
    """What a session works with; `run` makes it go."""

    lane: Lane
    destination: Destination
    mapping: CompiledMapping
    reload_mapping: Callable[[], CompiledMapping]
    pepper: bytes
    client: MarketingCloud
    pacer: Pacer
    calls: Executor
    pulse: Pulse
    turns: Turns
    ring: KeyRing
    clock: RedisClock
    settings: Settings
    stopping: Event
    goes_on: Callable[[], bool]  # asked after each slice: whether another may follow at once
    only_one_call: bool = False  # a probe

    def run(self) -> Result:
        """Work until the lane is empty, the slice is over or something stops it. Raises `LeaseLost`."""
        return _Work(self).run()


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


class _Work:
    def __init__(self, session: Session) -> None:
        self.s = session
        self.ledger = Ledger(session.destination.id, session.ring, session.settings)
        self.contacts = Contacts(
            session.destination, session.mapping, self.ledger, session.pepper, session.lane.delivered,
            lane=session.lane.number, move=self.move,
        )  # fmt: skip
        self.callers: Callers[Contact] = Callers(session.calls, self.send, session.pulse, session.turns)
        self.starts: deque[float] = deque()
        self.seats = 0
        self.accepted = 0
        self.answered = 0
        self.ask_at = 0.0
        self.asked_at = 0.0
        self.refused_for = ""
        self.low_water = 0
        self.latest_start = LATEST_START_SECONDS
        self.read_at = 0.0
        self.read_dry = False
        self.entries_read = 0
        self.settled_at = time.monotonic()
        self.backfill_batch = BACKFILL_BATCH
        self.backfill_read_at = 0.0
        self.wait_seconds = 0.0
        self.error: CallError | None = None
        self.slice_ends = 0.0
        self.last_slice_ends = 0.0
        self.over = False
        self.recovering = False
        self.moved_to: set[int] = set()
        self.epoch_ended = False
        self.reloaded = False

    def run(self) -> Result:
        self.slice_ends = time.monotonic() + self.s.settings.slice_seconds
        self.last_slice_ends = self.slice_ends + (SLICES_AT_MOST - 1) * self.s.settings.slice_seconds
        answers: list[Answer[Contact]] = []
        try:
            while True:
                with self.s.turns.turn(wanted=self.s.pulse.quick):
                    goes_on = self.step(answers)
                if not goes_on:
                    break
                answers = self.callers.answers(self.patience())
            self.contacts.park_troubled()
            self.settle()
        except BaseException:
            self.end_calls()
            raise
        finally:
            with suppress(RedisError):  # its seats end by themselves
                self.s.pacer.leave()
        return Result(self.answered, self.error, self.wait_seconds, frozenset(self.moved_to), self.epoch_ended)

    def end_calls(self) -> None:
        """Wait for the calls in flight, and keep the lane meanwhile: nobody else may call these contacts."""
        self.callers.drop_waiting()
        while self.callers.in_flight:
            self.callers.answers(POLL_SECONDS)
            with suppress(RedisError, LeaseLost):
                self.s.lane.renew_when_due()

    def step(self, answers: list[Answer[Contact]]) -> bool:
        """Deal with answers, read, start calls. False when there is nothing left to do or to wait for."""
        contacts = self.contacts
        for answer in answers:
            self.handle(answer)
        now = time.monotonic()
        if len(self.ledger.pending) >= SETTLE_AT or now - self.settled_at > SETTLE_AFTER_SECONDS:
            self.settle()
        self.s.lane.renew_when_due()
        if now > self.slice_ends and not self.over:
            self.slice_ends += self.s.settings.slice_seconds
            # where seats are short, other lanes of the destination may wait for ours
            short = self.refused_for == "seats"
            self.over = short or self.slice_ends > self.last_slice_ends or not self.s.goes_on()
        if self.s.stopping.is_set():
            self.over = True
        dry = self.fill(now)
        self.dispatch(now)
        if not contacts.in_flight:
            self.settle()
            return not self.over and (not dry or bool(contacts.waiting))
        return True

    # -- reading -------------------------------------------------------------------------------------------------------

    def fill(self, now: float) -> bool:
        """Read more when there is room. True when the lane had nothing more to give."""
        contacts = self.contacts
        if self.over:
            return True
        if self.entries_read - self.ledger.left >= ENTRIES_AT_ONCE:
            return False
        room = self.s.settings.window_size - len(contacts.live)
        idle = not contacts.in_flight and not contacts.waiting
        if room <= self.s.settings.window_size // 2 or (self.recovering and not idle):
            return False
        enough = max(self.seats, len(contacts.in_flight))
        if len(contacts.live) > enough:
            return False  # what has come since has its turn after these
        if not idle and now - self.read_at < POLL_SECONDS:
            if contacts.waiting > enough:
                return False
            if self.read_dry:
                return True
        if self.recovering:
            # they are read by contact, so those that are done with must be gone before the next look
            self.contacts.park_troubled()
            self.settle()
        wants_backfill = not contacts.live and len(contacts.backfill) <= self.backfill_batch // 4
        try:
            read = self.s.lane.read(live=room, backfill=min(room, self.backfill_batch) if wants_backfill else 0)
        except EpochEnded:
            self.end_epoch()
            return True
        self.read_at = now
        self.recovering = read.recovered
        if read.backfill:
            self.pace_backfill(now)
        self.take_in(read)
        self.read_dry = not read.live and not read.backfill and wants_backfill
        return self.read_dry

    def pace_backfill(self, now: float) -> None:
        """Read as much backfill as takes about a quarter of a second, so that it never stands long before live."""
        if now - self.backfill_read_at < 0.25:
            self.backfill_batch = min(self.s.settings.window_size, self.backfill_batch * 2)
        elif now - self.backfill_read_at > 1:
            self.backfill_batch = max(8, self.backfill_batch // 2)
        self.backfill_read_at = now

    def take_in(self, read: Read) -> None:
        """Open and map what was read; what no call can help is done with."""
        contacts, updates = self.contacts, list[Pair]()
        contacts.now_ms = read.now_ms
        entries = read.entries()
        self.entries_read += len(entries)
        for entry in entries:
            if read.deaths_alone >= self.s.settings.crashes_allowed > 0:
                self.ledger.fail(entry, _killer(read), now_ms=read.now_ms)
                continue
            try:
                profile = entry.open(self.s.ring, self.s.destination.id)
            except SealBroken as broken:
                if not broken.tampered:
                    self.stop(_locked())
                    return
                self.ledger.fail(entry, _tampered(broken), now_ms=read.now_ms)
                continue
            update = contacts.mapping.resolve(
                profile,
                occurred_at_ms=entry.origin.occurred_at_ms,
                arrived_at_ms=entry.origin.stamp_ms,
                now_ms=read.now_ms,
            )
            if isinstance(update, Excluded):
                self.ledger.exclude(entry, update.reason, update.detail)
            else:
                updates.append((entry, update))
        had_live = bool(contacts.live)
        contacts.take_in(updates)
        if contacts.live and not had_live:
            self.ask_at = 0.0  # what was refused to backfill may be granted to a live call

    def move(self, entry: Entry, tag: bytes, lane: int) -> None:
        """Seal an entry anew for the lane that its contact has by now."""
        clear = orjson.dumps(entry.open(self.s.ring, self.s.destination.id))
        fields = seal_origin(clear, entry.origin, tag, self.s.destination.id, self.s.ring)
        if entry.attempts:
            fields += ["n", entry.attempts, "t", entry.first_tried_at_ms]
        self.ledger.move(entry, lane, fields)
        self.moved_to.add(lane)

    # -- calling -------------------------------------------------------------------------------------------------------

    def dispatch(self, now: float) -> None:
        """Plan calls as far as seats and the schedule allow."""
        contacts = self.contacts
        while not self.over and contacts.waiting:
            if not self.starts and (now < self.ask_at or not self.ask(now)):
                break
            contact = contacts.next()
            start_at = self.starts.popleft()
            self.callers.add(contact, contacts.body(contact), start_at, by=start_at + self.latest_start)
            if self.s.only_one_call:
                self.over = True
        if contacts.in_flight and not self.starts and (
            now - self.asked_at > KEEP_SEATS_SECONDS or (self.callers.late and now - self.asked_at > POLL_SECONDS)
        ):  # fmt: skip
            self.ask(now)
        self.callers.staff(max(self.seats, 1))

    def ask(self, now: float) -> bool:
        """Ask the pacer; False when nothing may start now."""
        contacts = self.contacts
        call_seconds = self.callers.call_seconds()
        count = 0 if self.over else min(contacts.waiting, STARTS_AT_ONCE if call_seconds else STARTS_AT_FIRST)
        admission = self.s.pacer.ask(
            in_flight=self.callers.in_flight,
            outstanding=len(contacts.in_flight),
            most_seats=1 if self.s.only_one_call else min(self.s.pulse.most_seats, self.s.settings.calls_at_once),
            starts=min(count, 1) if self.s.only_one_call else count,
            accepted=self.accepted,
            backfill=not contacts.live,
            call_seconds=call_seconds,
        )
        self.accepted = 0
        self.asked_at = now
        self.seats = admission.seats
        self.latest_start = LATEST_START_SECONDS if admission.interval_seconds > FAST_RATE_SECONDS else 1.0
        self.starts.extend(admission.first_at + i * admission.interval_seconds for i in range(admission.starts))
        self.ask_at = now + admission.wait_seconds
        self.refused_for = admission.reason
        self.low_water = (len(contacts.in_flight) + admission.starts) // 2
        if admission.starts:
            return True
        if admission.wait_seconds > LONGEST_WAIT_SECONDS:
            self.over, self.wait_seconds = True, admission.wait_seconds
        return False

    def send(self, contact: Contact, body: bytes) -> Accepted:
        """On a thread of the pool: one call."""
        contacts = self.s.client.contacts
        return (contacts.post if contact.post else contacts.patch)(body, before_sending=self.make_sure)

    def make_sure(self) -> None:
        """Asked when all that a call waits for is there, right before it goes out."""
        if not self.s.lane.may_send():
            raise LeaseLost(f"Lane {self.s.lane.number} of {self.s.destination.id} is not surely ours any more.")

    def patience(self) -> float:
        """How long to wait for answers before looking around again."""
        if not self.contacts.in_flight and not self.contacts.waiting:
            return 0.0
        if self.contacts.waiting and not self.over:
            return min(POLL_SECONDS, max(0.0005, self.ask_at - time.monotonic()))
        return POLL_SECONDS

    # -- answers -------------------------------------------------------------------------------------------------------

    def handle(self, answer: Answer[Contact]) -> None:
        contact, result, contacts = answer.contact, answer.result, self.contacts
        del contacts.in_flight[contact.key]
        if isinstance(result, StartMissed):
            contacts.put_back(contact)
            return
        if self.refused_for == "seats" and len(contacts.in_flight) <= self.low_water:
            self.ask_at = 0.0
        if not isinstance(result, LeaseLost):
            self.ledger.pending.count("calls")
        match result:
            case Accepted():
                self.answered += 1
                self.accepted += 1
                self.contacts.park_troubled()
                contacts.accept(contact)
            case LeaseLost():
                raise result
            case AccountThrottled():
                wait = self.s.pacer.back_off(result.kind, result.wait_seconds)
                self.starts.clear()
                if wait > LONGEST_WAIT_SECONDS:
                    self.over, self.wait_seconds = True, wait
                contacts.put_back(contact)
            case DestinationUnreachable() | DestinationBroken():
                self.stop(result)
            case ContactTroubled():
                self.trouble(contact, result)
            case AttributeRefused() if not self.reloaded:
                self.reload(contact)
            case ContactUnknown() if contacts.may_create(contact):
                contacts.create(contact)
            case ContactRefused():
                self.answered += 1
                self.contacts.park_troubled()
                contacts.refuse(contact, result)
            case _:
                self.trouble(contact, _unforeseen(result))

    def reload(self, contact: Contact) -> None:
        """Marketing Cloud does not know an attribute that the catalog knows: look once whether the catalog is old."""
        self.reloaded = True
        try:
            self.contacts.mapping = self.s.reload_mapping()
        except CallError as error:
            self.stop(error)
            return
        self.contacts.put_back(contact)

    def trouble(self, contact: Contact, error: ContactTroubled) -> None:
        self.contacts.troubled[contact.key] = (contact, error)
        count = len(self.contacts.troubled)
        if self.s.only_one_call:
            # the next probe is another contact's: this one's trouble may be its own
            self.contacts.park_troubled()
        if self.s.only_one_call or count >= TROUBLES_IN_A_ROW:
            many = "" if self.s.only_one_call else f"{count} calls in a row failed; the last one: "
            self.stop(
                DestinationUnreachable(
                    f"{many}{error}",
                    code="outage",
                    remedy=error.remedy,
                    http_status=error.http_status,
                    wait_seconds=error.wait_seconds,
                )
            )

    def stop(self, error: CallError) -> None:
        """The destination as a whole is in trouble: nothing more is started, the entries stay in the lane."""
        self.over = True
        self.contacts.leave_troubled()
        if self.error is None or isinstance(error, DestinationBroken):
            self.error = error

    def settle(self) -> None:
        self.settled_at = time.monotonic()
        if self.ledger.pending and not self.epoch_ended:
            try:
                self.s.lane.settle(self.ledger.take(), hour=self.s.clock.now_ms() // 3_600_000)
            except EpochEnded:
                self.end_epoch()

    def end_epoch(self) -> None:
        """Nothing more is started or written for an epoch that has ended; the calls in flight are waited for."""
        self.over = self.epoch_ended = True


def _killer(read: Read) -> CallError:
    return CallError(
        f"{read.deaths} workers died while they had this contact, {read.deaths_alone} of them with this contact alone.",
        code="worker_killed",
        remedy="Export it with `activation failures DESTINATION --export FILE`, find what is special about it, then replay.",
    )


def _tampered(broken: SealBroken) -> CallError:
    return CallError(str(broken), code="seal_tampered", remedy=broken.remedy)


def _locked() -> DestinationBroken:
    return DestinationBroken(
        "No key of ACTIVATION_SECRET_KEYS opens the waiting profiles.",
        code="seal_broken",
        remedy="Add the key they were sealed with back to the end of ACTIVATION_SECRET_KEYS and restart the workers.",
    )


def _unforeseen(error: Exception) -> ContactTroubled:
    return ContactTroubled(f"Unforeseen {type(error).__name__} while calling; please report it.", code="internal_error")
