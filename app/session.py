"""One worker's session at one lane: read what waits, merge it per contact, call at the pace allowed, settle what is done.

Work flows without pauses: entries are read while calls are in flight, live ones always before backfill; each contact has at
most one call in flight, and what arrives for it meanwhile waits behind and merges. Outcomes are settled in batches. The
session owns no thread but the caller's; calls run on the process's pool.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.errors import (
    AccountThrottled,
    AddressRequired,
    AttributeRefused,
    CallError,
    ContactRefused,
    ContactTroubled,
    ContactUnknown,
    DestinationBroken,
    DestinationUnreachable,
    LeaseLost,
)
from app.lanes.delivered import Delivered, contact_tag, decode, encode
from app.lanes.entries import Entry, purpose, read_entry
from app.lanes.merge import Merged, Tags, Update, merge
from app.mapping import CompiledMapping, ContactUpdate, Excluded, Reason
from app.outcomes import Ledger, Outcome
from app.sfmc.responses import Accepted

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from threading import Event

    from app.destinations import Destination
    from app.lanes.lane import Lane
    from app.pacing.pacer import Pacer
    from app.sealing import KeyRing
    from app.settings import Settings
    from app.sfmc import MarketingCloud

SETTLE_AT = 100  # entries
SETTLE_AFTER_SECONDS = 0.05
POLL_SECONDS = 0.05  # how long a live entry may lie unseen behind calls in flight
LONGEST_WAIT_SECONDS = 2.0  # beyond that a session gives its slot back
TROUBLES_IN_A_ROW = 5  # so many contacts in trouble and none well: it is the destination
HTML_ENABLED = "Email Addresses.HTML Enabled"
EMAIL_SET = "Email Addresses"


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
    ring: KeyRing
    settings: Settings
    stopping: Event
    only_one_call: bool = False  # a probe

    def run(self) -> Result:
        """Work until the lane is empty, the slice is over or something stops it. Raises `LeaseLost`."""
        return _Work(self).run()


@dataclass(frozen=True, slots=True)
class Result:
    """How a session ended. `error` stands for the destination as a whole; `wait_seconds` before coming back."""

    answered: int = 0
    error: CallError | None = None
    wait_seconds: float = 0.0


@dataclass(slots=True)
class _Contact:
    """What is under way for one contact."""

    key: str
    tag: bytes
    backfill: bool
    entries: list[Entry]
    updates: list[ContactUpdate]
    merged: Merged
    post: bool = False
    behind: deque[list[tuple[Entry, ContactUpdate]]] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Answer:
    contact: _Contact
    result: Accepted | Exception
    seconds: float


class _Work:
    def __init__(self, session: Session) -> None:
        self.s = session
        self.mapping = session.mapping
        self.ledger = Ledger(session.destination.id, session.ring, session.settings)
        self.purpose = purpose(session.destination.id)
        self.tags = Tags()
        self.rows: dict[bytes, dict[bytes, Delivered]] = {}
        self.waiting: dict[str, _Contact] = {}  # live
        self.waiting_backfill: dict[str, _Contact] = {}
        self.in_flight: dict[str, _Contact] = {}
        self.answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        self.starts: deque[float] = deque()
        self.troubled: list[tuple[_Contact, ContactTroubled]] = []
        self.seats = 0
        self.accepted = 0
        self.answered = 0
        self.answer_seconds = 0.0
        self.ask_at = 0.0
        self.refused_for = ""
        self.asked_at = 0.0
        self.read_at = 0.0
        self.settled_at = time.monotonic()
        self.now_ms = int(time.time() * 1000)
        self.backfill_batch = 16
        self.backfill_read_at = 0.0
        self.wait_seconds = 0.0
        self.error: CallError | None = None
        self.over = False
        self.suspects = False
        self.read_dry = False
        self.reloaded = False

    # -- the loop ------------------------------------------------------------------------------------------------------

    def run(self) -> Result:
        slice_ends = time.monotonic() + self.s.settings.slice_seconds
        try:
            while True:
                now = time.monotonic()
                if self.s.stopping.is_set() or now > slice_ends:
                    self.over = True
                dry = self.fill(now)
                self.dispatch()
                if not self.in_flight:
                    self.settle()
                    if self.over or (dry and not self.has_waiting()):
                        break
                if self.in_flight or self.has_waiting():
                    self.collect()
                if len(self.ledger.pending) >= SETTLE_AT or now - self.settled_at > SETTLE_AFTER_SECONDS:
                    self.settle()
                self.s.lane.renew_when_due()
            self.park_troubled()
            self.settle()
        finally:
            self.s.pacer.leave()
        return Result(self.answered, self.error, self.wait_seconds)

    def has_waiting(self) -> bool:
        return bool(self.waiting or self.waiting_backfill)

    # -- reading -------------------------------------------------------------------------------------------------------

    def fill(self, now: float) -> bool:
        """Read more when there is room. True when the lane had nothing more to give."""
        if self.over:
            return True
        room = self.s.settings.window_size - len(self.waiting)
        idle = not self.in_flight and not self.has_waiting()
        if room <= self.s.settings.window_size // 2 or (self.suspects and not idle):
            return False
        if (
            not idle
            and now - self.read_at < POLL_SECONDS
            and len(self.waiting) + len(self.waiting_backfill) > self.seats
        ):
            return False
        if not idle and now - self.read_at < POLL_SECONDS and self.read_dry:
            return True
        if self.suspects:
            self.settle()  # they are read by id, so those that are done must be gone before the next look
        wants_backfill = not self.waiting and len(self.waiting_backfill) <= self.backfill_batch // 4
        read = self.s.lane.read(live=room, backfill=min(room, self.backfill_batch) if wants_backfill else 0)
        self.read_at = now
        self.now_ms = read.now_ms
        self.suspects = read.crashes > 0
        if read.backfill:
            self.pace_backfill(now)
        self.take_in(
            [self.open_entry(raw, backfill=False) for raw in read.live]
            + [self.open_entry(raw, backfill=True) for raw in read.backfill],
            alone=read.crashes if len(read.live) + len(read.backfill) == 1 else 0,
        )
        self.read_dry = not read.live and not read.backfill and wants_backfill
        return self.read_dry

    def pace_backfill(self, now: float) -> None:
        """Read as much backfill as takes about a quarter of a second, so that it never stands long before live."""
        if now - self.backfill_read_at < 0.25:
            self.backfill_batch = min(self.s.settings.window_size, self.backfill_batch * 2)
        elif now - self.backfill_read_at > 1:
            self.backfill_batch = max(8, self.backfill_batch // 2)
        self.backfill_read_at = now

    def open_entry(self, raw: Any, *, backfill: bool) -> Entry:
        return read_entry(raw, backfill=backfill, ring=self.s.ring, seal_purpose=self.purpose)

    def take_in(self, entries: list[Entry], *, alone: int) -> None:
        """Give each entry to its contact, and plan every contact that is free."""
        touched: dict[str, list[tuple[Entry, ContactUpdate]]] = {}
        for entry in entries:
            if alone > self.s.settings.crashes_allowed:
                self.ledger.fail(entry, _killer(alone), now_ms=self.now_ms)
                continue
            if entry.profile is None:
                self.stop(_unopened())
                return
            update = self.mapping.resolve(entry.profile, occurred_at_ms=entry.occurred_at_ms, now_ms=self.now_ms)
            if isinstance(update, Excluded):
                self.ledger.exclude(entry, update.reason, update.detail)
            else:
                touched.setdefault(update.contact_key, []).append((entry, update))
        tags = {key: contact_tag(key, self.s.pepper) for key in touched}
        unknown = [tag for tag in tags.values() if tag not in self.rows]
        for tag, row in self.s.lane.delivered(unknown).items():
            self.rows[tag] = decode(row)
        for key, group in touched.items():
            busy = self.in_flight.get(key)
            if busy is not None:
                busy.behind.append(group)
                continue
            merged_group = group
            standing = self.waiting.pop(key, None) or self.waiting_backfill.pop(key, None)
            if standing is not None and standing.behind:
                standing.behind.append(group)
                self.enqueue(standing)
                continue
            if standing is not None:
                merged_group = [*zip(standing.entries, standing.updates, strict=True), *group]
            self.plan(key, tags[key], merged_group)

    # -- planning ------------------------------------------------------------------------------------------------------

    def plan(
        self, key: str, tag: bytes, group: list[tuple[Entry, ContactUpdate]],
        behind: deque[list[tuple[Entry, ContactUpdate]]] | None = None,
    ) -> None:  # fmt: skip
        """Merge; what needs no call is done at once, the rest waits for its call."""
        while True:
            entries = [entry for entry, _ in group]
            updates = [update for _, update in group]
            row = self.rows[tag]
            merged = merge(
                [
                    Update(update.values, entry.force, entry.returned)
                    for entry, update in zip(entries, updates, strict=True)
                ],
                row,
                pepper=self.s.pepper,
                tags=self.tags,
            )
            if merged.send:
                if self.s.destination.options.without_email == "exclude" and not row and not self.has_email(merged):
                    for entry in entries:
                        self.ledger.exclude(entry, Reason.MISSING_EMAIL)
                else:
                    backfill = all(entry.backfill for entry in entries)
                    contact = _Contact(key, tag, backfill, entries, updates, merged)
                    contact.behind.extend(behind or ())
                    self.enqueue(contact)
                    return
            else:
                self.ledger.close_all((entries[i] for i in merged.unchanged), Outcome.UNCHANGED)
                self.ledger.close_all((entries[i] for i in merged.superseded), Outcome.SUPERSEDED)
                if merged.after != row:
                    self.note_delivered(tag, merged.after)
            if not behind:
                return
            group = behind.popleft()

    def has_email(self, merged: Merged) -> bool:
        return self.mapping.email in merged.full

    def enqueue(self, contact: _Contact) -> None:
        if not contact.backfill and not self.waiting:
            self.ask_at = 0.0  # what was refused to backfill may be granted to a live call
        (self.waiting_backfill if contact.backfill else self.waiting)[contact.key] = contact

    def note_delivered(self, tag: bytes, after: dict[bytes, Delivered]) -> None:
        self.rows[tag] = after
        self.ledger.pending.delivered[tag] = encode(after, self.now_ms)

    def body(self, contact: _Contact) -> bytes:
        """What the call carries: the changes, the email along with them, and HTML Enabled as the destination says."""
        options, merged, email = self.s.destination.options, contact.merged, self.mapping.email
        values = dict(merged.full if contact.post else merged.send)
        if options.send_email == "always" and email in merged.full:
            values[email] = merged.full[email]
        first = email in values and self.tags[email] not in self.rows[contact.tag]
        if (
            options.html_enabled == "always" or (options.html_enabled == "first" and (first or contact.post))
        ) and email in values:
            values.setdefault(HTML_ENABLED, True)
        return self.mapping.body(contact.key, values)

    # -- calling -------------------------------------------------------------------------------------------------------

    def dispatch(self) -> None:
        """Start calls as far as seats and the schedule allow."""
        while not self.over and self.has_waiting():
            if not self.starts and not self.ask():
                return
            if len(self.in_flight) >= self.seats:
                return
            source = self.waiting or self.waiting_backfill
            contact = source.pop(next(iter(source)))
            self.in_flight[contact.key] = contact
            self.s.calls.submit(self.call, contact, self.body(contact), self.starts.popleft())
            if self.s.only_one_call:
                self.over = True

    def ask(self) -> bool:
        """Ask the pacer; False when nothing may start now."""
        now = time.monotonic()
        if now < self.ask_at:
            return False
        count = 1 if self.s.only_one_call else len(self.waiting) + len(self.waiting_backfill)
        admission = self.s.pacer.ask(
            in_flight=len(self.in_flight),
            seats=min(count + len(self.in_flight), self.s.settings.calls_at_once),
            starts=min(count, 64),
            accepted=self.accepted,
            backfill=not self.waiting,
            answer_seconds=self.answer_seconds,
        )
        self.accepted = 0
        self.asked_at = now
        self.seats = admission.seats
        self.starts.extend(admission.first_at + i * admission.interval_seconds for i in range(admission.starts))
        if admission.starts:
            return True
        self.ask_at = now + admission.wait_seconds
        self.refused_for = admission.reason
        if admission.wait_seconds > LONGEST_WAIT_SECONDS:
            self.over, self.wait_seconds = True, admission.wait_seconds
        return False

    def call(self, contact: _Contact, body: bytes, start_at: float) -> None:
        """On a thread of the pool: one call at its time."""
        delay = start_at - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        started = time.monotonic()
        result: Accepted | Exception
        if self.s.lane.may_send():
            contacts = self.s.client.contacts
            try:
                result = contacts.post(body) if contact.post else contacts.patch(body)
            except Exception as error:  # noqa: BLE001  # handed to the session, which decides by its class
                result = error
        else:
            result = LeaseLost(f"Lane {self.s.lane.number} of {self.s.destination.id} is not surely ours any more.")
        self.answers.put(_Answer(contact, result, time.monotonic() - started))

    def collect(self) -> None:
        """Wait a moment for answers and deal with all that are there."""
        now = time.monotonic()
        wait = POLL_SECONDS
        if self.has_waiting() and not self.over and len(self.in_flight) < max(self.seats, 1):
            wait = min(wait, max(0.0005, self.ask_at - now))
        try:
            answer = self.answers.get(timeout=wait)
            while True:
                self.handle(answer)
                answer = self.answers.get_nowait()
        except queue.Empty:
            pass
        if self.in_flight and now - self.asked_at > 3 and not self.over:
            self.ask_at = 0.0  # keeps the seats alive while calls are slow
            self.ask()

    # -- answers -------------------------------------------------------------------------------------------------------

    def handle(self, answer: _Answer) -> None:
        contact, result = answer.contact, answer.result
        del self.in_flight[contact.key]
        if self.refused_for.endswith("seats"):
            self.ask_at = 0.0
        if not isinstance(result, LeaseLost):
            self.ledger.pending.count("calls")
        match result:
            case Accepted():
                self.answer_seconds = (
                    0.8 * self.answer_seconds + 0.2 * answer.seconds if self.answered else answer.seconds
                )
                self.answered += 1
                self.accepted += 1
                self.park_troubled()
                self.accept(contact)
            case LeaseLost():
                raise result
            case AccountThrottled():
                wait = self.s.pacer.back_off(result.kind, result.wait_seconds)
                self.starts.clear()
                if wait > LONGEST_WAIT_SECONDS:
                    self.over, self.wait_seconds = True, wait
                self.enqueue(contact)
            case DestinationUnreachable() | DestinationBroken():
                self.stop(result)
            case ContactTroubled():
                self.trouble(contact, result)
            case AttributeRefused() if not self.reloaded:
                self.reload(contact)
            case ContactUnknown() if self.may_create(contact):
                self.create(contact)
            case ContactRefused():
                self.answered += 1
                self.park_troubled()
                self.refuse(contact, result)
            case _:
                self.trouble(contact, _unforeseen(result))

    def accept(self, contact: _Contact) -> None:
        merged = contact.merged
        for position in merged.contributing:
            self.ledger.close(contact.entries[position], Outcome.DELIVERED)
            for segment, status in contact.updates[position].statuses.items():
                self.ledger.pending.count(f"segment:{segment}:{status}")
        self.ledger.close_all((contact.entries[i] for i in merged.unchanged), Outcome.UNCHANGED)
        self.ledger.close_all((contact.entries[i] for i in merged.superseded), Outcome.SUPERSEDED)
        self.note_delivered(contact.tag, merged.after)
        self.next_of(contact)

    def refuse(self, contact: _Contact, error: ContactRefused) -> None:
        """A merged call was refused: find the guilty entry by sending each alone; a single one fails."""
        if len(contact.entries) > 1:
            singles = deque([pair] for pair in zip(contact.entries, contact.updates, strict=True))
            singles.extend(contact.behind)
            self.plan(contact.key, contact.tag, singles.popleft(), singles)
            return
        entry = contact.entries[0]
        if isinstance(error, AddressRequired | ContactUnknown) and not self.has_email(contact.merged):
            self.ledger.exclude(entry, Reason.MISSING_EMAIL)
        else:
            self.ledger.fail(entry, error, now_ms=self.now_ms)
        self.next_of(contact)

    def may_create(self, contact: _Contact) -> bool:
        return not contact.post and self.s.destination.options.create_unknown and self.has_email(contact.merged)

    def create(self, contact: _Contact) -> None:
        """The contact does not exist, whatever was delivered once: POST all that is known of it."""
        self.rows[contact.tag] = {}
        pairs = list(zip(contact.entries, contact.updates, strict=True))
        self.plan(contact.key, contact.tag, pairs, contact.behind)
        standing = self.waiting.get(contact.key) or self.waiting_backfill.get(contact.key)
        if standing is not None:
            standing.post = True

    def reload(self, contact: _Contact) -> None:
        """Marketing Cloud does not know an attribute that the catalog knows: look once whether the catalog is old."""
        self.reloaded = True
        try:
            self.mapping = self.s.reload_mapping()
        except CallError as error:
            self.stop(error)
            return
        self.enqueue(contact)

    def trouble(self, contact: _Contact, error: ContactTroubled) -> None:
        self.troubled.append((contact, error))
        if len(self.troubled) >= TROUBLES_IN_A_ROW:
            self.stop(
                DestinationUnreachable(
                    f"{len(self.troubled)} calls in a row failed; the last one: {error}",
                    code="outage",
                    remedy=error.remedy,
                    http_status=error.http_status,
                    wait_seconds=error.wait_seconds,
                )
            )

    def park_troubled(self) -> None:
        """Others are well, so these contacts are in trouble of their own: out of the way with them, for a while."""
        for contact, error in self.troubled:
            for entry in contact.entries:
                self.ledger.retry_later(entry, error, now_ms=self.now_ms)
            self.next_of(contact)
        self.troubled.clear()

    def stop(self, error: CallError) -> None:
        """The destination as a whole is in trouble: nothing more is started, the entries stay in the lane."""
        self.over = True
        self.troubled.clear()
        if self.error is None or isinstance(error, DestinationBroken):
            self.error = error

    def next_of(self, contact: _Contact) -> None:
        """What came in meanwhile for this contact is next."""
        if contact.behind:
            self.plan(contact.key, contact.tag, contact.behind.popleft(), contact.behind)

    def settle(self) -> None:
        self.settled_at = time.monotonic()
        if len(self.ledger.pending) or self.ledger.pending.run:
            self.s.lane.settle(self.ledger.take())


def _killer(crashes: int) -> CallError:
    return CallError(
        f"Its worker died {crashes} times while it was being worked on, the last times with this profile alone.",
        code="worker_killed",
        remedy="Export it with `activation failures DESTINATION --export FILE`, find what is special about it, then replay.",
    )


def _unopened() -> DestinationBroken:
    return DestinationBroken(
        "No key of ACTIVATION_SECRET_KEYS opens the waiting profiles.",
        code="seal_broken",
        remedy="Add the key they were sealed with back to the end of ACTIVATION_SECRET_KEYS and restart the workers.",
    )


def _unforeseen(error: Exception) -> ContactTroubled:
    return ContactTroubled(f"Unforeseen {type(error).__name__} while calling; please report it.", code="internal_error")
