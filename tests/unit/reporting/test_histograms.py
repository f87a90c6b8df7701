from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reporting.histograms import BUCKETS, Timed, read_histogram, together

SECONDS = st.lists(st.floats(0.0001, 100_000), min_size=1, max_size=200)


def counted(timed: Timed, seconds: list[float]) -> dict[str, int]:
    return together(
        [*({BUCKETS[timed].field_of(one): 1} for one in seconds), {BUCKETS[timed].total: round(sum(seconds) * 1000)}]
    )


@given(st.sampled_from(list(Timed)), SECONDS, st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(timed, seconds, share):
    histogram = read_histogram(timed, counted(timed, seconds))
    assert histogram.count == len(seconds)
    true = sorted(seconds)[max(0, -(-len(seconds) * share // 1).__int__() - 1)]
    bounds = BUCKETS[timed].bounds
    position = bisect_left(bounds, true)
    lower = bounds[position - 1] if position else 0.0
    upper = bounds[position] if position < len(bounds) else bounds[-1]
    assert lower <= histogram.quantile(share) <= upper


@given(SECONDS)
def test_cumulated_counts_grow_to_the_count(seconds):
    histogram = read_histogram(Timed.CALL, counted(Timed.CALL, seconds))
    cumulated = [count for _, count in histogram.cumulated()]
    assert cumulated == sorted(cumulated)
    assert histogram.cumulated()[-1] == ("+Inf", len(seconds))
    assert histogram.sum_seconds == pytest.approx(sum(seconds), abs=0.001 * len(seconds))


def test_nothing_has_no_quantile():
    assert read_histogram(Timed.CALL, {}).quantile(0.5) is None


@pytest.mark.parametrize(
    ("seconds", "field"),
    [(0.0, "call:0.005"), (0.25, "call:0.3"), (0.3, "call:0.3"), (120, "call:120"), (121, "call:inf")],
)
def test_a_time_on_a_bound_is_within_it(seconds, field):
    assert BUCKETS[Timed.CALL].field_of(seconds) == field
