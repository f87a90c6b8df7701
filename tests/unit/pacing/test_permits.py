"""How many permits are needed for the calls in flight and those to come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pacing.permits import permits_needed, starts_worth_having

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
