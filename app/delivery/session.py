"""The session at a lane as a state machine: what to do next, and what each event means. Pure; `app.delivery.loop` carries it out.

A session works (reads entries, calls contacts), finishes (reads no more), ends (starts nothing more and waits for what is in flight),
and has ended. What it decides depends on its state, on what it has in hand (`Load`) and on the time, and on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from app.errors import CallError, DestinationBroken

SETTLE_AT_ENTRIES = 100
SETTLE_AFTER_SECONDS = 0.05
SHARE_SECONDS = 0.1  # a small settlement may wait this long to share the gate's round trip
REREAD_SECONDS = 0.05  # how long a live entry may wait unread behind calls in flight
REREAD_BEHIND_BACKFILL_SECONDS = 0.1
FRESH_SECONDS = 0.02  # a read that found nothing so lately is not repeated before the end
REST_SECONDS = 1.0  # the longest wait for an event: the lease has to be renewed meanwhile
LONGEST_HOLD_SECONDS = 2.0  # when an account has to be left alone for longer, the session gives its slot back
BACKFILL_BATCH = 16
MUCH_ENTRIES = 16  # in a first read: they take a while, and may be another process' work
BACKFILL_SECONDS = 0.25  # as much backfill is read as takes about so long, so that it never stands long before live
UNSETTLED_ENTRIES = 5_000  # a contact that changes all the time would gather them without end
# What a session has read and not called when it ends is read again by the next one. So it reads for long, then works off what it
# holds. All of it, a last call that waits for a token and takes two minutes included, is over before the broker would give its wake-up
# to another worker, which does no harm but takes a slot
READS_SECONDS_AT_LEAST, READS_SECONDS_AT_MOST, FINISHES_SECONDS = 60.0, 90.0, 40.0


class Phase(StrEnum):
    WORKING = "working"
    FINISHING = "finishing"  # reads no more, and works off what is live of what it has in hand
    ENDING = "ending"  # starts nothing more


@dataclass(frozen=True, slots=True)
class Rules:
    """A session that always has work reads for `reads_seconds`; a probe makes one call. `rest_seconds` is the longest wait."""

    window_size: int
    slice_seconds: float
    reads_seconds: float = READS_SECONDS_AT_MOST
    is_probe: bool = False
    rest_seconds: float = REST_SECONDS


@dataclass(frozen=True, slots=True)
class Load:
    """What a session has in hand.

    `live` and `backfill` are contacts that wait for their call, `doubtful` those whose call came to nothing. `in_flight` are calls,
    `started` those of the whole session. `unsettled` entries have their outcome, which is not written yet; `held` ones have none.
    """

    live: int = 0
    backfill: int = 0
    in_flight: int = 0
    started: int = 0
    unsettled: int = 0
    held: int = 0
    doubtful: int = 0

    @property
    def waiting(self) -> int:
        return self.live + self.backfill

    @property
    def idle(self) -> bool:
        return not self.in_flight and not self.waiting


# -- commands ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settle:
    """Write what has its outcome, `within_seconds`. `park_doubtful`: park the contacts in doubt first."""

    park_doubtful: bool = False
    within_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SliceOver:
    """Find out whether another slice may follow (`slice_over`)."""


@dataclass(frozen=True, slots=True)
class Read:
    """Read up to `live` entries, or when there are none up to `backfill`."""

    live: int
    backfill: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for an event, for `seconds` at most. `want` calls would start now."""

    want: int
    seconds: float


@dataclass(frozen=True, slots=True)
class End:
    """There is nothing more to do."""


Command = Settle | SliceOver | Read | Wait | End


# -- state -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionState:
    """Times are of time.monotonic().

    `found`: the last read found something; `dry`: it asked for everything and found nothing. `recovering`: it found entries of a
    worker that went away, which are read one contact at a time. `error` stands for the destination as a whole, `wait_seconds` before
    coming back.
    """

    slice_ends: float
    reads_until: float
    phase: Phase = Phase.WORKING
    read_at: float = float("-inf")
    found: bool = False
    dry: bool = False
    recovering: bool = False
    settled_at: float = float("-inf")
    backfill_batch: int = BACKFILL_BATCH
    backfill_read_at: float | None = None
    error: CallError | None = None
    wait_seconds: float = 0.0
    epoch_ended: bool = False

    @classmethod
    def begun(cls, now: float, rules: Rules) -> SessionState:
        return cls(
            slice_ends=now + rules.slice_seconds,
            reads_until=now + rules.reads_seconds,
            settled_at=now,
        )


def next_command(state: SessionState, load: Load, now: float, rules: Rules) -> Command:
    """What to do next. `Wait` and `End` aside, carrying it out changes the state or the load; then ask again."""
    working = may_start_calls(state, load, rules)
    if load.unsettled and not state.epoch_ended:
        if load.unsettled >= SETTLE_AT_ENTRIES:
            return Settle()
        if now - state.settled_at > SETTLE_AFTER_SECONDS:
            return Settle(within_seconds=SHARE_SECONDS)
    if working and now > state.slice_ends:
        return SliceOver()
    if working and (read := _reading(state, load, now, rules)):
        if state.recovering and (load.unsettled or load.doubtful):
            # they are read by contact, so those that are done with must be gone before the next read
            return Settle(park_doubtful=True)
        return read
    if not load.in_flight and (not working or (state.dry and not load.waiting)):
        if load.doubtful or (load.unsettled and not state.epoch_ended):
            return Settle(park_doubtful=True)
        return End()
    if load.idle and load.doubtful and load.held >= UNSETTLED_ENTRIES:
        # what waits behind them fills the session: nobody else can be read who would tell
        return Settle(park_doubtful=True)
    wanted = load.live if state.phase is Phase.FINISHING else load.waiting
    if rules.is_probe:
        wanted = min(1, wanted)
    return Wait(wanted if working else 0, _rest(state, load, now, rules))


def may_start_calls(state: SessionState, load: Load, rules: Rules) -> bool:
    """Whether calls may be started, as far as the session goes."""
    has_to_do = state.phase is Phase.WORKING or (state.phase is Phase.FINISHING and load.live > 0)
    return has_to_do and not (rules.is_probe and load.started)


def _rest(state: SessionState, load: Load, now: float, rules: Rules) -> float:
    rest = rules.rest_seconds
    if load.unsettled and not state.epoch_ended:
        rest = min(rest, state.settled_at + SETTLE_AFTER_SECONDS - now)
    if may_start_calls(state, load, rules):
        rest = min(rest, state.slice_ends - now)
        if (reads_at := _reads_at(state, load, rules)) is not None:
            rest = min(rest, reads_at - now)
    return max(0.001, rest)


def _reading(state: SessionState, load: Load, now: float, rules: Rules) -> Read | None:
    """What to read, if there is room and need."""
    reads_at = _reads_at(state, load, rules)
    if reads_at is None or now < reads_at:
        return None
    room = rules.window_size - load.live
    wants_backfill = not load.live and load.backfill <= state.backfill_batch // 4
    return Read(room, min(room, state.backfill_batch) if wants_backfill else 0)


def _reads_at(state: SessionState, load: Load, rules: Rules) -> float | None:
    """When to read more, if nothing happens before; None: not before something does."""
    if state.phase is Phase.FINISHING or load.held >= UNSETTLED_ENTRIES:
        return None
    room = rules.window_size - load.live
    if room <= rules.window_size // 2 or (state.recovering and not load.idle):
        return None
    if load.live > max(1, load.in_flight):
        return None  # what has come since has its turn after these
    if load.idle:
        return state.read_at + FRESH_SECONDS if state.dry else state.read_at
    if state.found and load.waiting <= load.in_flight:
        return state.read_at
    return state.read_at + _reread_seconds(load)


def _reread_seconds(load: Load) -> float:
    return REREAD_BEHIND_BACKFILL_SECONDS if load.waiting else REREAD_SECONDS


def takes_long(state: SessionState, found: int, rules: Rules) -> bool:
    """Whether the first read found so much that another process may be the one to work here."""
    return state.read_at == float("-inf") and found >= MUCH_ENTRIES and not rules.is_probe


# -- events ------------------------------------------------------------------------------------------------------------


def read_done(
    state: SessionState, command: Read, *, live: int, backfill: int, recovered: bool, now: float
) -> SessionState:
    """So many entries were found."""
    batch, read_at = state.backfill_batch, state.backfill_read_at
    if backfill:
        if read_at is None:
            pass  # how long a batch lasts is known by the next
        elif now - read_at < BACKFILL_SECONDS:
            batch *= 2
        elif now - read_at > 4 * BACKFILL_SECONDS:
            batch = max(8, batch // 2)
        read_at = now
    found = live + backfill > 0
    dry = not found and command.backfill > 0
    return replace(
        state, read_at=now, found=found, dry=dry, recovering=recovered, backfill_batch=min(batch, 1_000), backfill_read_at=read_at
    )  # fmt: skip


def settled(state: SessionState, now: float) -> SessionState:
    return replace(state, settled_at=now)


def slice_over(state: SessionState, rules: Rules, *, goes_on: bool) -> SessionState:
    """`goes_on`: another slice may follow. The session may have been told to end while that was found out."""
    if state.phase is Phase.ENDING:
        return state
    ends = state.slice_ends + rules.slice_seconds
    state = replace(state, slice_ends=ends)
    if not goes_on or ends > state.reads_until + FINISHES_SECONDS:
        return told_to_end(state)
    return state if ends <= state.reads_until else replace(state, phase=Phase.FINISHING)


def told_to_end(state: SessionState) -> SessionState:
    """Nothing more is started; what is in flight is waited for."""
    return replace(state, phase=Phase.ENDING)


def held(state: SessionState, seconds: float) -> SessionState:
    """The account is to be left alone for so long."""
    if seconds <= LONGEST_HOLD_SECONDS:
        return state
    return replace(told_to_end(state), wait_seconds=max(seconds, state.wait_seconds))


def destination_failed(state: SessionState, error: CallError) -> SessionState:
    """The destination as a whole is in trouble: the entries stay in the lane. What is broken counts more than what is away."""
    if state.error is not None and not isinstance(error, DestinationBroken):
        error = state.error
    return replace(told_to_end(state), error=error)


def epoch_over(state: SessionState) -> SessionState:
    """Nothing more is started or written for an epoch that has ended; the calls in flight are waited for."""
    return replace(told_to_end(state), epoch_ended=True)
