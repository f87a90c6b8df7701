"""The pace in simulated time, against accounts that count calls in every way that is known; and as it is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.destinations.model import Limits
from app.pacing.concurrency import Concurrency, Trial
from app.pacing.observations import Observations
from app.pacing.pace import Pace, from_bytes, next_pace, to_bytes
from app.pacing.rate import LEAST_RATE, Rate, top_of
from tests.unit.pacing.servers import FixedWindow, Gcra, SlidingWindow, simulate

CONFIGURED = Limits(calls_per_minute=2_400, max_in_flight=100)
HALF = 20.0
AT_FIRST = Pace.at_first(CONFIGURED)
LEARNED = Pace(
    Rate(19.0, found=20.0, guessed=False, active_seconds=50.0, accepted=950, recent=19.5), AT_FIRST.concurrency
)


def half(burst: float, **more: Any) -> Gcra:
    return Gcra(lambda _: HALF, burst, **more)


@pytest.mark.parametrize("burst", [2, 4])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_the_configured_rate_is_the_true_one_it_is_used_and_nothing_is_refused(burst: float, seed: int) -> None:
    jitter = 0.01 if burst == 2 else 0.04
    result = simulate(Gcra(lambda _: 40.0, burst), CONFIGURED, 120, jitter_seconds=jitter, seed=seed)
    assert sum(result.refused.values()) == 0
    assert result.rate(2, 120) >= 0.99 * 40
    assert not result.paces[-1].rate.learned


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


# -- both together -----------------------------------------------------------------------------------------------------


def test_permits_grow_where_less_gets_through_than_the_pace_lets() -> None:
    rate, eight = Rate(40, active_seconds=30, recent=34.0, seconds=30), Concurrency(8, ease_seconds=0.2)
    seen = Observations(1, accepted=34, call_seconds=0.2, rate_bound=True)

    def permits(rate: Rate, seen: Observations) -> float:
        return next_pace(Pace(rate, eight), seen, CONFIGURED).concurrency.permits

    assert permits(rate, seen) == 9
    assert permits(replace(rate, recent=39.8), replace(seen, accepted=40)) == 8
    assert permits(replace(rate, active_seconds=2), seen) == 8
    assert permits(rate, replace(seen, rate_bound=False)) == 8, "no more was to be sent"


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
    all_seen: list[Observations], limits: Limits
) -> None:
    pace = Pace.at_first(limits)
    for seen in all_seen:
        pace = next_pace(pace, seen, limits)
        top = top_of(limits)
        assert min(LEAST_RATE, top) <= pace.rate.calls_per_second <= top
        assert 1 <= pace.concurrency.permits <= limits.max_in_flight


@given(st.lists(observations, max_size=40))
def test_without_refusals_the_pace_never_falls(all_seen: list[Observations]) -> None:
    pace = LEARNED
    for seen in all_seen:
        after = next_pace(pace, replace(seen, throttled=0), CONFIGURED)
        assert after.rate.calls_per_second >= pace.rate.calls_per_second or after.rate.seconds == 0
        pace = after


# -- as Redis keeps it -------------------------------------------------------------------------------------------------


@given(st.lists(observations, max_size=40))
def test_what_is_kept_is_all_that_was_learned(all_seen: list[Observations]) -> None:
    pace = LEARNED
    for seen in all_seen:
        pace = next_pace(pace, seen, CONFIGURED)
        assert from_bytes(to_bytes(pace), CONFIGURED) == pace


KEPT = b"""[1,{"calls_per_second":19.0,"permits":7.0,"found":20.0,"seconds":3.5,"active_seconds":50.0,"waited_seconds":1.5,
"accepted":950,"recent":19.5,"bound":0.75,"near":1,"guessed":false,"ease_seconds":0.25,"trial":[11.0,0.5],"tried_seconds":1.25,
"bound_seconds":4.5,"trial_after_seconds":10.0}]"""


def test_what_was_kept_without_the_last_fields_is_read() -> None:
    assert from_bytes(KEPT, CONFIGURED) == Pace(
        Rate(
            19.0, found=20.0, seconds=3.5, active_seconds=50.0, waited_seconds=1.5, accepted=950, recent=19.5, bound=0.75,
            near=1, guessed=False,
        ),
        Concurrency(
            7.0, ease_seconds=0.25, trial=Trial(11.0, 0.5), tried_seconds=1.25, bound_seconds=4.5, trial_after_seconds=10.0
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "rate", "concurrency"),
    [
        (None, AT_FIRST.rate, AT_FIRST.concurrency),
        (b"written by another build", AT_FIRST.rate, AT_FIRST.concurrency),
        (b"[]", AT_FIRST.rate, AT_FIRST.concurrency),
        (b"[1,7]", AT_FIRST.rate, AT_FIRST.concurrency),
        (b'[1,{"trial":7}]', AT_FIRST.rate, AT_FIRST.concurrency),
        (b'[2,{"calls_per_second":3.0}]', AT_FIRST.rate, AT_FIRST.concurrency),
        (b"[1,{}]", AT_FIRST.rate, AT_FIRST.concurrency),
        (b'[1,{"found":3.0,"fits":4}]', replace(AT_FIRST.rate, found=3.0), replace(AT_FIRST.concurrency, fits=4)),
        (b'[1,{"permits":3.0,"what another build learns":[]}]', AT_FIRST.rate, Concurrency(3.0)),
    ],
)
def test_what_cannot_be_read_is_as_at_first(raw: bytes | None, rate: Rate, concurrency: Concurrency) -> None:
    assert from_bytes(raw, CONFIGURED) == Pace(rate, concurrency)
