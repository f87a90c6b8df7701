"""How many calls at once are found to be worth it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.pacing.concurrency import EASE_GROWTH, Concurrency, Trial, next_concurrency
from app.pacing.observations import Observations


def after(known: Concurrency, seen: Observations, *, most: int = 100, rate_falls_short: bool = False) -> Concurrency:
    return next_concurrency(known, seen, most, rate_falls_short=rate_falls_short)


def calls(seconds: float, *, bound: bool = True) -> Observations:
    """Some calls that took so long; permits are what holds more up, or nothing is."""
    return Observations(1, accepted=9, call_seconds=seconds, permits_bound=bound)


@pytest.mark.parametrize(
    ("known", "seen", "permits"),
    [
        (Concurrency(16), Observations(1, crowded=3), 8),
        (Concurrency(1), Observations(1, crowded=3), 1),
        (Concurrency(16, ease_seconds=0.1), calls(0.3), 11),
        (Concurrency(16, ease_seconds=0.1), calls(0.3, bound=False), 16),
        (Concurrency(16, ease_seconds=0.1), calls(0.17), 16),
        (Concurrency(16, ease_seconds=0.1), calls(0.12), 17),
        (Concurrency(100, ease_seconds=0.1), calls(0.12), 100),
        # a trial from time to time
        (Concurrency(16, ease_seconds=0.1, bound_seconds=4.5), calls(0.12), 11),
        # what is seen was done with more yet
        (Concurrency(11, ease_seconds=0.1, trial=Trial(16, 0.3)), calls(0.29), 11),
        (Concurrency(11, ease_seconds=0.1, trial=Trial(16, 5.0), tried_seconds=2), calls(0.29), 11),
        # fewer let less through: it is not our doing
        (Concurrency(11, ease_seconds=0.1, trial=Trial(16, 0.3), tried_seconds=2), calls(0.29), 16),
        # fewer let as much through
        (Concurrency(11, ease_seconds=0.1, trial=Trial(16, 0.3), tried_seconds=2), calls(0.2), 11),
        # they were not all in use: nothing is known
        (Concurrency(11, ease_seconds=0.1, trial=Trial(16, 0.3), tried_seconds=2), calls(0.2, bound=False), 16),
        (Concurrency(1, ease_seconds=0.1), calls(0.9), 1),
    ],
    ids=[
        "crowded", "never none", "slow", "slow, but not for ours", "in between", "at ease", "no more than allowed", "trial",
        "too early", "calls of before may be among them", "not our doing", "as much", "not in use", "one is left",
    ],
)  # fmt: skip
def test_permits(known: Concurrency, seen: Observations, permits: float) -> None:
    assert after(known, seen).permits == pytest.approx(permits)


IN_TRIAL = Concurrency(
    11, ease_seconds=0.1, trial=Trial(16, 0.3), tried_seconds=2, bound_seconds=3, trial_after_seconds=20
)


@pytest.mark.parametrize(
    ("known", "seen", "changes"),
    [
        # how long permits have held calls up, for the next trial and for one more than fitted
        (Concurrency(16, ease_seconds=0.1), calls(0.17), {"bound_seconds": 1}),
        (Concurrency(16, ease_seconds=0.1), calls(0.17, bound=False), {}),
        (Concurrency(5, fits=5, ease_seconds=0.1), calls(0.17), {"bound_seconds": 1, "fits_seconds": 1}),
        (Concurrency(5, fits=5, ease_seconds=0.1), calls(0.17, bound=False), {}),
        # too many, and how many were one fewer
        (IN_TRIAL, Observations(1, crowded=1), {"permits": 5.5, "fits": 10, "trial": None}),
        (Concurrency(6, fits=5, fits_seconds=9), Observations(1, crowded=1), {"permits": 5, "fits_seconds": 0}),
        (Concurrency(12, fits=5, fits_seconds=9), Observations(1, crowded=1), {"permits": 6, "fits": 11, "fits_seconds": 0}),
        # the end of a trial: it changed nothing, it was worth it, it told nothing
        (IN_TRIAL, calls(0.29), {"permits": 16, "ease_seconds": 0.29, "bound_seconds": 0, "trial_after_seconds": 40}),
        (
            replace(IN_TRIAL, trial_after_seconds=900), calls(0.29),
            {"permits": 16, "ease_seconds": 0.29, "bound_seconds": 0, "trial_after_seconds": 960},
        ),
        (IN_TRIAL, calls(0.2), {"ease_seconds": 0.2, "bound_seconds": 5, "trial_after_seconds": 5}),
        (IN_TRIAL, calls(0.2, bound=False), {"permits": 16, "bound_seconds": 0}),
        (Concurrency(60, ease_seconds=0.1), calls(0.09), {"permits": 63, "ease_seconds": 0.09, "bound_seconds": 1}),
        (Concurrency(200), Observations(1), {"permits": 100, "tried_seconds": 1}),  # what is configured is less by now
    ],
)  # fmt: skip
def test_what_is_known(known: Concurrency, seen: Observations, changes: dict[str, Any]) -> None:
    ended = {"trial": None} if known.trial else {}
    eased = {} if known.trial or not seen.call_seconds else {"ease_seconds": known.ease_seconds * EASE_GROWTH}
    assert after(known, seen) == replace(known, **{**ended, **eased, **changes})


def test_a_trial_goes_on_while_no_call_ends() -> None:
    tried = Concurrency(1, trial=Trial(2, 60.0))
    for _ in range(62):
        tried = after(tried, Observations(1))
    assert after(tried, calls(60.0)).trial is None


def test_what_was_too_many_at_once_is_remembered() -> None:
    """Each answer that says so blocks the account for a minute."""

    def grow(known: Concurrency, seconds: int) -> Concurrency:
        for _ in range(seconds):
            known = after(known, calls(0.2), most=20)
        return known

    known = after(Concurrency(6, trial_after_seconds=1e9), Observations(1, crowded=1), most=20)
    assert known.permits == 3
    known = grow(known, 10)
    assert known.permits == 5, "one fewer than were too many, and soon"
    known = grow(known, 1_200)
    assert known.permits == 5
    known = grow(known, 300)
    assert known.permits == 6, "once in a while one more is tried"
    known = after(known, Observations(1, crowded=1), most=20)
    assert known.permits == 5, "and that it is too many costs no more than the answer"
    known = grow(known, 6_000)
    assert known.permits == 20, "where it is not, the others follow"


def drive(latency_seconds: Any, seconds: int, known: Concurrency) -> Concurrency:
    """What is learned of a server whose calls take as long as so many at once make them; permits are what holds calls up.

    What is seen in a second was done with the permits of the second before.
    """
    at_once = int(known.permits)
    for _ in range(seconds):
        call_seconds = latency_seconds(at_once)
        seen = Observations(1, accepted=int(at_once / call_seconds), call_seconds=call_seconds, permits_bound=True)
        at_once, known = int(known.permits), after(known, seen, most=24)
    return known


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
    known = Concurrency(24)
    for seconds in (60, 7, 11, 13, 40):
        known = drive(latency_seconds, seconds, known)
        assert least <= known.permits <= most


def test_a_server_that_is_well_again_gets_more() -> None:
    crowded = drive(lambda n: 0.06 + 0.04 * max(0, n - 4), 60, Concurrency(24))
    assert drive(lambda n: 0.06, 40, crowded).permits >= 15
