"""After an outage of Redis nobody could have said that it is there: what is judged by silence waits."""

from __future__ import annotations

from math import inf

import pytest

from app.reporting.signs import GAP_SECONDS, SignsOfLife


@pytest.mark.parametrize(
    ("taken", "now", "seconds"),
    [
        ([], 900.0, inf),
        ([100.0], 103.0, 3.0),
        ([100.0, 105.0, 110.0], 112.0, 12.0),
        ([100.0, 105.0], 105.0 + GAP_SECONDS, 5.0 + GAP_SECONDS),
        ([100.0, 105.0], 106.0 + GAP_SECONDS, 0.0),
        ([100.0, 105.0, 405.0], 406.0, 1.0),
        ([100.0, 105.0, 405.0, 410.0], 413.0, 8.0),
    ],
    ids=["none are given", "the first", "several", "the next is late", "in a gap", "after a gap", "long after it"],
)
def test_for_how_long_signs_were_taken(taken, now, seconds):
    signs = SignsOfLife()
    for moment in taken:
        signs.taken(moment)
    assert signs.unbroken_seconds(now) == seconds
