"""Full jitter: anywhere between nothing and a bound that doubles up to the cap. And when there is no next try."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backoff import full_jitter, is_exhausted, is_window_over
from app.settings import Settings

seconds = st.floats(0, 1e6)
SETTINGS = replace(Settings.from_env(), retry_window_seconds=3_600, retry_minimum=8)
NOW_MS = 1_000_000_000
HOUR_MS = 3_600_000


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


@pytest.mark.parametrize(("age_ms", "over"), [(HOUR_MS + 1, True), (HOUR_MS, True), (HOUR_MS - 1, False), (-5, False)])
def test_when_the_retry_window_is_over(age_ms: int, over: bool) -> None:
    assert is_window_over(NOW_MS - age_ms, NOW_MS, SETTINGS) is over


@pytest.mark.parametrize(
    ("tries", "age_ms", "exhausted"),
    [(8, HOUR_MS, True), (9, 9 * HOUR_MS, True), (7, 9 * HOUR_MS, False), (99, HOUR_MS - 1, False)],
)
def test_tries_end_after_the_window_and_not_before_there_were_enough(tries: int, age_ms: int, exhausted: bool) -> None:
    assert is_exhausted(tries, NOW_MS - age_ms, NOW_MS, SETTINGS) is exhausted
