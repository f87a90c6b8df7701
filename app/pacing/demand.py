"""How many starts a gate asks for, and what holds its calls up. Pure.

If permits let less through than the rate does, a start without a permit is useless; and if the schedule is granted some
time ahead, somebody else lacks that start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from app.pacing.asking import TICK_SECONDS
from app.pacing.permits import starts_worth_having
from app.pacing.starts import Why

if TYPE_CHECKING:
    from app.pacing.permits import Permits
    from app.pacing.schedule import Schedule

STARTS_AT_FIRST = 4  # until call time is known
FAR_SHARE = 0.5  # the rate is far if permits let through less than this share of it
FULL_SECONDS = TICK_SECONDS / 3  # if the schedule is granted this far ahead, others lack unused starts
SPARE_STARTS = 2  # calls do not end evenly
SPARE_TURNS = 2  # a tick need not begin with a start, and the next question may come late


@dataclass(frozen=True, slots=True)
class Situation:
    """What a gate knows when it asks, at `now` (time.monotonic()).

    `waiting`: calls that would start; `free_slots`: slots left in the process.
    `in_hand`: starts, ascending. `begun`: when the calls in flight began, ascending.
    `limit`: permits of the account; `permits`: how many of them this process can count on.
    `call_seconds`: how long a call takes. `interval_seconds`: between two starts of the account. 0: unknown.
    `ahead_seconds`: how far ahead the account's schedule was already granted.
    """

    now: float
    waiting: int
    free_slots: int
    in_hand: Sequence[float]
    begun: Sequence[float]
    limit: int
    permits: int
    call_seconds: float
    interval_seconds: float
    ahead_seconds: float

    @classmethod
    def of(cls, schedule: Schedule, permits: Permits, *, waiting: int, free_slots: int, now: float) -> Situation:
        """Gather what schedule and permits know at `now`."""
        return cls(
            now=now,
            waiting=waiting,
            free_slots=free_slots,
            in_hand=tuple(schedule),
            begun=tuple(permits.begun),
            limit=permits.limit,
            permits=permits.to_reckon_with(now),
            call_seconds=permits.call_seconds,
            interval_seconds=schedule.interval_seconds,
            ahead_seconds=schedule.ahead_seconds,
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """What a gate asks for.

    `usable`: starts that could be used within a tick if all of the account's permits were there. `wanted`: how many to ask
      for beyond those in hand.
    `cut`: fewer than usable, for want of permits. `paced`: more calls wait than the pace lets start within a tick.
    """

    usable: int
    wanted: int
    cut: bool
    paced: bool


class Bound(StrEnum):
    """What holds calls up, as a field of the `observed` hash."""

    RATE = "rate_bound"
    PERMITS = "permits_bound"


@dataclass(frozen=True, slots=True)
class HandedOut:
    """What a gate knows once all calls that an answer allows have begun.

    `why`: why the answer gave no more starts. `short`: fewer permits were given than asked for. `starts_left`: starts are
      left in hand. `rate_is_far`: see the function. `ahead_seconds`: how far ahead the account's schedule was already
      granted.
    """

    why: Why
    short: bool
    starts_left: bool
    rate_is_far: bool
    ahead_seconds: float


def demand_of(situation: Situation) -> Demand:
    """Return what to ask for. If a start may wait for its permit, a few too many do no harm."""
    usable = _usable(situation)
    wanted = max(0, _worth_having(situation, usable) - len(situation.in_hand))
    return Demand(
        usable,
        wanted,
        cut=len(situation.in_hand) + wanted < usable,
        paced=_is_paced(situation, usable),
    )


def rate_is_far(limit: int, interval_seconds: float, call_seconds: float) -> bool:
    """Return whether permits hold calls up long before the rate does.

    Only then may a start be used late; otherwise it would coincide with another one.
    """
    return limit * interval_seconds < FAR_SHARE * call_seconds


def bound_by(demand: Demand, handed_out: HandedOut) -> Bound | None:
    """Return what holds up the calls that still wait after the answer to `demand`; None if nothing does."""
    full, short = handed_out.ahead_seconds >= FULL_SECONDS, handed_out.short
    if short and (handed_out.starts_left if handed_out.rate_is_far else demand.cut and not full):
        return Bound.PERMITS
    if handed_out.why is Why.RATE or (demand.cut and full):
        return Bound.RATE
    # at many calls a second a gate gets all it asks for, which is no more than the pace
    return Bound.RATE if handed_out.why is Why.NOTHING and demand.paced and not short else None


def _is_paced(situation: Situation, usable: int) -> bool:
    turns = _turns(situation) if situation.call_seconds else None
    return turns is not None and usable == turns < situation.waiting


def _turns(situation: Situation) -> int | None:
    """Return how many starts the pace allows within a tick; None if unknown."""
    if not situation.interval_seconds:
        return None
    return math.ceil(TICK_SECONDS / situation.interval_seconds) + SPARE_TURNS


def _usable(situation: Situation) -> int:
    waiting, in_use = situation.waiting, len(situation.begun)
    if not situation.call_seconds:
        return min(waiting, STARTS_AT_FIRST)
    limit = min(situation.limit, in_use + situation.free_slots)
    most = math.ceil(limit * (1 + TICK_SECONDS / situation.call_seconds)) + SPARE_STARTS - in_use
    turns = _turns(situation)
    if turns is not None:
        most = min(most, turns)
    return max(0, min(waiting, most))


def _worth_having(situation: Situation, usable: int) -> int:
    """Return how many of the `usable` starts, in hand or to come, are worth having."""
    interval_seconds, in_hand = situation.interval_seconds, situation.in_hand
    if not (usable and situation.call_seconds):
        return usable
    if rate_is_far(situation.limit, interval_seconds, situation.call_seconds):
        return usable
    first = in_hand[-1] + interval_seconds if in_hand else situation.now + TICK_SECONDS
    coming = [first + number * interval_seconds for number in range(usable - len(in_hand))]
    return starts_worth_having(
        situation.begun,
        [*in_hand, *coming],
        situation.call_seconds,
        permits=situation.permits,
        used_share=min(1.0, situation.ahead_seconds / FULL_SECONDS),
        now=situation.now,
    )
