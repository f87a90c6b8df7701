"""What a rate becomes by what is seen of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.destinations.model import Limits
from app.pacing.concurrency import Concurrency
from app.pacing.observations import Observations
from app.pacing.pace import Pace, next_pace
from app.pacing.rate import BACK_TO, FAR_CUT, LEAST_RATE, RATE_USED, STAY_AT, STAY_SECONDS, Rate, growth, top_of

CONFIGURED = Limits(calls_per_minute=2_400, max_in_flight=100)
AT_FIRST = Rate(top_of(CONFIGURED))
SOME = Observations(1, accepted=9, call_seconds=1.0)
LEARNED = Rate(19.0, found=20.0, guessed=False, active_seconds=50.0, accepted=950, recent=19.5)


def after(rate: Rate, seen: Observations, limits: Limits = CONFIGURED) -> Rate:
    """The rate as it is kept, whatever is known of calls at once."""
    return next_pace(Pace(rate, Concurrency(100)), seen, limits).rate


REFUSED = Observations(0.0, throttled=1)
USED = Rate(
    19.0, found=20.0, guessed=False, seconds=30.0, active_seconds=50.0, waited_seconds=1.0, accepted=900, recent=18.0, bound=1.0
)  # fmt: skip
WAITED = replace(USED, active_seconds=10.0, waited_seconds=6.0, accepted=160)  # ten a second, the wait counted in
SOON = replace(USED, active_seconds=1.0, waited_seconds=4.0, accepted=9)


@pytest.mark.parametrize(
    ("rate", "found", "learned"),
    [
        # what was accepted of late, or at most what was let
        (USED, 18.0, {}),
        (replace(USED, recent=19.5, near=2), 19.0, {}),
        # where calls seldom waited for a start, no less than a step below
        (replace(USED, bound=0.4), 18.0, {"guessed": True}),
        (replace(USED, bound=0.4, recent=5.0), 19 * FAR_CUT / BACK_TO, {"guessed": True}),
        # a window, by its long wait, or by waits that let as much through time and again
        (replace(USED, active_seconds=20.0, waited_seconds=40.0, accepted=600), 10.0, {"window": 10.0}),
        (WAITED, 18.0, {"window": 10.0}),
        (replace(WAITED, window=11.0), 10.0, {"window": 10.0}),
        (replace(WAITED, window=9.0), 10.0, {"window": 10.0}),
        (replace(WAITED, window=13.0), 18.0, {"window": 10.0}),
        (replace(WAITED, window=7.9), 18.0, {"window": 10.0}),
        (replace(WAITED, window=40.0, accepted=640), 18.0, {"window": 40.0}),
        (replace(WAITED, waited_seconds=5.0), 18.0, {}),
        # too soon to measure anything
        (SOON, 19 * 0.96 / BACK_TO, {"near": 1}),
        (replace(SOON, near=1), 19 * 0.9 / BACK_TO, {"near": 2}),
        (replace(SOON, near=2), 19 * FAR_CUT / BACK_TO, {"near": 3, "guessed": True}),
        (replace(SOON, guessed=True), 19 * FAR_CUT / BACK_TO, {"near": 1, "guessed": True}),
        (replace(SOON, guessed=True, waited_seconds=4.1), 19 * 0.5 / BACK_TO, {"near": 1, "guessed": True}),
        (replace(SOON, guessed=True, active_seconds=0.5), 19 * FAR_CUT / BACK_TO, {"near": 1, "guessed": True}),
        (
            replace(SOON, guessed=True, active_seconds=2.0, waited_seconds=8.0), 19 * FAR_CUT / BACK_TO,
            {"near": 1, "guessed": True},
        ),
    ],
)  # fmt: skip
def test_what_a_refusal_tells(rate: Rate, found: float, learned: dict[str, Any]) -> None:
    expected = Rate(
        calls_per_second=pytest.approx(found * BACK_TO), found=pytest.approx(found), guessed=False,
        cost_seconds=rate.waited_seconds,
    )  # fmt: skip
    assert after(rate, REFUSED) == replace(expected, **learned)


def test_an_account_is_always_asked_again() -> None:
    assert after(replace(SOON, calls_per_second=LEAST_RATE), REFUSED).calls_per_second == LEAST_RATE


@pytest.mark.parametrize("echo", [replace(USED, active_seconds=0.3), replace(USED, accepted=0)])
def test_what_an_echo_tells(echo: Rate) -> None:
    assert after(echo, REFUSED) == echo


@pytest.mark.parametrize(("active_seconds", "weight"), [(0.0, 1.0), (1.0, 0.5), (4.0, 0.2), (50.0, 0.2)])
def test_what_is_accepted_of_late_is_a_mean_of_some_seconds(active_seconds: float, weight: float) -> None:
    seen = Observations(1.0, accepted=30, rate_bound=True)
    found = after(replace(USED, active_seconds=active_seconds, bound=0.5), seen)
    assert found.recent == pytest.approx((1 - weight) * 18 + weight * 30)
    assert found.bound == pytest.approx((1 - weight) * 0.5 + weight)


def test_refusals_of_calls_that_were_under_way_change_nothing() -> None:
    just_cut = replace(LEARNED, active_seconds=0.0, accepted=0)
    seen = Observations(seconds=1.0, waited_seconds=0.9, throttled=3)
    assert after(just_cut, seen).calls_per_second == 19.0


def test_what_held_nothing_up_teaches_nothing() -> None:
    idle = Observations(seconds=1.0, accepted=2, call_seconds=0.2, rate_bound=False)
    assert after(LEARNED, idle).calls_per_second == 19.0


@pytest.mark.parametrize(("before", "later"), [(60, 2_400), (2_400, 60), (1_200, 1_201)])
def test_a_configured_rate_that_changes_holds_the_next_time(before: int, later: int) -> None:
    limits = [Limits(calls_per_minute=minute, max_in_flight=100) for minute in (before, later)]
    rate = after(Rate(top_of(limits[0])), SOME, limits[0])
    assert after(rate, SOME, limits[1]).calls_per_second == top_of(limits[1])


def test_what_was_learned_holds_when_the_configured_rate_is_raised() -> None:
    raised = replace(CONFIGURED, calls_per_minute=4_800)
    assert after(LEARNED, SOME, raised).calls_per_second == LEARNED.calls_per_second


def test_all_that_is_configured_is_no_knowledge() -> None:
    almost = replace(LEARNED, calls_per_second=39.0, seconds=500.0, near=2)
    found = after(almost, Observations(seconds=1.0, accepted=39, rate_bound=True))
    assert (found.learned, found.calls_per_second) == (False, 40 * RATE_USED)
    assert (found.seconds, found.near, found.guessed) == (0.0, 0, True), "and what comes next is a guess again"


def test_the_growth_never_falls() -> None:
    for guessed in (False, True):
        shares = [growth(second / 2, guessed=guessed, stay_seconds=STAY_SECONDS) for second in range(400)]
        assert shares == sorted(shares)
        assert shares[0] == BACK_TO


def test_a_refusal_that_costs_long_is_risked_seldom() -> None:
    early = Rate(39.8, accepted=30, active_seconds=1.0)
    cheap, costly = replace(early, waited_seconds=1.0), replace(early, waited_seconds=5.0)
    refused = Observations(0.1, throttled=1)
    assert after(cheap, refused).calls_per_second == pytest.approx(0.8 * 39.8)
    assert after(costly, refused).calls_per_second == pytest.approx(0.5 * 39.8)
    learned = Rate(19, found=20.0, guessed=False, seconds=40.0, active_seconds=40.0, recent=19.5, accepted=780)
    seen = Observations(1, accepted=19, rate_bound=True)
    assert after(learned, seen).calls_per_second > STAY_AT * 20
    waiting = after(replace(learned, cost_seconds=5.0), seen)
    assert waiting.calls_per_second == pytest.approx(STAY_AT * 20)


def test_a_refusal_among_few_calls_does_not_take_them_for_what_the_account_accepts() -> None:
    rate, second = AT_FIRST, Observations(1.0, accepted=1)
    for _ in range(60):
        rate = after(rate, second)
    rate = after(rate, replace(second, throttled=1))
    assert rate.calls_per_second == pytest.approx(FAR_CUT * 40, rel=0.01)
    for _ in range(15):  # a big job has come
        rate = after(rate, Observations(1.0, accepted=int(rate.calls_per_second), rate_bound=True))
    assert rate.calls_per_second >= 0.95 * 40
