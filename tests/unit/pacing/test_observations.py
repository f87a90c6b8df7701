"""What the counts of all processes tell of the time since the last were taken."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.pacing.observations import IDLE_AFTER_SECONDS, Observations

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND


@pytest.mark.parametrize(
    ("counts", "waits", "seen"),
    [
        ({}, (0, 0), Observations(0.0)),
        ({"since": NOW - SECOND}, (0, 0), Observations(1.0)),
        ({"since": NOW - 60 * SECOND}, (0, 0), Observations(IDLE_AFTER_SECONDS)),
        ({"since": NOW + SECOND}, (0, 0), Observations(0.0)),  # the clock has gone back
        # a wait that has ended, one that lasts, one that began before
        ({"since": NOW - SECOND}, (-0.5, -0.25), Observations(1.0, waited_seconds=0.25)),
        ({"since": NOW - SECOND}, (-0.5, 60), Observations(1.0, waited_seconds=0.5)),
        ({"since": NOW - SECOND}, (-9, -0.25), Observations(1.0, waited_seconds=0.75)),
        ({"since": NOW - SECOND}, (-9, -8), Observations(1.0)),
        ({"since": NOW - 60 * SECOND}, (-50, -10), Observations(IDLE_AFTER_SECONDS + 40, waited_seconds=40)),
        (
            {"since": NOW - SECOND, "accepted": 4, "call_us": SECOND, "throttled": 2, "crowded": 1, "rate_bound": 3},
            (0, 0),
            Observations(1.0, accepted=4, throttled=2, crowded=1, call_seconds=0.25, rate_bound=True),
        ),
        ({"since": NOW - SECOND, "permits_bound": 9}, (0, 0), Observations(1.0, permits_bound=True)),
    ],
)
def test_what_was_seen(counts: Mapping[str, int], waits: tuple[float, float], seen: Observations) -> None:
    since, until = (NOW + at * SECOND if at else 0 for at in waits)
    assert Observations.of(counts, waits_since_us=since, waits_until_us=until, now_us=NOW) == seen
