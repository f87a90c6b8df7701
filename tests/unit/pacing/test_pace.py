"""The pace in simulated time, against accounts that count calls in every way that is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.destinations.model import Limits
from app.pacing import pace as pacing
from app.pacing.pace import Observations, Pace, growth, next_pace, top_of
from tests.unit.pacing.servers import FixedWindow, Gcra, SlidingWindow, simulate

CONFIGURED = Limits(calls_per_minute=2_400, max_in_flight=100)
HALF = 20.0


def half(burst: float, **more: Any) -> Gcra:
    return Gcra(lambda _: HALF, burst, **more)


@pytest.mark.parametrize("burst", [2, 4])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_the_configured_rate_is_the_true_one_it_is_used_and_nothing_is_refused(burst: float, seed: int) -> None:
    jitter = 0.01 if burst == 2 else 0.04
    result = simulate(Gcra(lambda _: 40.0, burst), CONFIGURED, 120, jitter_seconds=jitter, seed=seed)
    assert sum(result.refused.values()) == 0
    assert result.rate(2, 120) >= 0.99 * 40
    assert not result.paces[-1].learned


@pytest.mark.parametrize(
    ("server", "share"),
    [
        (lambda: half(4), 0.94),
        (lambda: half(20), 0.97),
        (lambda: half(100), 0.97),
        (lambda: half(4, retry_after=0.0), 0.94),
        (lambda: Gcra(lambda _: 40.0, 4, neighbour=20.0), 0.94),  # another system uses half
        (lambda: SlidingWindow(200, 10), 0.85),
        (lambda: SlidingWindow(1200, 60), 0.88),
        (lambda: FixedWindow(1200, 60, tells=True), 0.9),
        (lambda: FixedWindow(200, 10, tells=False), 0.88),
    ],
    ids=["burst 4", "burst 20", "burst 100", "no wait said", "neighbour", "sliding 10", "sliding 60", "window 60", "window 10"],
)  # fmt: skip
@pytest.mark.parametrize("seed", [1, 2])
def test_half_of_what_is_configured_is_learned_in_a_minute(server: Any, share: float, seed: int) -> None:
    result = simulate(server(), CONFIGURED, 300, seed=seed)
    assert result.rate(60, 300) >= share * HALF
    assert result.rate(60, 300) <= 1.02 * HALF
    assert result.share_refused(60, 300) <= 0.005


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_little_jitter_95_percent_are_used_and_few_are_refused(seed: int) -> None:
    result = simulate(half(4), CONFIGURED, 300, jitter_seconds=0.02, seed=seed)
    assert result.rate(60, 300) >= 0.95 * HALF
    assert result.share_refused(60, 300) <= 0.002


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twice_the_rate_is_found_within_two_minutes(seed: int) -> None:
    server = Gcra(lambda now: HALF if now < 180 else 2 * HALF, 4)
    result = simulate(server, CONFIGURED, 360, jitter_seconds=0.02, seed=seed)
    assert result.rate(300, 360) >= 0.95 * 2 * HALF
    assert result.share_refused(60, 360) <= 0.005


@pytest.mark.parametrize("seed", [1, 2])
def test_half_of_the_rate_is_followed(seed: int) -> None:
    server = Gcra(lambda now: 40.0 if now < 60 else HALF, 8)
    result = simulate(server, CONFIGURED, 300, jitter_seconds=0.02, seed=seed)
    assert result.rate(5, 60) >= 0.98 * 40
    assert result.rate(120, 300) >= 0.93 * HALF
    assert result.share_refused(120, 300) <= 0.005


def test_a_tenth_of_what_is_configured_is_learned() -> None:
    result = simulate(Gcra(lambda _: 4.0, 4), CONFIGURED, 300)
    assert result.rate(90, 300) >= 0.9 * 4
    assert result.share_refused(90, 300) <= 0.01


# -- the law itself ----------------------------------------------------------------------------------------------------

AT_FIRST = Pace.at_first(CONFIGURED)
LEARNED = replace(
    AT_FIRST, calls_per_second=19.0, found=20.0, guessed=False, active_seconds=50.0, accepted=950, recent=19.5
)


def test_refusals_of_calls_that_were_under_way_change_nothing() -> None:
    just_cut = replace(LEARNED, active_seconds=0.0, accepted=0)
    seen = Observations(seconds=1.0, waited_seconds=0.9, throttled=3)
    assert next_pace(just_cut, seen, CONFIGURED).calls_per_second == 19.0


def test_what_held_nothing_up_teaches_nothing() -> None:
    idle = Observations(seconds=1.0, accepted=2, call_seconds=0.2, rate_bound=False)
    assert next_pace(LEARNED, idle, CONFIGURED).calls_per_second == 19.0


@pytest.mark.parametrize(("before", "after"), [(60, 2_400), (2_400, 60), (1_200, 1_201)])
def test_a_configured_rate_that_changes_holds_at_the_next_look(before: int, after: int) -> None:
    limits = [Limits(calls_per_minute=minute, max_in_flight=100) for minute in (before, after)]
    pace = next_pace(Pace.at_first(limits[0]), calls(1.0, bound=False), limits[0])
    assert next_pace(pace, calls(1.0), limits[1]).calls_per_second == top_of(limits[1])


def test_what_was_learned_holds_when_the_configured_rate_is_raised() -> None:
    raised = replace(CONFIGURED, calls_per_minute=4_800)
    assert next_pace(LEARNED, calls(1.0, bound=False), raised).calls_per_second == LEARNED.calls_per_second


def test_all_that_is_configured_is_no_knowledge() -> None:
    almost = replace(LEARNED, calls_per_second=39.0, seconds=500.0)
    after = next_pace(almost, Observations(seconds=1.0, accepted=39, rate_bound=True), CONFIGURED)
    assert (after.learned, after.calls_per_second) == (False, 40 * pacing.RATE_USED)


def test_the_growth_never_falls() -> None:
    for guessed in (False, True):
        shares = [growth(second / 2, guessed=guessed) for second in range(400)]
        assert shares == sorted(shares)


def calls(seconds: float, *, bound: bool = True) -> Observations:
    """Some calls that took so long; permits are what holds more up, or nothing is."""
    return Observations(1, accepted=9, call_seconds=seconds, permits_bound=bound)


@pytest.mark.parametrize(
    ("pace", "seen", "permits"),
    [
        (Pace(40, 16), Observations(1, crowded=3), 8),
        (Pace(40, 1), Observations(1, crowded=3), 1),
        (Pace(40, 16, ease_seconds=0.1), calls(0.3), 11),
        (Pace(40, 16, ease_seconds=0.1), calls(0.3, bound=False), 16),
        (Pace(40, 16, ease_seconds=0.1), calls(0.17), 16),
        (Pace(40, 16, ease_seconds=0.1), calls(0.12), 17),
        (Pace(40, 100, ease_seconds=0.1), calls(0.12), 100),
        # a trial from time to time
        (Pace(40, 16, ease_seconds=0.1, bound_seconds=4.5), calls(0.12), 11),
        # what is seen was done with more yet
        (Pace(40, 11, ease_seconds=0.1, trial=(16, 0.3)), calls(0.29), 11),
        (Pace(40, 11, ease_seconds=0.1, trial=(16, 5.0), tried_seconds=2), calls(0.29), 11),
        # fewer let less through: it is not our doing
        (Pace(40, 11, ease_seconds=0.1, trial=(16, 0.3), tried_seconds=2), calls(0.29), 16),
        # fewer let as much through
        (Pace(40, 11, ease_seconds=0.1, trial=(16, 0.3), tried_seconds=2), calls(0.2), 11),
        # they were not all in use: nothing is known
        (Pace(40, 11, ease_seconds=0.1, trial=(16, 0.3), tried_seconds=2), calls(0.2, bound=False), 16),
        (Pace(40, 1, ease_seconds=0.1), calls(0.9), 1),
    ],
    ids=[
        "crowded", "never none", "slow", "slow, but not for ours", "in between", "at ease", "no more than allowed", "trial",
        "too early", "calls of before may be among them", "not our doing", "as much", "not in use", "one is left",
    ],
)  # fmt: skip
def test_permits(pace: Pace, seen: Observations, permits: float) -> None:
    assert next_pace(pace, seen, CONFIGURED).permits == pytest.approx(permits)


def test_a_trial_goes_on_while_no_call_ends() -> None:
    tried = Pace(40, 1, trial=(2, 60.0))
    for _ in range(62):
        tried = next_pace(tried, Observations(1), CONFIGURED)
    assert next_pace(tried, calls(60.0), CONFIGURED).trial is None


def test_what_was_too_many_at_once_is_remembered() -> None:
    """Each answer that says so blocks the account for a minute."""
    limits = Limits(calls_per_minute=2_400, max_in_flight=20)

    def grow(pace: Pace, seconds: int) -> Pace:
        for _ in range(seconds):
            pace = next_pace(pace, calls(0.2), limits)
        return pace

    pace = next_pace(Pace(40, 6, trial_after_seconds=1e9), Observations(1, crowded=1), limits)
    assert pace.permits == 3
    pace = grow(pace, 10)
    assert pace.permits == 5, "one fewer than were too many, and soon"
    pace = grow(pace, 1_200)
    assert pace.permits == 5
    pace = grow(pace, 300)
    assert pace.permits == 6, "once in a while one more is tried"
    pace = next_pace(pace, Observations(1, crowded=1), limits)
    assert pace.permits == 5, "and that it is too many costs no more than the answer"
    pace = grow(pace, 6_000)
    assert pace.permits == 20, "where it is not, the others follow"


def test_permits_grow_where_less_gets_through_than_the_pace_lets() -> None:
    held = Pace(40, 8, active_seconds=30, recent=34.0, ease_seconds=0.2, seconds=30)
    seen = Observations(1, accepted=34, call_seconds=0.2, rate_bound=True)
    assert next_pace(held, seen, CONFIGURED).permits == 9
    assert next_pace(replace(held, recent=39.8), replace(seen, accepted=40), CONFIGURED).permits == 8
    assert next_pace(replace(held, active_seconds=2), seen, CONFIGURED).permits == 8


def test_a_refusal_that_costs_long_is_risked_seldom() -> None:
    early = Pace(39.8, 20, accepted=30, active_seconds=1.0)
    cheap, costly = replace(early, waited_seconds=1.0), replace(early, waited_seconds=5.0)
    refused = Observations(0.1, throttled=1)
    assert next_pace(cheap, refused, CONFIGURED).calls_per_second == pytest.approx(0.8 * 39.8)
    assert next_pace(costly, refused, CONFIGURED).calls_per_second == pytest.approx(0.5 * 39.8)
    learned = Pace(19, 20, found=20.0, guessed=False, seconds=40.0, active_seconds=40.0, recent=19.5, accepted=780)
    seen = Observations(1, accepted=19, rate_bound=True)
    assert next_pace(learned, seen, CONFIGURED).calls_per_second > pacing.STAY_AT * 20
    waiting = next_pace(replace(learned, cost_seconds=5.0), seen, CONFIGURED)
    assert waiting.calls_per_second == pytest.approx(pacing.STAY_AT * 20)


def drive(latency_seconds: Any, looks: int, pace: Pace) -> Pace:
    """Looks at a server whose calls take as long as so many at once make them; permits are what holds calls up.

    What is seen at a look was done with the permits of the look before.
    """
    limits = Limits(calls_per_minute=600_000, max_in_flight=24)
    at_once = int(pace.permits)
    for _ in range(looks):
        seconds = latency_seconds(at_once)
        seen = Observations(1, accepted=int(at_once / seconds), call_seconds=seconds, permits_bound=True)
        at_once, pace = int(pace.permits), next_pace(pace, seen, limits)
    return pace


@pytest.mark.parametrize(
    ("latency_seconds", "least", "most"),
    [
        (lambda n: 0.2, 15, 24),  # the more the better, but for the trials
        (lambda n: 0.06 + 0.04 * max(0, n - 4), 2, 6),  # crowded beyond four
        (lambda n: 0.2 * max(1.0, n / 10), 6, 20),  # ten at a time, the others queue
        (lambda n: 0.1 * (1 + n / 10), 12, 24),  # ever slower, and yet more gets through
    ],
    ids=["open", "crowds", "queues", "slows"],
)
def test_calls_at_once_are_found(latency_seconds: Any, least: int, most: int) -> None:
    pace = Pace.at_first(Limits(calls_per_minute=600_000, max_in_flight=24))
    for looks in (60, 7, 11, 13, 40):
        pace = drive(latency_seconds, looks, pace)
        assert least <= pace.permits <= most


def test_a_server_that_is_well_again_gets_more() -> None:
    crowded = drive(lambda n: 0.06 + 0.04 * max(0, n - 4), 60, Pace.at_first(Limits(600_000, max_in_flight=24)))
    assert drive(lambda n: 0.06, 40, crowded).permits >= 15


amounts = st.integers(0, 500)
seconds = st.floats(0, 100)
observations = st.builds(
    Observations, seconds=seconds, waited_seconds=seconds, accepted=amounts, throttled=amounts, crowded=amounts,
    call_seconds=st.floats(0, 120), rate_bound=st.booleans(), permits_bound=st.booleans(),
)  # fmt: skip


@given(
    st.lists(observations, max_size=40),
    st.builds(Limits, calls_per_minute=st.integers(1, 600_000), max_in_flight=st.integers(1, 500)),
)
def test_whatever_is_seen_the_pace_stays_within_the_limits_and_never_stands(
    looks: list[Observations], limits: Limits
) -> None:
    pace = Pace.at_first(limits)
    for seen in looks:
        pace = next_pace(pace, seen, limits)
        top = pacing.top_of(limits)
        assert min(pacing.LEAST_RATE, top) <= pace.calls_per_second <= top
        assert 1 <= pace.permits <= limits.max_in_flight


@given(st.lists(observations, max_size=40))
def test_without_refusals_the_pace_never_falls(looks: list[Observations]) -> None:
    pace = LEARNED
    for seen in looks:
        after = next_pace(pace, replace(seen, throttled=0), CONFIGURED)
        assert after.calls_per_second >= pace.calls_per_second or after.seconds == 0
        pace = after


def test_a_refusal_among_few_calls_does_not_take_them_for_what_the_account_accepts() -> None:
    pace, second = Pace.at_first(CONFIGURED), Observations(1.0, accepted=1)
    for _ in range(60):
        pace = next_pace(pace, second, CONFIGURED)
    pace = next_pace(pace, replace(second, throttled=1), CONFIGURED)
    assert pace.calls_per_second == pytest.approx(pacing.FAR_CUT * 40, rel=0.01)
    for _ in range(15):  # a big job has come
        pace = next_pace(pace, Observations(1.0, accepted=int(pace.calls_per_second), rate_bound=True), CONFIGURED)
    assert pace.calls_per_second >= 0.95 * 40
