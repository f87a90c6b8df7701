"""The session at a lane as a state machine: what to do next, and what each event means.

Pure; `app.delivery.loop` carries it out.

A session works (reads entries, calls contacts), finishes (reads no more), ends (starts nothing more, waits for calls in
flight), and has ended. Decisions depend only on its state, on what it has in hand (`InHand`) and on the time.
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
FRESH_SECONDS = 0.02  # a read that found nothing is not repeated sooner, even before the end
REST_SECONDS = 1.0  # the longest wait for an event, because the lease has to be renewed
LONGEST_HOLD_SECONDS = 2.0  # if the account has to be left alone for longer, the session gives its slot back
BACKFILL_BATCH = 16
MUCH_ENTRIES = 16  # in a first read: another process may be the one to work on them
BACKFILL_SECONDS = 0.25  # about how long a batch of backfill takes, so that live entries never wait long behind it
UNSETTLED_ENTRIES = 5_000  # a contact that changes all the time would gather ever more
# What a session has read but not called when it ends is read again by the next one. So it reads for a long time, then works off
# what it holds. All of that, even a last call of two minutes, is over before the broker would give its wake-up to another worker,
# which would do no harm but take a slot
READS_SECONDS_AT_LEAST, READS_SECONDS_AT_MOST, FINISHES_SECONDS = 60.0, 90.0, 40.0


class Phase(StrEnum):
    WORKING = "working"
    FINISHING = "finishing"  # reads no more and works off the live contacts in hand
    ENDING = "ending"  # starts nothing more


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of a session.

    `reads_seconds`: how long a session that always has work goes on reading. `is_probe`: it makes one call. `rest_seconds`:
      its longest wait.
    """

    window_size: int
    slice_seconds: float
    reads_seconds: float = READS_SECONDS_AT_MOST
    is_probe: bool = False
    rest_seconds: float = REST_SECONDS


@dataclass(frozen=True, slots=True)
class InHand:
    """What a session has in hand.

    `live`, `backfill`: contacts that wait for their call. `doubtful`: contacts whose call failed transiently. `in_flight`:
    calls under way; `started`: calls of the whole session. `unsettled`: entries whose outcome is not written yet; `held`:
    entries without an outcome.
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
    """Write the outcomes within `within_seconds`. `park_doubtful`: first park the doubtful contacts."""

    park_doubtful: bool = False
    within_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SliceOver:
    """Find out whether another slice may follow (`slice_over`)."""


@dataclass(frozen=True, slots=True)
class Read:
    """Read up to `live` live entries or, if there are none, up to `backfill` backfill entries."""

    live: int
    backfill: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for an event, at most `seconds`. `want`: how many calls could start now."""

    want: int
    seconds: float


@dataclass(frozen=True, slots=True)
class End:
    """Stop: nothing is left to do."""


Command = Settle | SliceOver | Read | Wait | End


# -- state -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionState:
    """The state of a session; times are those of time.monotonic().

    `found`: the last read found something. `dry`: it asked for everything and found nothing. `recovering`: it found entries
      of a worker that died, which are read one contact at a time. `error`: the destination as a whole failed.
      `wait_seconds`: how long to wait before coming back.
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


def next_command(state: SessionState, in_hand: InHand, now: float, rules: Rules) -> Command:
    """Return what to do next. Carrying it out changes the state or what is in hand, except for `Wait` and `End`; then ask again."""
    working = may_start_calls(state, in_hand, rules)
    if in_hand.unsettled and not state.epoch_ended:
        if in_hand.unsettled >= SETTLE_AT_ENTRIES:
            return Settle()
        if now - state.settled_at > SETTLE_AFTER_SECONDS:
            return Settle(within_seconds=SHARE_SECONDS)
    if working and now > state.slice_ends:
        return SliceOver()
    if working and (read := _reading(state, in_hand, now, rules)):
        if state.recovering and (in_hand.unsettled or in_hand.doubtful):
            # these reads go by contact, so finished entries must be settled before the next one
            return Settle(park_doubtful=True)
        return read
    if not in_hand.in_flight and (not working or (state.dry and not in_hand.waiting)):
        if in_hand.doubtful or (in_hand.unsettled and not state.epoch_ended):
            return Settle(park_doubtful=True)
        return End()
    if in_hand.idle and in_hand.doubtful and in_hand.held >= UNSETTLED_ENTRIES:
        # entries behind them fill the session, so no other contact can be read that would settle the doubt
        return Settle(park_doubtful=True)
    wanted = in_hand.live if state.phase is Phase.FINISHING else in_hand.waiting
    if rules.is_probe:
        wanted = min(1, wanted)
    return Wait(wanted if working else 0, _rest(state, in_hand, now, rules))


def may_start_calls(state: SessionState, in_hand: InHand, rules: Rules) -> bool:
    """Return whether the session itself allows calls to start."""
    has_to_do = state.phase is Phase.WORKING or (state.phase is Phase.FINISHING and in_hand.live > 0)
    return has_to_do and not (rules.is_probe and in_hand.started)


def _rest(state: SessionState, in_hand: InHand, now: float, rules: Rules) -> float:
    rest = rules.rest_seconds
    if in_hand.unsettled and not state.epoch_ended:
        rest = min(rest, state.settled_at + SETTLE_AFTER_SECONDS - now)
    if may_start_calls(state, in_hand, rules):
        rest = min(rest, state.slice_ends - now)
        if (reads_at := _reads_at(state, in_hand, rules)) is not None:
            rest = min(rest, reads_at - now)
    return max(0.001, rest)


def _reading(state: SessionState, in_hand: InHand, now: float, rules: Rules) -> Read | None:
    """Return what to read, if there is room and need."""
    reads_at = _reads_at(state, in_hand, rules)
    if reads_at is None or now < reads_at:
        return None
    room = rules.window_size - in_hand.live
    wants_backfill = not in_hand.live and in_hand.backfill <= state.backfill_batch // 4
    return Read(room, min(room, state.backfill_batch) if wants_backfill else 0)


def _reads_at(state: SessionState, in_hand: InHand, rules: Rules) -> float | None:
    """Return when to read more if nothing happens before; None: not until something does."""
    if state.phase is Phase.FINISHING or in_hand.held >= UNSETTLED_ENTRIES:
        return None
    room = rules.window_size - in_hand.live
    if room <= rules.window_size // 2 or (state.recovering and not in_hand.idle):
        return None
    if in_hand.live > max(1, in_hand.in_flight):
        return None  # newer entries have their turn after these
    if in_hand.idle:
        return state.read_at + FRESH_SECONDS if state.dry else state.read_at
    if state.found and in_hand.waiting <= in_hand.in_flight:
        return state.read_at
    return state.read_at + _reread_seconds(in_hand)


def _reread_seconds(in_hand: InHand) -> float:
    return REREAD_BEHIND_BACKFILL_SECONDS if in_hand.waiting else REREAD_SECONDS


def takes_long(state: SessionState, found: int, rules: Rules) -> bool:
    """Return whether the first read found so much that another process may be the one to work on it."""
    return state.read_at == float("-inf") and found >= MUCH_ENTRIES and not rules.is_probe


# -- events ------------------------------------------------------------------------------------------------------------


def read_done(
    state: SessionState, command: Read, *, live: int, backfill: int, recovered: bool, now: float
) -> SessionState:
    """Note how many entries a read found. `recovered`: they belonged to a worker that died."""
    batch, read_at = state.backfill_batch, state.backfill_read_at
    if backfill:
        if read_at is None:
            pass  # the next read shows how long this batch lasts
        elif now - read_at < BACKFILL_SECONDS:
            batch *= 2
        elif now - read_at > 4 * BACKFILL_SECONDS:
            batch = max(8, batch // 2)
        read_at = now
    found = live + backfill > 0
    dry = not found and command.backfill > 0
    return replace(
        state,
        read_at=now,
        found=found,
        dry=dry,
        recovering=recovered,
        backfill_batch=min(batch, 1_000),
        backfill_read_at=read_at,
    )


def settled(state: SessionState, now: float) -> SessionState:
    return replace(state, settled_at=now)


def slice_over(state: SessionState, rules: Rules, *, goes_on: bool) -> SessionState:
    """Begin the next slice, or end. `goes_on`: another slice may follow; the session may have been told to end meanwhile."""
    if state.phase is Phase.ENDING:
        return state
    ends = state.slice_ends + rules.slice_seconds
    state = replace(state, slice_ends=ends)
    if not goes_on or ends > state.reads_until + FINISHES_SECONDS:
        return told_to_end(state)
    return state if ends <= state.reads_until else replace(state, phase=Phase.FINISHING)


def told_to_end(state: SessionState) -> SessionState:
    """Start nothing more, but wait for calls in flight."""
    return replace(state, phase=Phase.ENDING)


def held(state: SessionState, seconds: float) -> SessionState:
    """Leave the account alone for `seconds`."""
    if seconds <= LONGEST_HOLD_SECONDS:
        return state
    return replace(told_to_end(state), wait_seconds=max(seconds, state.wait_seconds))


def destination_failed(state: SessionState, error: CallError) -> SessionState:
    """Note that the destination as a whole failed; the entries stay in the lane.

    A broken destination outranks an unreachable one.
    """
    if state.error is not None and not isinstance(error, DestinationBroken):
        error = state.error
    return replace(told_to_end(state), error=error)


def epoch_over(state: SessionState) -> SessionState:
    """Start and write nothing more, because the epoch has ended; wait for calls in flight."""
    return replace(told_to_end(state), epoch_ended=True)
