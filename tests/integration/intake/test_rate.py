"""What a source is charged with, at moments that a test says."""

from __future__ import annotations

import pytest

from app.intake.rate import Charge, charge, give_back
from app.keys import intake_rate

START_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("rate", "bodies"),
    [
        # (ms since the start, profiles of the body, ms to wait)
        (500, [(0, 499, 0), (0, 1, 0), (0, 1, 1), (2, 1, 0)]),  # within a second's worth
        (500, [(0, 10_000, 0), (0, 1, 19_001), (1000, 10_000, 18_001), (19_000, 1, 1), (19_001, 1, 0)]),  # overdrawn
        (500, [(0, 10_000, 0), (60_000, 10_000, 0), (60_001, 1, 19_000)]),  # what was not sent is not saved up
        (1, [(0, 3, 0), (0, 1, 2_001), (2_001, 1, 0), (2_001, 1, 1_000)]),
        (3, [(0, 1, 0), (333, 1, 0), (666, 1, 0), (999, 1, 0), (999, 1, 0), (999, 1, 0), (999, 1, 2)]),
        (500, [(0, 1_000, 0), (-50, 1, 1_001)]),  # a process whose clock is behind
    ],
)
def test_a_body_may_overdraw_and_the_next_waits_until_it_is_paid(redis, rate, bodies):
    for at_ms, profiles, wait_ms in bodies:
        assert charge(redis, [Charge("crm", rate, profiles)], START_MS + at_ms) == [wait_ms]


def test_what_was_not_taken_after_all_is_given_back(redis):
    body = Charge("crm", 100, 5_000)
    assert charge(redis, [body], START_MS) == [0]
    give_back(redis, [body], START_MS + 10)
    assert charge(redis, [body], START_MS + 15_000) == [0], "when it comes again"
    give_back(redis, [body, body], START_MS + 15_000)
    assert charge(redis, [Charge("crm", 100, 100), Charge("crm", 100, 1)], START_MS + 15_000) == [0, 1]


@pytest.mark.parametrize(("rate", "profiles"), [(500, 10_000), (500, 700), (50, 7), (1_000, 333)])
def test_what_is_taken_in_the_long_run_is_the_rate(redis, rate, profiles):
    """Of a sender that tries again each 100 ms for 100 s."""
    taken = sum(
        profiles
        for at_ms in range(0, 100_000, 100)
        for wait_ms in charge(redis, [Charge("crm", rate, profiles)] * 3, START_MS + at_ms)
        if not wait_ms
    )
    assert 100 * rate - profiles <= taken <= 101 * rate + profiles


def test_sources_are_charged_apart_and_a_debt_goes_when_it_is_paid(redis):
    bodies = [Charge("crm", 10, 100), Charge("shop", 10, 100), Charge("crm", 10, 1), Charge("shop", 10, 1)]
    assert charge(redis, bodies, START_MS) == [0, 0, 9_001, 9_001]
    assert 10_000 < redis.pttl(intake_rate("crm")) <= 11_000
