"""How many starts a gate asks for, and what its calls are held up by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pacing.demand import (
    FULL_SECONDS,
    STARTS_AT_FIRST,
    Bound,
    Demand,
    HandedOut,
    Situation,
    bound_by,
    demand_of,
    rate_is_far,
)
from app.pacing.permits import Permits
from app.pacing.schedule import Schedule
from app.pacing.starts import Why
from tests.unit.pacing.answers import NOW, answer

# calls of 0.2 s and 40 a second, which need eight permits
BUSY = Situation(
    now=NOW, waiting=100, free_slots=64, in_hand=(), begun=(), limit=20, permits=20, call_seconds=0.2, interval_seconds=0.025,
    ahead_seconds=0.0,
)  # fmt: skip
UNBOUND = replace(BUSY, interval_seconds=0.0001)  # permits alone hold calls up


def since(*seconds: float) -> tuple[float, ...]:
    return tuple(NOW + at for at in seconds)


@pytest.mark.parametrize(
    ("situation", "usable"),
    [
        (replace(BUSY, call_seconds=0.0), STARTS_AT_FIRST),
        (replace(BUSY, call_seconds=0.0, waiting=2), 2),
        (replace(BUSY, interval_seconds=0.0), 32),  # 20 now, 10 more as calls end within the tick, and some to spare
        (replace(BUSY, interval_seconds=0.0, begun=since(*[-0.1] * 20)), 12),
        (replace(BUSY, interval_seconds=0.0, begun=since(*[-0.1] * 40)), 0),  # the account has fewer permits by now
        (replace(BUSY, interval_seconds=0.0, free_slots=4), 8),  # the process is full
        (BUSY, 6),  # the rate lets no more through in a tick
        (replace(BUSY, waiting=3), 3),
        (replace(BUSY, waiting=0), 0),
    ],
)
def test_starts_that_can_be_used_within_a_tick(situation: Situation, usable: int) -> None:
    assert demand_of(situation).usable == usable


@pytest.mark.parametrize(
    ("situation", "wanted", "cut"),
    [
        (BUSY, 6, False),
        (replace(BUSY, in_hand=since(0.01, 0.03)), 4, False),
        (replace(BUSY, in_hand=since(*[0.01] * 9)), 0, False),
        (replace(BUSY, waiting=0), 0, False),
        # few permits: where nobody else lacks the starts, some may find none, but not the last
        (replace(BUSY, limit=8, permits=1, call_seconds=0.07), 4, True),
        (replace(BUSY, limit=8, permits=1, call_seconds=0.07, ahead_seconds=0.016), 4, True),
        (replace(BUSY, limit=8, permits=1, call_seconds=0.07, ahead_seconds=0.018), 1, True),
        (replace(BUSY, limit=8, permits=1, call_seconds=0.07, ahead_seconds=0.016, in_hand=since(0.0)), 3, True),
        (replace(BUSY, limit=8, permits=1, call_seconds=0.07, ahead_seconds=FULL_SECONDS), 1, True),
        (replace(BUSY, limit=8, permits=2, ahead_seconds=1.0), 2, True),
        (replace(BUSY, limit=8, permits=2, ahead_seconds=1.0, in_hand=since(0.01)), 1, True),
        (replace(BUSY, limit=8, permits=0, ahead_seconds=1.0), 0, True),
        (replace(BUSY, limit=8, permits=2, ahead_seconds=1.0, begun=since(-0.15, -0.14)), 2, True),  # they end in time
        (replace(BUSY, limit=8, permits=2, ahead_seconds=1.0, begun=since(-0.01, 0.0)), 0, True),
        # nobody knows how long a call takes
        (replace(BUSY, limit=8, permits=0, ahead_seconds=1.0, call_seconds=0.0), STARTS_AT_FIRST, False),
        # the rate is far: a start may wait for its permit
        (replace(UNBOUND, limit=8, permits=2, ahead_seconds=1.0), 14, False),
    ],
)
def test_what_is_asked_for(situation: Situation, wanted: int, cut: bool) -> None:
    found = demand_of(situation)
    assert (found.wanted, found.cut) == (wanted, cut)


@pytest.mark.parametrize(
    ("limit", "interval_seconds", "call_seconds", "far"),
    [
        (8, 0.025, 0.2, False),  # both let as much through
        (4, 0.025, 0.2, False),  # permits half as much
        (3, 0.025, 0.2, True),
        (8, 0.0, 0.2, True),  # no rate is known
        (8, 0.025, 0.0, False),
    ],
)
def test_the_rate_is_far_where_permits_let_through_less_than_half(
    limit: int, interval_seconds: float, call_seconds: float, far: bool
) -> None:
    assert rate_is_far(limit, interval_seconds, call_seconds) is far


NOTHING_CUT = Demand(usable=9, wanted=9, cut=False, paced=False)
CUT, PACED = replace(NOTHING_CUT, cut=True), replace(NOTHING_CUT, paced=True)


def left(why: Why = Why.NOTHING, **changes: Any) -> HandedOut:
    nothing = HandedOut(why, short=False, starts_left=False, rate_is_far=False, ahead_seconds=0.0)
    return replace(nothing, **changes)


@pytest.mark.parametrize(
    ("demand", "handed_out", "by"),
    [
        (NOTHING_CUT, left(), None),
        (NOTHING_CUT, left(Why.RATE), Bound.RATE),
        (NOTHING_CUT, left(Why.THROTTLED), None),
        (CUT, left(Why.QUOTA), None),
        # starts are left and no permit for them
        (NOTHING_CUT, left(short=True, starts_left=True, rate_is_far=True), Bound.PERMITS),
        (NOTHING_CUT, left(Why.RATE, short=True, starts_left=True, rate_is_far=True), Bound.PERMITS),
        (NOTHING_CUT, left(Why.RATE, short=True, rate_is_far=True), Bound.RATE),
        (NOTHING_CUT, left(starts_left=True, rate_is_far=True), None),
        # fewer were asked for, as there are no permits for more
        (CUT, left(short=True), Bound.PERMITS),
        (NOTHING_CUT, left(short=True, starts_left=True), None),
        # and as others have taken the starts
        (CUT, left(short=True, ahead_seconds=FULL_SECONDS), Bound.RATE),
        (CUT, left(ahead_seconds=1.0), Bound.RATE),
        (CUT, left(), None),
        # all that was asked for was given, which was no more than the pace
        (PACED, left(), Bound.RATE),
        (PACED, left(short=True), None),
        (PACED, left(Why.THROTTLED), None),
    ],
)
def test_what_calls_wait_for(demand: Demand, handed_out: HandedOut, by: Bound | None) -> None:
    assert bound_by(demand, handed_out) is by


def test_the_situation_is_what_schedule_and_permits_tell() -> None:
    schedule, permits = Schedule(), Permits()
    schedule.learn(answer(2, first_seconds=0.07), wanted=2, lead_seconds=0.02)
    schedule.add(answer(2, first_seconds=0.07))
    permits.granted(3, 9, wanted=5, now=NOW)
    permits.begin(NOW - 0.1)
    permits.begin(NOW)
    permits.end(0.2)
    found = Situation.of(schedule, permits, waiting=5, free_slots=7, now=NOW)
    assert found == Situation(
        now=NOW, waiting=5, free_slots=7, in_hand=tuple(schedule), begun=(NOW,), limit=9, permits=3, call_seconds=0.2,
        interval_seconds=0.025, ahead_seconds=pytest.approx(0.05),
    )  # fmt: skip


counts = st.integers(0, 30)
moments = st.lists(st.floats(-0.5, 0.5), max_size=20).map(lambda seconds: since(*sorted(seconds)))
situations = st.builds(
    Situation, now=st.just(NOW), waiting=counts, free_slots=counts, in_hand=moments, begun=moments, limit=st.integers(1, 30),
    permits=counts, call_seconds=st.just(0.0) | st.floats(0.01, 5), interval_seconds=st.just(0.0) | st.floats(0.001, 5),
    ahead_seconds=st.floats(-0.5, 0.5),
)  # fmt: skip


@given(situations)
def test_never_more_than_wait_nor_than_can_be_used(situation: Situation) -> None:
    found = demand_of(situation)
    assert 0 <= found.usable <= situation.waiting
    assert 0 <= found.wanted <= max(0, found.usable - len(situation.in_hand))
    assert found.cut == (len(situation.in_hand) + found.wanted < found.usable)


@given(situations, counts)
def test_whoever_has_more_permits_asks_for_no_fewer(situation: Situation, more: int) -> None:
    assert demand_of(replace(situation, permits=situation.permits + more)).wanted >= demand_of(situation).wanted


@pytest.mark.parametrize(
    ("waiting", "interval_seconds", "limit", "paced"),
    [
        (100, 0.01, 40, True),
        (12, 0.01, 40, False),  # as many as a tick has turns
        (100, 0.01, 4, False),  # permits hold them up before the pace does
        (100, 0.0, 40, False),
    ],
)
def test_calls_wait_for_the_pace_where_more_wait_than_a_tick_has_turns(
    waiting: int, interval_seconds: float, limit: int, paced: bool
) -> None:
    situation = replace(BUSY, waiting=waiting, interval_seconds=interval_seconds, limit=limit, permits=limit)
    assert demand_of(situation).paced is paced
