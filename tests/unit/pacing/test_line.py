from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.pacing.line import Line


def order(line: Line[str]) -> list[str]:
    return list(iter(line.next, None))


def test_live_comes_before_backfill() -> None:
    line: Line[str] = Line()
    line.want("old", "camp", 2, backfill=True)
    line.want("new", "camp", 2, backfill=False)
    assert order(line) == ["new", "new", "old", "old"]


def test_destinations_take_turns_however_many_lanes_they_have() -> None:
    line: Line[str] = Line()
    for lane in range(3):
        line.want(f"big-{lane}", "big", 2, backfill=False)
    line.want("small", "small", 3, backfill=False)
    assert order(line) == ["big-0", "small", "big-1", "small", "big-2", "small", "big-0", "big-1", "big-2"]


def test_who_comes_is_next() -> None:
    line: Line[str] = Line()
    line.want("big", "big", 100, backfill=False)
    line.want("other", "other", 100, backfill=False)
    assert [line.next() for _ in range(3)] == ["big", "other", "big"]
    for number in range(3):
        line.want(f"small-{number}", f"small-{number}", 1, backfill=False)
    assert [line.next() for _ in range(6)] == ["small-0", "other", "small-1", "big", "small-2", "other"]


def test_who_comes_again_and_again_has_its_turns_and_no_more() -> None:
    line: Line[str] = Line()
    line.want("big", "big", 100, backfill=False)
    served = []
    for _ in range(10):
        line.want("restless", "restless", 1, backfill=False)
        served.append(line.next())
    assert 4 <= served.count("big") <= 6


@given(st.lists(st.integers(0, 4), min_size=60, max_size=60))
def test_however_many_come_who_waits_has_every_second_turn(comers: list[int]) -> None:
    line: Line[str] = Line()
    line.want("big", "big", 100, backfill=False)
    served = []
    for number in comers:
        line.want(f"small-{number}", f"small-{number}", 1, backfill=False)
        served.append(line.next())
    assert served.count("big") >= 29
    assert all(len(set(served[at : at + 12])) > 1 for at in range(48)), "and who comes is served as well"


def test_what_is_wanted_can_change() -> None:
    line: Line[str] = Line()
    line.want("a", "camp", 5, backfill=True)
    line.want("a", "camp", 1, backfill=False)
    assert (line.live, line.backfill) == (1, 0)
    line.want("a", "camp", 0, backfill=False)
    assert not line
    assert line.next() is None


def test_places_are_all_that_wait() -> None:
    line: Line[str] = Line()
    line.want("a", "camp", 1, backfill=True)
    line.want("b", "other", 1, backfill=False)
    assert sorted(line.places()) == ["a", "b"]
