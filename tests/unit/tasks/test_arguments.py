"""Only a wake-up of a lane that there is reaches the lanes."""

from __future__ import annotations

import pytest

from app.errors import UsageError
from app.keys import LANES
from tasks.arguments import check_wake_up

MARK = "Marker-Ann"


@pytest.mark.parametrize("lane", [0, LANES - 1])
def test_a_wake_up_names_a_destination_and_a_lane(lane: int) -> None:
    check_wake_up("camp", lane, "1")


@pytest.mark.parametrize(
    ("destination", "lane", "token"),
    [
        ("camp", "4", "1"),
        ("camp", MARK, "1"),
        ("camp", -1, "1"),
        ("camp", LANES, "1"),
        ("camp", 10**30, "1"),
        ("camp", 4.0, "1"),
        ("camp", True, "1"),
        ("camp", None, "1"),
        ("camp", [4], "1"),
        (MARK, 4, "1"),
        ("camp\n", 4, "1"),
        ("", 4, "1"),
        (None, 4, "1"),
        ({"camp": 1}, 4, "1"),
        ("camp", 4, None),
        ("camp", 4, {MARK: 1}),
    ],
)
def test_what_wakes_no_lane_is_refused_and_not_quoted(destination: object, lane: object, token: object) -> None:
    with pytest.raises(UsageError) as refused:
        check_wake_up(destination, lane, token)
    assert MARK not in str(refused.value) + refused.value.remedy
