"""Full jitter: anywhere between nothing and a bound that doubles up to the cap."""

from __future__ import annotations

import random
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backoff import full_jitter

seconds = st.floats(0, 1e6)


@given(attempt=st.integers(-5, 10_000), base=seconds, cap=seconds)
def test_a_delay_is_never_negative_and_never_above_cap_or_bound(attempt: int, base: float, cap: float) -> None:
    delay = full_jitter(attempt, base_seconds=base, cap_seconds=cap)
    assert 0 <= delay <= cap
    if attempt <= 30:
        assert delay <= base * 2 ** (max(attempt, 1) - 1)


@pytest.mark.parametrize(
    ("attempt", "bound"),
    [(0, 2.0), (1, 2.0), (2, 4.0), (3, 8.0), (7, 128.0), (8, 256.0), (9, 300.0), (100, 300.0), (10**9, 300.0)],
)
def test_delays_spread_over_all_of_the_range(attempt: int, bound: float) -> None:
    random.seed(attempt)
    delays = [full_jitter(attempt, base_seconds=2.0, cap_seconds=300.0) for _ in range(2_000)]
    assert 0.99 * bound < max(delays) <= bound
    assert 0 <= min(delays) < 0.01 * bound
    assert mean(delays) == pytest.approx(bound / 2, rel=0.1)
    quarters = [sum(start <= delay / bound < start + 0.25 for delay in delays) for start in (0, 0.25, 0.5, 0.75)]
    assert min(quarters) > 400


def test_two_that_fail_together_do_not_come_back_together() -> None:
    random.seed(1)
    assert len({full_jitter(3, base_seconds=2.0, cap_seconds=300.0) for _ in range(1_000)}) > 990
