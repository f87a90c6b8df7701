"""The starts in hand: which are used, given up, put off, and what answers tell of the account's schedule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pacing.schedule import Schedule, late_seconds
from tests.unit.pacing.answers import NOW, answer


def schedule_of(count: int, *, interval_seconds: float = 0.025, first_seconds: float = 0.0) -> Schedule:
    schedule = Schedule()
    granted = answer(count, interval_seconds=interval_seconds, first_seconds=first_seconds)
    schedule.learn(granted, wanted=count, lead_seconds=0.0)
    schedule.add(granted)
    return schedule


def after(schedule: Schedule) -> list[float]:
    """When the starts come, in seconds after now."""
    return [pytest.approx(start - NOW) for start in schedule]


@pytest.mark.parametrize(
    ("interval_seconds", "late"),
    [(0.001, 0.015), (0.02, 0.015), (0.025, 0.01875), (0.1, 0.075), (1.0, 0.1), (60.0, 0.1)],
)
def test_a_start_may_come_late_by_a_share_of_what_lies_between_two(interval_seconds: float, late: float) -> None:
    assert late_seconds(interval_seconds) == pytest.approx(late)


@pytest.mark.parametrize(
    ("now", "is_due", "left", "unused"),
    [
        (-0.001, False, 4, 0),
        (0.0, True, 4, 0),
        (0.018, True, 4, 0),
        (0.02, False, 3, 1),  # the first is missed, the second is to come
        (0.03, True, 3, 1),
        (0.06, True, 2, 2),
        (1.0, False, 0, 4),
    ],
)
def test_what_is_due_is_neither_early_nor_late(now: float, is_due: bool, left: int, unused: int) -> None:
    schedule = schedule_of(4)
    assert schedule.is_due(NOW + now) is is_due
    assert (len([*schedule]), schedule.unused) == (left, unused)


def test_a_start_that_is_taken_tells_until_when_it_is_good() -> None:
    schedule = schedule_of(2)
    assert schedule.take() == pytest.approx(NOW + 0.01875)
    assert schedule.first == pytest.approx(NOW + 0.025)
    assert schedule.unused == 0


@pytest.mark.parametrize(
    ("now", "starts"),
    [
        (-0.01, [0.0, 0.025, 0.05]),  # none is late
        (0.01, [0.01, 0.035, 0.06]),
        (0.06, [0.06, 0.085, 0.11]),  # also those that would be given up
    ],
)
def test_starts_that_are_put_off_stay_as_far_apart(now: float, starts: list[float]) -> None:
    schedule = schedule_of(3)
    schedule.put_off(NOW + now)
    assert after(schedule) == starts


def test_nothing_is_put_off_where_nothing_is_in_hand() -> None:
    schedule = Schedule()
    schedule.put_off(NOW)
    assert schedule.first is None


@pytest.mark.parametrize(
    ("in_hand", "first_seconds", "starts"),
    [
        (0, 0.05, [0.05, 0.075]),
        (2, 0.05, [0.0, 0.025, 0.05, 0.075]),
        (2, 0.01, [0.0, 0.025, 0.05, 0.075]),  # never nearer to those in hand than the account allows
        (2, 0.2, [0.0, 0.025, 0.2, 0.225]),
    ],
)
def test_what_is_granted_comes_behind_what_is_in_hand(in_hand: int, first_seconds: float, starts: list[float]) -> None:
    schedule = schedule_of(in_hand)
    schedule.add(answer(2, first_seconds=first_seconds))
    assert after(schedule) == starts


def test_an_answer_counts_from_when_redis_gave_it() -> None:
    schedule = Schedule()
    schedule.add(answer(1, answered_at=NOW - 0.02, first_seconds=0.05))
    assert after(schedule) == [0.03]


def test_how_far_the_schedule_is_given_out_is_told_by_questions_for_starts_alone() -> None:
    schedule = Schedule()
    schedule.learn(answer(3, first_seconds=0.08), wanted=3, lead_seconds=0.02)
    schedule.learn(answer(0, first_seconds=0.0, interval_seconds=0.5), wanted=0, lead_seconds=0.02)
    assert schedule.ahead_seconds == pytest.approx(0.06)
    assert schedule.interval_seconds == 0.5


def test_a_slow_answer_is_remembered_and_forgotten_little_by_little() -> None:
    schedule = Schedule()
    for took_seconds, delay_seconds in ((0.1, 0.1), (0.0, 0.09), (0.0, 0.081), (0.2, 0.2), (9.0, 0.5)):
        schedule.used(answer(1), NOW + took_seconds)
        assert schedule.delay_seconds == pytest.approx(delay_seconds)


def test_what_is_before_a_moment() -> None:
    assert schedule_of(4).before(NOW + 0.05) == [pytest.approx(NOW), pytest.approx(NOW + 0.025)]


def test_what_came_to_nothing_is_told_once() -> None:
    schedule = schedule_of(3)
    schedule.take()
    schedule.clear()
    assert schedule.first is None
    assert (schedule.take_unused(), schedule.take_unused()) == (2, 0)


answers = st.builds(
    answer,
    st.integers(0, 20),
    answered_at=st.floats(NOW, NOW + 1),
    first_seconds=st.floats(0, 0.3),
    interval_seconds=st.floats(0.001, 1),
)
moments = st.floats(NOW, NOW + 2)


@given(st.lists(answers | moments, max_size=30))
def test_every_start_is_taken_in_its_time_or_given_up(events: list[object]) -> None:
    schedule, granted, taken = Schedule(), 0, 0
    for event in events:
        if isinstance(event, float):
            if schedule.is_due(event):
                assert schedule.first <= event <= schedule.take()
                taken += 1
            schedule.put_off(event)
        else:
            schedule.learn(event, wanted=1, lead_seconds=0.0)  # type: ignore[arg-type]
            schedule.add(event)  # type: ignore[arg-type]
            granted += event.count  # type: ignore[attr-defined]
        assert list(schedule) == sorted(schedule)
        assert taken + len([*schedule]) + schedule.unused == granted
