"""How many permits are needed for the calls in flight and those to come, and when they are asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pacing.permits import Permits, permits_needed, starts_worth_having

NOW = 100.0


@pytest.mark.parametrize(
    ("begun", "starts", "call_seconds", "needed"),
    [
        ([], [], 0.2, 0),
        ([], [0.0, 0.025, 0.05], 0.2, 3),
        ([-0.19, -0.18], [0.03, 0.04], 0.2, 2),  # those in flight have ended by then
        # all began lately, and none will have ended
        ([-0.1, -0.075, -0.05, -0.025], [0.0, 0.025, 0.05, 0.075], 0.2, 8),
        ([-0.1, -0.075, -0.05, -0.025], [0.0, 0.11, 0.12, 0.13], 0.2, 6),
        ([], [0.0, 0.03, 0.06, 0.09], 0.02, 1),
        ([-0.3], [0.05], 0.2, 2),  # overdue, and may go on
        ([-0.3], [0.05], 0.0, 2),  # nobody knows how long a call takes
        ([], [-0.01, -0.005, 0.03], 0.02, 2),  # late starts begin now, both at once
    ],
)
def test_permits_are_needed_for_the_most_calls_at_one_time(
    begun: list[float], starts: list[float], call_seconds: float, needed: int
) -> None:
    assert permits_needed(after(begun), after(starts), call_seconds, now=NOW) == needed


def after(seconds: list[float]) -> list[float]:
    return [NOW + at for at in seconds]


@given(
    begun=st.lists(st.floats(-1, 0), max_size=20),
    starts=st.lists(st.floats(-0.02, 0.2), max_size=20),
    call_seconds=st.floats(0.01, 2),
)
def test_never_fewer_than_are_in_flight_nor_more_than_calls(
    begun: list[float], starts: list[float], call_seconds: float
) -> None:
    needed = permits_needed(after(sorted(begun)), after(sorted(starts)), call_seconds, now=NOW)
    assert len(begun) <= needed <= len(begun) + len(starts)


@given(begun=st.lists(st.floats(-1, 0), max_size=20), starts=st.lists(st.floats(0, 0.2), max_size=20))
def test_calls_that_last_as_long_as_they_are_said_to_find_a_permit(begun: list[float], starts: list[float]) -> None:
    call_seconds = 0.25
    lasting = [at for at in after(sorted(begun)) if at + call_seconds > NOW]
    needed = permits_needed(lasting, after(sorted(starts)), call_seconds, now=NOW)
    every = [*lasting, *after(sorted(starts))]
    assert all(sum(at <= moment < at + call_seconds for at in every) <= needed for moment in every if moment >= NOW)


@pytest.mark.parametrize(
    ("begun", "starts", "permits", "used_share", "worth"),
    [
        ([], [0.0, 0.025, 0.05, 0.075], 2, 1.0, 2),
        ([], [0.0, 0.025, 0.05, 0.075], 2, 0.5, 2),  # what comes after the last that is of use is not worth having
        ([-0.15, -0.1], [0.06, 0.08, 0.11], 2, 1.0, 1),
        ([-0.15, -0.1], [0.02, 0.06], 2, 1.0, 0),
        ([-0.15, -0.1], [0.02, 0.06], 2, 0.5, 2),
        ([], [0.0], 0, 0.0, 0),
    ],
)
def test_starts_are_worth_having_while_enough_of_them_find_a_permit(
    begun: list[float], starts: list[float], permits: int, used_share: float, worth: int
) -> None:
    found = starts_worth_having(after(begun), after(starts), 0.2, permits=permits, used_share=used_share, now=NOW)
    assert found == worth


# -- the permits of a process ------------------------------------------------------------------------------------------


def permits_of(
    held: int, *, wanted: int | None = None, in_use: int = 0, seconds_ago: float = 0.0, call_seconds: float = 0.2
) -> Permits:
    """Permits that were asked for so long ago, with calls that have begun since."""
    permits = Permits()
    if call_seconds:
        permits.begin(NOW - 9)
        permits.end(call_seconds)
    permits.granted(held, 20, wanted=held if wanted is None else wanted, now=NOW - seconds_ago)
    for _ in range(in_use):
        permits.begin(NOW)
    return permits


SOON = [0.0, 0.025, 0.05]


@pytest.mark.parametrize(
    ("permits", "starts", "usable", "wanted"),
    [
        (Permits(), [], 0, None),
        (Permits(), SOON, 3, 4),  # and one to spare
        (permits_of(4), SOON, 3, None),
        (permits_of(5), SOON, 3, None),  # more than are needed, for a moment
        (permits_of(5, seconds_ago=1.1), SOON, 3, 4),
        (permits_of(5, seconds_ago=1.1), [], 0, 0),
        (permits_of(4, seconds_ago=3.0), SOON, 3, None),
        (permits_of(4, seconds_ago=3.4), SOON, 3, 4),  # or they would end
        (permits_of(2, in_use=2), [], 0, None),
        (permits_of(2, in_use=2), SOON, 3, 6),
        # somebody is short: as many as calls take on average, which is two thirds of a tick and a call
        (permits_of(3, wanted=8), SOON, 9, 7),
        (permits_of(3, wanted=8, in_use=3), SOON, 9, 9),
        (permits_of(9, wanted=10, in_use=9), [], 0, 9),
        (permits_of(3, wanted=8, call_seconds=0.0), SOON, 9, 9),  # nobody knows how long a call takes
        (permits_of(3, wanted=8), [], 0, 0),
    ],
)
def test_permits_are_asked_for(permits: Permits, starts: list[float], usable: int, wanted: int | None) -> None:
    assert permits.to_lease(after(starts), usable, NOW) == wanted


def test_while_somebody_else_is_short_what_is_not_needed_is_given_back_at_once() -> None:
    permits = permits_of(9)
    assert permits.to_lease(after(SOON), 3, NOW) is None
    permits.learn_of_shortage(NOW)
    assert permits.to_lease(after(SOON), 3, NOW) == 3
    permits.granted(3, 20, wanted=3, now=NOW)
    permits.granted(9, 20, wanted=9, now=NOW + 4.9)
    assert permits.to_lease(after([5.2, 5.3]), 3, NOW + 5.1) is None, "it is forgotten"


def test_what_is_in_use_does_not_grow_before_the_answer() -> None:
    permits = permits_of(4, in_use=2)
    assert permits.free
    assert permits.to_lease(after(SOON), 9, NOW) is not None
    assert not permits.free
    permits.end(0.2)
    assert permits.free, "one has ended"
    permits.begin(NOW)
    permits.granted(1, 20, wanted=9, now=NOW)
    permits.end(0.2)
    assert not permits.free, "the share is smaller by now"


@pytest.mark.parametrize(
    ("held", "wanted", "reckoned"),
    [
        (9, 9, 20),  # whatever the account has
        (3, 8, 3),
        (0, 8, 0),
    ],
)
def test_permits_to_reckon_with(held: int, wanted: int, reckoned: int) -> None:
    assert permits_of(held, wanted=wanted).to_reckon_with(NOW) == reckoned


@pytest.mark.parametrize(("held", "reckoned"), [(5, 5), (0, 1)])
def test_while_somebody_else_is_short_there_are_those_that_are_held(held: int, reckoned: int) -> None:
    permits = permits_of(held)
    permits.learn_of_shortage(NOW)
    assert permits.to_reckon_with(NOW) == reckoned


def test_how_long_a_call_takes_follows_what_calls_take() -> None:
    permits = Permits()
    for took, known in ((0.2, 0.2), (None, 0.2), (1.2, 0.3), (0.3, 0.3)):
        permits.begin(NOW)
        permits.end(took)
        assert permits.call_seconds == pytest.approx(known)


def test_what_was_given_back_is_held_no_more() -> None:
    permits = permits_of(4)
    permits.give_back()
    assert not permits.free
    assert permits.to_lease([], 0, NOW + 60) is None


@given(
    in_use=st.integers(0, 20),
    usable=st.integers(0, 20),
    starts=st.lists(st.floats(0, 0.1), max_size=20),
    tight=st.booleans(),
)
def test_what_is_asked_for_is_never_less_than_is_in_use(
    in_use: int, usable: int, starts: list[float], tight: bool
) -> None:
    permits = permits_of(20, wanted=30 if tight else 20, in_use=in_use)
    wanted = permits.to_lease(after(sorted(starts)), usable, NOW + 2)
    assert wanted is None or in_use <= wanted <= in_use + max(usable, len(starts)) + 1
